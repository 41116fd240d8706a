from __future__ import annotations

from app.llm.breaker import MAX_FAILURES_IN_A_ROW, REST_SECONDS, Breaker


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def failing(clock: Clock, times: int = MAX_FAILURES_IN_A_ROW) -> Breaker:
    breaker = Breaker(clock)
    for _ in range(times):
        assert breaker.admits()
        breaker.failed()
    return breaker


def test_some_failures_are_tolerated_and_a_success_forgets_them() -> None:
    breaker = failing(Clock(), MAX_FAILURES_IN_A_ROW - 1)
    breaker.succeeded()
    assert not failing(Clock(), MAX_FAILURES_IN_A_ROW - 1).open
    breaker.failed()
    assert breaker.admits()


def test_a_model_that_keeps_failing_is_not_called_and_then_called_once() -> None:
    clock = Clock()
    breaker = failing(clock)
    assert breaker.open
    assert not breaker.admits()
    clock.now = REST_SECONDS
    assert breaker.admits()
    assert not breaker.admits()


def test_the_one_call_decides() -> None:
    clock = Clock()
    breaker = failing(clock)
    clock.now = REST_SECONDS
    assert breaker.admits()
    breaker.failed()
    assert not breaker.admits()
    clock.now = 2 * REST_SECONDS
    assert breaker.admits()
    breaker.succeeded()
    assert not breaker.open
    assert breaker.admits()


def test_a_caller_who_went_away_leaves_the_deciding_call_to_the_next() -> None:
    clock = Clock()
    breaker = failing(clock)
    clock.now = REST_SECONDS
    assert breaker.admits()
    breaker.withdrawn()
    assert breaker.admits()
