"""Callers that try again, and what is read off their calls."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from loadtest.metastability import Load, Plan, Stall, draw, recovered_after, tabulate
from loadtest.retries import HONOURS, NAIVE, Call, Policy, call, per_second
from loadtest.wire import Answer, Client, fields_of, hint_of
from loadtest.workload import Request
from tests.virtual_time import in_virtual_time, now

REQUEST = Request("q", ("a",))


class ScriptedClient:
    """Gives each answer in turn, after its seconds; remembers when it was called."""

    def __init__(self, *answers: tuple[float, Answer]) -> None:
        self._answers = list(answers)
        self.calls: list[float] = []

    async def post(self, path: str, body: bytes) -> Answer:
        self.calls.append(now())
        seconds, answer = self._answers.pop(0)
        await asyncio.sleep(seconds)
        return answer


OK, FULL = Answer(200, b"{}"), Answer(429, b"", retry_after=1.5)


async def outcome(client: ScriptedClient, policy: Policy) -> Call:
    return await call(cast("Client", client), REQUEST, 0.0, 0.0, policy)


@in_virtual_time
async def test_a_naive_caller_tries_again_at_once() -> None:
    client = ScriptedClient((0.0, FULL), (0.0, FULL), (0.1, OK))
    made = await outcome(client, Policy(NAIVE))
    assert (made.answered, made.attempts, client.calls) == (True, 3, [0.0, 0.0, 0.0])


@in_virtual_time
async def test_a_caller_that_honours_retry_after_comes_back_when_it_was_told() -> None:
    client = ScriptedClient((0.0, FULL), (0.1, OK))
    made = await outcome(client, Policy(HONOURS))
    assert (made.answered, client.calls) == (True, [0.0, 1.5])


@in_virtual_time
async def test_an_attempt_has_a_time_limit_and_a_call_a_number_of_attempts() -> None:
    client = ScriptedClient(*[(99.0, OK)] * 4)
    made = await outcome(client, Policy(NAIVE, timeout=2.0, attempts=4))
    assert (made.answered, client.calls) == (False, [0.0, 2.0, 4.0, 6.0])


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [([], 0.0), (["Retry-After: 3"], 3.0), (["Retry-After: 1", "retry-after-ms: 250"], 0.25)],
)
def test_the_exact_hint_goes_before_the_rounded_one(lines: list[str], seconds: float) -> None:
    assert hint_of(fields_of(lines)) == seconds


def test_only_answered_calls_count_in_the_second_of_their_answer() -> None:
    calls = [Call(0.0, 0.4, 1, True), Call(0.0, 1.2, 1, True), Call(0.0, 1.9, 4, False)]
    assert per_second([*calls, Call(0.0, 99.0, 1, True)], 3.0) == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("goodput", "seconds"),
    [
        ([10, 10, 0, 0, 10, 10, 10], 0.0),
        ([10, 10, 0, 0, 0, 5, 10, 10, 10, 10], 2.0),
        ([10, 10, 0, 0, 10, 0, 10, 0, 10], None),
        ([10, 10, 0, 0, 0, 0, 0], None),
    ],
)
def test_recovery_is_the_first_steady_stretch_after_the_stall(
    goodput: list[int], seconds: float | None
) -> None:
    assert recovered_after(goodput, 10.0, 4) == seconds


def test_the_table_says_never_and_the_picture_has_both_servers() -> None:
    stall: Any = Stall(10.0, 8.0, [8, 8, 0, 8], 0.0, 1.2)
    stuck: Any = Stall(10.0, 8.0, [8, 8, 0, 0], None, 3.9)
    loads = [Load(HONOURS, 2.0, 0.9, 0.5), Load(NAIVE, 2.0, 0.8, 0.4)]
    plan = Plan(1, 2, 1, 1, 8, 1, (2.0,))
    table = str(tabulate({"ours": stall, "plain": stuck}, loads))
    assert "plain: back after a stall, s" in table
    assert "never" in table
    left, right = draw({"ours": stall, "plain": stuck}, loads, plan).axes
    assert len(left.lines) == 2
    assert len(right.lines) == 2
