"""The proof of rolling restarts in its short form, and proof that it can fail."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from tests.reliability.history.checker import Checker, Exchange, Faults
from tests.reliability.history.truth import Truth
from tests.reliability.history.wires import WIRES
from tests.reliability.rolling.__main__ import Attempts, Plan, defects, open_fleet, result_lines
from tests.reliability.rolling.balancers import BALANCERS, missing_programs

TRUTH = Truth(["q"], ["a"], np.array([[2.0]]))
RIGHT = b'{"results": [{"index": 0, "relevance_score": 2.0}]}'
TERM, KILL = Plan(signal.SIGTERM, 1), Plan(signal.SIGKILL, 1)


def attempts(
    *exchanges: Exchange, faults: Faults | None = None, unanswered: int = 0
) -> list[Attempts]:
    checker = Checker(TRUTH, faults or Faults(recovery_seconds=0.0))
    for exchange in exchanges:
        checker.judge(exchange)
    return [Attempts(BALANCERS[0], checker, unanswered)]


def exchange(started: float, status: int | None, body: bytes = b"") -> Exchange:
    return Exchange(WIRES[0], 0, (0,), started, started + 1, status, body, by_proxy=status == 502)


ANSWERED = exchange(1.0, 200, RIGHT)
KILLED = Faults([(5.0, 5.1)], recovery_seconds=0.0)


def test_right_answers_alone_are_a_proof() -> None:
    assert defects(TERM, attempts(ANSWERED)) == []


@pytest.mark.parametrize("status", [429, 500, 502, 503, None])
def test_after_sigterm_no_failure_is_excused(status: int | None) -> None:
    assert defects(TERM, attempts(ANSWERED, exchange(4.5, status), faults=KILLED))


def test_an_answer_with_the_score_of_another_pair_is_a_defect_in_both_forms() -> None:
    wrong = exchange(4.5, 200, RIGHT.replace(b"2.0", b"2.5"))
    assert defects(TERM, attempts(ANSWERED, wrong))
    assert defects(KILL, attempts(ANSWERED, wrong, faults=KILLED))


def test_after_sigkill_only_a_request_in_flight_at_that_time_may_fail() -> None:
    assert defects(KILL, attempts(ANSWERED, exchange(4.5, 502), faults=KILLED)) == []
    assert defects(KILL, attempts(ANSWERED, exchange(4.5, None), faults=KILLED)) == []
    assert defects(KILL, attempts(ANSWERED, exchange(3.0, 502), faults=KILLED))
    assert defects(KILL, attempts(ANSWERED, exchange(5.2, 502), faults=KILLED))
    assert defects(KILL, attempts(ANSWERED, exchange(4.5, 503), faults=KILLED))


def test_a_second_attempt_has_to_be_answered() -> None:
    failed = exchange(4.5, 502)
    assert defects(KILL, attempts(ANSWERED, failed, faults=KILLED, unanswered=1))


def test_a_run_without_an_answer_proves_nothing() -> None:
    assert defects(TERM, attempts())


def test_two_processes_are_replaced_behind_each_balancer_without_a_lost_request(
    tmp_path: Path,
) -> None:
    if missing := missing_programs():
        sentence = f"not installed: {', '.join(missing)} (on Debian: apt-get install haproxy nginx)"
        pytest.fail(sentence) if os.environ.get("CI") else pytest.skip(sentence)

    async def replace_all() -> None:
        async with open_fleet(tmp_path, count=2) as fleet:
            for plan in (TERM, KILL):
                results = await fleet.replace_all(plan)
                assert defects(plan, results) == [], result_lines(plan, results, 0.0)

    asyncio.run(replace_all())
