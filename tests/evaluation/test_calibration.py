"""What the service does with a fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from asgi_lifespan import LifespanManager
from httpx import ASGITransport, AsyncClient

from app.compose.app import create_app
from app.errors import LoadFailed
from app.rerank.calibration import Isotonic, read_calibration
from app.rerank.query import UNSCORED, present, probability
from app.settings import load

FACTS: dict[str, Any] = {
    "model": "small-bert",
    "queries": 9,
    "pairs": 90,
    "relevant": 9,
    "error_before": 0.4,
    "error_after": 0.05,
}
PLATT = {**FACTS, "kind": "platt", "slope": 0.5, "intercept": -1.0}
ISOTONIC = {**FACTS, "kind": "isotonic", "logits": [-1, 1, 3], "probabilities": [0.1, 0.1, 0.7]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "calibration.json"


def write(file: Path, content: object) -> None:
    file.write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.mark.parametrize(
    ("logit", "expected"), [(-9, 0.1), (-1, 0.1), (0.5, 0.1), (2, 0.4), (3, 0.7), (9, 0.7)]
)
def test_between_knots_the_line_rises_and_beyond_them_it_is_flat(
    logit: float, expected: float
) -> None:
    assert Isotonic.model_validate(ISOTONIC)(logit) == pytest.approx(expected)


def test_a_document_without_a_score_has_no_chance() -> None:
    assert present(UNSCORED, "calibrated", Isotonic.model_validate(ISOTONIC)) == 0.0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is not valid: Invalid JSON"),
        ({**PLATT, "model": "other"}, "was fitted for model other, not for small-bert"),
        ({**PLATT, "version": 2}, "version"),
        ({**PLATT, "kind": "magic"}, "kind|tag"),
        ({**PLATT, "slope": -1}, "slope"),
        ({**PLATT, "more": 1}, "more"),
        ({**ISOTONIC, "logits": [1, 1, 3]}, "logits must rise"),
        ({**ISOTONIC, "logits": [1, 3]}, "differ in number"),
        ({**ISOTONIC, "probabilities": [0.5, 0.1, 0.7]}, "probabilities must not fall"),
    ],
)
def test_a_file_that_is_not_for_this_model_is_refused(
    file: Path, content: object, says: str
) -> None:
    write(file, content)
    with pytest.raises(LoadFailed, match=says):
        read_calibration(file, "small-bert")


def test_a_file_that_is_not_there_is_named(file: Path) -> None:
    with pytest.raises(LoadFailed, match=r"calibration\.json cannot be read: No such file"):
        read_calibration(file, "small-bert")


async def rank_with(model: Path, calibration: Path | None, **body: Any) -> tuple[Any, Any]:
    def fatal(error: LoadFailed) -> None:
        raise error

    settings = load({}, model=str(model), device="cpu", calibration=calibration)
    app = create_app(settings, fatal)
    async with LifespanManager(app):
        await app.state.wiring.service.settled()
        async with AsyncClient(base_url="http://test", transport=ASGITransport(app)) as client:
            request = {"query": "which river", "documents": ["the Danube", "a hill"], **body}
            answer = await client.post("/rerank", json=request)
            return answer.json(), (await client.get("/info")).json()


@pytest.mark.anyio
async def test_a_calibrated_answer_says_so_and_keeps_to_the_file(
    small_model: Path, file: Path
) -> None:
    write(file, PLATT)
    answer, info = await rank_with(small_model, file, score="calibrated")
    logits, _ = await rank_with(small_model, file, score="logit")
    assert answer["score"] == "calibrated"
    assert info["scores"] == ["probability", "logit", "calibrated"]
    for result, logit in zip(answer["results"], logits["results"], strict=True):
        assert result["index"] == logit["index"]
        assert result["relevance_score"] == probability(0.5 * logit["relevance_score"] - 1)


@pytest.mark.anyio
async def test_min_score_is_compared_with_what_is_given(small_model: Path, file: Path) -> None:
    flat = {**ISOTONIC, "logits": [0], "probabilities": [0.3]}
    write(file, flat)
    kept, _ = await rank_with(small_model, file, score="calibrated", min_score=0.3)
    gone, _ = await rank_with(small_model, file, score="calibrated", min_score=0.31)
    assert (len(kept["results"]), len(gone["results"])) == (2, 0)


@pytest.mark.anyio
async def test_a_probability_stays_the_default(small_model: Path, file: Path) -> None:
    write(file, PLATT)
    calibrated, _ = await rank_with(small_model, file)
    plain, _ = await rank_with(small_model, None)
    assert calibrated["score"] == "probability"
    assert calibrated["results"] == plain["results"]


@pytest.mark.anyio
async def test_without_a_calibration_a_calibrated_score_is_refused(small_model: Path) -> None:
    answer, info = await rank_with(small_model, None, score="calibrated")
    assert (answer["status"], answer["field"]) == (422, "score")
    assert info["scores"] == ["probability", "logit"]
