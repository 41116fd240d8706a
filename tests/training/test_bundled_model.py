import numpy as np
import pytest
from sentence_transformers import CrossEncoder

from app.engines.spec import BUNDLED_FOLDER
from app.engines.torch import duet  # noqa: F401 (teaches transformers the bundled architecture)

QUERY = "How many people live in Berlin?"
ANSWER = "Berlin had a population of 3,520,031 registered inhabitants in 2019."
NEAR = "Berlin is well known for its museums."
FAR = "The Amazon is a river in South America."


@pytest.fixture(scope="module")
def model() -> CrossEncoder:
    loaded: CrossEncoder = CrossEncoder(str(BUNDLED_FOLDER), device="cpu", local_files_only=True)
    return loaded


def test_it_tells_an_answer_from_a_neighbour_and_a_stranger(model: CrossEncoder) -> None:
    answer, near, far, nothing = model.predict([(QUERY, text) for text in (ANSWER, NEAR, FAR, "")])
    assert answer > 0.7 > near > far
    assert far < 0.1
    assert nothing < 0.1


def test_half_precision_ranks_as_full_precision_does(model: CrossEncoder) -> None:
    pairs = [(QUERY, text) for text in (ANSWER, NEAR, FAR, ANSWER + " " + NEAR)]
    stored = model.predict(pairs)
    assert np.allclose(model.float().predict(pairs), stored, atol=0.01)


def test_the_weights_are_small_enough_to_ship() -> None:
    assert (BUNDLED_FOLDER / "model.safetensors").stat().st_size < 48 * 1024**2
