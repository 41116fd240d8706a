"""The history check in its short form, and proof that its checker can fail."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.reliability.history.__main__ import Plan, run
from tests.reliability.history.checker import Checker, Exchange, Faults, Verdict
from tests.reliability.history.fleet import missing_balancers
from tests.reliability.history.truth import Truth, probability
from tests.reliability.history.wires import WIRES

LOGITS = [[2.0, -1.0, 0.5]]
TRUTH = Truth(["q"], ["a", "b", "c"], np.array(LOGITS))
NATIVE, SHARED = WIRES[0], WIRES[1]


def answer(*pairs: tuple[int, float]) -> bytes:
    rows = [{"index": index, "relevance_score": score} for index, score in pairs]
    return json.dumps({"results": rows}).encode()


RIGHT = Exchange(NATIVE, 0, (0, 1, 2), 10.0, 11.0, 200, answer((0, 2.0), (2, 0.5), (1, -1.0)))


def judge(exchange: Exchange, faults: Faults | None = None) -> Verdict:
    checker = Checker(TRUTH, faults or Faults())
    checker.judge(exchange)
    (verdict,) = checker.report.verdicts
    return verdict


def test_scores_that_agree_in_order_are_right() -> None:
    assert judge(RIGHT) == "right"
    scores = [(index, probability(LOGITS[0][index])) for index in (0, 2, 1)]
    assert judge(replace(RIGHT, wire=SHARED, body=answer(*scores))) == "right"


@pytest.mark.parametrize(
    "body",
    [
        answer((0, 2.0), (2, -1.0), (1, 0.5)),  # scores of neighbours
        answer((1, -1.0), (2, 0.5), (0, 2.0)),  # worst first
        answer((0, 2.0), (2, 0.5)),  # a document is missing
        answer((0, 2.0), (2, 0.5), (2, 0.5)),  # a document twice
        answer((0, 2.01), (2, 0.5), (1, -1.0)),  # nearly right
        b'{"results": [',
        b"{}",
    ],
)
def test_an_answer_that_differs_from_the_truth_is_wrong(body: bytes) -> None:
    assert judge(replace(RIGHT, body=body)) == "wrong"


@pytest.mark.parametrize("status", [429, 503, 504])
def test_a_refusal_of_the_service_is_documented(status: int) -> None:
    assert judge(replace(RIGHT, status=status)) == "refused"


@pytest.mark.parametrize("status", [400, 404, 422, 500, None])
def test_what_no_fault_explains_is_wrong(status: int | None) -> None:
    assert judge(replace(RIGHT, status=status)) == "wrong"


def test_a_failure_at_a_load_balancer_needs_a_fault_at_that_time() -> None:
    failed = replace(RIGHT, status=502, by_proxy=True)
    assert judge(failed) == "wrong"
    assert judge(failed, Faults([(10.5, 12.0)])) == "fault"
    assert judge(failed, Faults([(1.0, 7.0), (11.5, 20.0)])) == "wrong"


def test_a_fault_does_not_excuse_an_error_of_the_service_or_a_wrong_score() -> None:
    faults = Faults([(0.0, 100.0)])
    assert judge(replace(RIGHT, status=500), faults) == "wrong"
    assert judge(replace(RIGHT, body=answer((0, 1.0), (2, 0.5), (1, -1.0))), faults) == "wrong"


def test_no_answer_in_time_is_lost_even_during_a_fault() -> None:
    hung = replace(RIGHT, status=None, timed_out=True)
    assert judge(hung, Faults([(0.0, 100.0)])) == "lost"


def test_a_caller_that_breaks_off_explains_itself() -> None:
    assert judge(replace(RIGHT, status=None, abandoned=True)) == "own_doing"


def test_a_run_that_compared_nothing_has_not_passed() -> None:
    assert not Checker(TRUTH, Faults()).report.passed


def test_under_faults_every_answer_is_right_refused_or_explained(tmp_path: Path) -> None:
    if missing := missing_balancers():
        sentence = f"not installed: {', '.join(missing)} (on Debian: apt-get install haproxy nginx)"
        pytest.fail(sentence) if os.environ.get("CI") else pytest.skip(sentence)
    plan = Plan(seed=7, pairs=20_000, seconds=8, callers=32, processes=2, pause=3.0)
    report, line = asyncio.run(run(plan, tmp_path))
    assert report.passed, (line, report.defects)
    assert report.verdicts["right"] > 100, line
