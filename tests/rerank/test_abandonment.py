from __future__ import annotations

from app.rerank.abandonment import HALF_LIFE_SECONDS, MIN_CALLS, Abandonment

FEW, MANY = int(MIN_CALLS) - 1, 100


def observed(*calls: bool, abandonment: Abandonment | None = None, now: float = 0.0) -> Abandonment:
    abandonment = abandonment or Abandonment()
    for left in calls:
        abandonment.observe(now, left=left)
    return abandonment


def test_it_prevails_when_most_callers_leave() -> None:
    assert observed(*[True, True, False] * MANY).prevails
    assert not observed(*[False, True] * MANY).prevails, "each request may have been sent twice"


def test_a_few_callers_who_leave_say_nothing() -> None:
    assert not observed(*[True] * FEW).prevails
    assert observed(*[True] * (FEW + 1)).prevails


def test_it_ends_only_when_hardly_anybody_leaves() -> None:
    abandonment = observed(*[True] * 10)
    assert observed(*[False] * 89, abandonment=abandonment).prevails
    assert not observed(False, abandonment=abandonment).prevails


def test_it_says_when_it_begins_and_ends() -> None:
    abandonment = observed(*[True] * FEW)
    assert abandonment.observe(0, left=True)
    assert not abandonment.observe(0, left=True)
    assert not abandonment.observe(1000, left=True), "one call is too few to end it"
    assert abandonment.observe(2000, left=False)


def test_old_calls_count_less() -> None:
    abandonment = observed(*[False] * 16)
    later = observed(*[True] * 12, abandonment=abandonment, now=HALF_LIFE_SECONDS)
    assert later.prevails
    abandonment = observed(*[False] * 16)
    assert not observed(*[True] * 11, abandonment=abandonment, now=HALF_LIFE_SECONDS).prevails
