from __future__ import annotations

from app.llm.breaker import FAILURES, REST, Breaker


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def failing(clock: Clock, times: int = FAILURES) -> Breaker:
    breaker = Breaker(clock)
    for _ in range(times):
        assert breaker.admits()
        breaker.failed()
    return breaker


def test_some_failures_are_borne_and_a_success_forgets_them() -> None:
    breaker = failing(Clock(), FAILURES - 1)
    breaker.succeeded()
    assert not failing(Clock(), FAILURES - 1).open
    breaker.failed()
    assert breaker.admits()


def test_one_that_keeps_failing_is_left_alone_and_then_asked_once() -> None:
    clock = Clock()
    breaker = failing(clock)
    assert breaker.open
    assert not breaker.admits()
    clock.now = REST
    assert breaker.admits()
    assert not breaker.admits()


def test_the_one_call_decides() -> None:
    clock = Clock()
    breaker = failing(clock)
    clock.now = REST
    assert breaker.admits()
    breaker.failed()
    assert not breaker.admits()
    clock.now = 2 * REST
    assert breaker.admits()
    breaker.succeeded()
    assert not breaker.open
    assert breaker.admits()


def test_a_caller_who_went_away_gives_the_place_to_the_next() -> None:
    clock = Clock()
    breaker = failing(clock)
    clock.now = REST
    assert breaker.admits()
    breaker.withdrawn()
    assert breaker.admits()
