"""What a prefilter knows of pairs: the words of the bundled model and how much each matters."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from app.engines import Pair
from app.engines.encoders import SplitEncoder, Template
from app.engines.spec import BUNDLED_FOLDER
from app.engines.tensors import WEIGHTS
from app.engines.words import RARITY, VECTORS, WordEvidence, standard

QUERY = "how long may I borrow a book from the library"
DOCUMENTS = [
    "Books are lent for four weeks by the library.",
    "The library opens at nine.",
    "Bananas are rich in potassium.",
    "A volume can be kept for a month.",
]


@pytest.fixture(scope="module")
def evidence() -> WordEvidence:
    opened = WordEvidence.of(BUNDLED_FOLDER)
    assert opened is not None
    return opened


@pytest.fixture(scope="module")
def encoder() -> SplitEncoder:
    tokenizer = Tokenizer.from_file(str(BUNDLED_FOLDER / "tokenizer.json"))
    template = Template.of(tokenizer)
    assert template is not None
    return SplitEncoder(tokenizer, template, 512, "")


def pairs(encoder: SplitEncoder, *documents: str, query: str = QUERY) -> list[Pair]:
    return [item.pair for item in encoder.encode(query, documents, instruction=None, cut="right")]


def test_what_shares_words_resembles_most_and_what_shares_none_least(
    evidence: WordEvidence, encoder: SplitEncoder
) -> None:
    alike = evidence.compare(pairs(encoder, *DOCUMENTS))
    order = np.argsort(-alike).tolist()
    assert (order[0], order[-1]) == (0, 2)


def test_the_order_does_not_depend_on_that_of_the_documents(
    evidence: WordEvidence, encoder: SplitEncoder
) -> None:
    alike = evidence.compare(pairs(encoder, *DOCUMENTS))
    turned = evidence.compare(pairs(encoder, *DOCUMENTS[::-1]))
    assert turned[::-1] == pytest.approx(alike, abs=1e-4)


@pytest.mark.parametrize("documents", [[""], ["", ""], ["book"], ["book", "book"], ["", "book"]])
def test_a_list_without_a_difference_is_no_error(
    documents: list[str], evidence: WordEvidence, encoder: SplitEncoder
) -> None:
    alike = evidence.compare(pairs(encoder, *documents))
    assert alike.shape == (len(documents),)
    assert np.isfinite(alike).all()


def test_a_query_without_words_is_no_error(evidence: WordEvidence, encoder: SplitEncoder) -> None:
    assert np.isfinite(evidence.compare(pairs(encoder, *DOCUMENTS, query="\u200b"))).all()


def test_evidence_that_is_the_same_for_all_says_nothing() -> None:
    assert standard(np.array([2.0, 2.0], dtype=np.float32)).tolist() == [0, 0]


@pytest.mark.parametrize("tensors", [{}, {VECTORS: "F16"}, {VECTORS: "BF16", RARITY: "F16"}])
def test_a_model_without_such_weights_has_none(tensors: dict[str, str], tmp_path: Path) -> None:
    described = {
        name: {"dtype": dtype, "shape": [2, 1], "data_offsets": [0, 4]}
        for name, dtype in tensors.items()
    }
    header = json.dumps(described).encode()
    (tmp_path / WEIGHTS).write_bytes(len(header).to_bytes(8, "little") + header + b"1234")
    assert WordEvidence.of(tmp_path) is None


def test_a_folder_without_weights_has_none(tmp_path: Path) -> None:
    assert WordEvidence.of(tmp_path) is None
