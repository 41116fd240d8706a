"""Fitting, and what the service does with the fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asgi_lifespan import LifespanManager
from httpx import ASGITransport, AsyncClient
from sklearn.isotonic import IsotonicRegression

from app.errors import LoadFailed
from app.evaluation.fitting import Labelled, Method, apply, collect, fit, fit_isotonic
from app.evaluation.judged import Judged
from app.evaluation.pictures import draw_reliability
from app.evaluation.problems import NotMeasurable
from app.evaluation.reliability import Bin, bins_of, calibration_error
from app.evaluation.scoring import Answer
from app.main import create_app
from app.rerank.calibration import Isotonic, Platt, read_calibration
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


def made_up(queries: int = 60, seed: int = 0) -> Labelled:
    """Pairs whose chance of being relevant is the sigmoid of half the logit, less two."""
    draw = np.random.default_rng(seed)
    owners = np.repeat(np.arange(queries), 20)
    logits = draw.normal(1, 3, len(owners))
    chances = apply(lambda logit: probability(0.5 * logit - 2), logits)
    return Labelled(logits, draw.random(len(owners)) < chances, owners)


@pytest.mark.parametrize("method", ["platt", "isotonic", None])
def test_the_error_on_unseen_queries_is_more_than_halved(method: Method | None) -> None:
    found = fit(made_up(), method, "m", seed=0).calibration
    assert found.error_before > 0.3
    assert found.error_after < found.error_before / 5
    assert (found.model, found.queries, found.pairs) == ("m", 60, 1200)


def test_platt_finds_the_curve_that_made_the_data() -> None:
    found = fit(made_up(400), "platt", "m", seed=0).calibration
    assert isinstance(found, Platt)
    assert (found.slope, found.intercept) == pytest.approx((0.5, -2), abs=0.1)


def test_a_query_is_never_judged_by_a_fit_that_saw_it() -> None:
    """Where labels are noise that only memory could explain, the error must not look small."""
    draw = np.random.default_rng(1)
    owners = np.repeat(np.arange(40), 2)
    labelled = Labelled(draw.normal(0, 1, 80), draw.random(80) < 0.5, owners)
    seen = fit_isotonic(labelled, FACTS)
    found = fit(labelled, "isotonic", "m", seed=0)
    assert found.calibration.error_after > calibration_error(
        apply(seen, labelled.logits), labelled.labels
    )


def test_the_curve_served_is_the_curve_of_scikit_learn() -> None:
    labelled = made_up()
    ours = fit_isotonic(labelled, FACTS)
    theirs = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    theirs.fit(labelled.logits, labelled.labels)
    probes = np.linspace(-20, 20, 500)
    assert apply(ours, probes) == pytest.approx(theirs.predict(probes), abs=1e-6)


def test_the_same_seed_gives_the_same_file() -> None:
    assert fit(made_up(), None, "m", 3).calibration == fit(made_up(), None, "m", 3).calibration


@pytest.mark.parametrize(
    ("labelled", "says"),
    [
        (made_up(3), "3 queries have candidates; 5 are needed"),
        (Labelled(np.zeros(9), np.zeros(9, dtype=bool), np.arange(9)), "0 of 9 candidates"),
        (Labelled(np.zeros(9), np.ones(9, dtype=bool), np.arange(9)), "9 of 9 candidates"),
    ],
)
def test_data_that_says_too_little_is_refused(labelled: Labelled, says: str) -> None:
    with pytest.raises(NotMeasurable, match=says):
        fit(labelled, None, "m", seed=0)


def test_a_model_that_ranks_the_wrong_way_round_cannot_be_calibrated() -> None:
    data = made_up()
    turned = Labelled(-data.logits, data.labels, data.owners)
    with pytest.raises(NotMeasurable, match="no higher than what is not"):
        fit(turned, "platt", "m", seed=0)


def test_pairs_without_a_score_are_left_out() -> None:
    judged = Judged("x", {"q": "q", "r": "r"}, {}, {"q": {"a": 1, "c": 0}, "r": {"a": 1}})
    found = {"q": ["a", "b", "c"], "r": []}
    labelled = collect(judged, found, {"q": Answer([1.5, UNSCORED, -1], 0.1)})
    assert labelled.logits.tolist() == [1.5, -1]
    assert labelled.labels.tolist() == [True, False]
    assert labelled.queries == 1


def test_queries_that_ask_the_same_are_one_to_the_folds() -> None:
    judged = Judged("x", {"q": "Who?", "r": "why", "s": " who? "}, {}, {})
    found = {query: ["a"] for query in judged.queries}
    labelled = collect(judged, found, dict.fromkeys(found, Answer([1.5], 0.1)))
    assert labelled.owners.tolist() == [0, 1, 0]


def test_the_expected_calibration_error_is_the_mean_distance_of_said_and_so() -> None:
    said = np.array([0.1, 0.1, 0.9, 0.9, 1.0])
    so = np.array([False, False, True, False, True])
    assert bins_of(said, so, 2) == [Bin(0.1, 0.0, 2), Bin(2.8 / 3, 2 / 3, 3)]
    assert calibration_error(said, so, 2) == pytest.approx((0.2 + 0.8) / 5)


def test_the_picture_is_a_png() -> None:
    assert draw_reliability({"one": [Bin(0.1, 0.2, 3), Bin(0, 0, 0)]}).startswith(b"\x89PNG")


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


async def asked(model: Path, calibration: Path | None, **body: Any) -> tuple[Any, Any]:
    def fatal(error: LoadFailed) -> None:
        raise error

    settings = load({}, model=str(model), device="cpu", calibration=calibration)
    app = create_app(settings, fatal)
    async with LifespanManager(app):
        await app.state.service.settled()
        async with AsyncClient(base_url="http://test", transport=ASGITransport(app)) as client:
            request = {"query": "which river", "documents": ["the Danube", "a hill"], **body}
            answer = await client.post("/rerank", json=request)
            return answer.json(), (await client.get("/info")).json()


@pytest.mark.anyio
async def test_a_calibrated_answer_says_so_and_keeps_to_the_file(
    small_model: Path, file: Path
) -> None:
    write(file, PLATT)
    answer, info = await asked(small_model, file, score="calibrated")
    logits, _ = await asked(small_model, file, score="logit")
    assert answer["score"] == "calibrated"
    assert info["scores"] == ["probability", "logit", "calibrated"]
    for one, other in zip(answer["results"], logits["results"], strict=True):
        assert one["index"] == other["index"]
        assert one["relevance_score"] == probability(0.5 * other["relevance_score"] - 1)


@pytest.mark.anyio
async def test_min_score_is_compared_with_what_is_given(small_model: Path, file: Path) -> None:
    flat = {**ISOTONIC, "logits": [0], "probabilities": [0.3]}
    write(file, flat)
    kept, _ = await asked(small_model, file, score="calibrated", min_score=0.3)
    gone, _ = await asked(small_model, file, score="calibrated", min_score=0.31)
    assert (len(kept["results"]), len(gone["results"])) == (2, 0)


@pytest.mark.anyio
async def test_a_probability_stays_the_default(small_model: Path, file: Path) -> None:
    write(file, PLATT)
    calibrated, _ = await asked(small_model, file)
    plain, _ = await asked(small_model, None)
    assert calibrated["score"] == "probability"
    assert calibrated["results"] == plain["results"]


@pytest.mark.anyio
async def test_without_a_calibration_a_calibrated_score_is_refused(small_model: Path) -> None:
    answer, info = await asked(small_model, None, score="calibrated")
    assert (answer["status"], answer["field"]) == (422, "score")
    assert info["scores"] == ["probability", "logit"]
