from __future__ import annotations

import pytest

from app.errors import DeadlineExceeded, QueueFull
from app.rerank.admission import HEAD_START, STRETCH, Admission
from app.rerank.pace import Pace


def admission(tokens_per_second: int = 100, room: int = 1000) -> Admission:
    made = Admission(room)
    made.pace.observe(tokens_per_second, 1.0)
    return made


def test_a_job_is_due_later_the_larger_it_is() -> None:
    one = admission()
    assert one.due(5.0, 100, 0, None) == 5.0 + HEAD_START + STRETCH
    assert one.due(5.0, 200, 0, None) == 5.0 + HEAD_START + 2 * STRETCH


def test_a_lower_priority_is_due_later_even_for_the_smallest_job() -> None:
    one = admission()
    assert one.due(0, 1, 0, None) < one.due(0, 1, 1, None) < one.due(0, 1, 999, None)


def test_a_deadline_cuts_the_due_time_but_never_lengthens_it() -> None:
    one = admission()
    assert one.due(0, 100, 0, deadline=1.0) == 1.0
    assert one.due(0, 100, 0, deadline=99.0) == one.due(0, 100, 0, None)


def test_before_the_pace_is_known_nothing_counts_as_late() -> None:
    Admission(1000).refuse_if_late(left=0.001, ahead=10_000, tokens=10_000, running=0, batch=100)


def test_what_would_just_make_it_is_admitted() -> None:
    one = admission()
    one.refuse_if_late(left=3.0, ahead=200, tokens=100, running=0, batch=100)
    with pytest.raises(QueueFull):
        one.refuse_if_late(left=2.9, ahead=200, tokens=100, running=0, batch=100)
    with pytest.raises(DeadlineExceeded):
        one.refuse_if_late(left=0.9, ahead=0, tokens=100, running=0, batch=100)


def test_a_queue_may_be_filled_to_the_brim() -> None:
    one = admission(room=100)
    one.refuse_if_full(waiting=60, tokens=40, running=0, batch=10)
    with pytest.raises(QueueFull):
        one.refuse_if_full(waiting=61, tokens=40, running=0, batch=10)


def test_nobody_is_told_to_come_back_before_anything_can_have_changed() -> None:
    one = admission(tokens_per_second=100, room=1000)
    with pytest.raises(QueueFull) as full:
        one.refuse_if_full(waiting=990, tokens=11, running=20, batch=30)
    with pytest.raises(QueueFull) as late:
        one.refuse_if_late(left=2.99, ahead=200, tokens=100, running=20, batch=30)
    assert [full.value.retry_after, late.value.retry_after] == pytest.approx([0.5, 0.5])


def test_whoever_needs_more_room_is_told_to_come_back_later() -> None:
    one = admission(tokens_per_second=100, room=1000)
    with pytest.raises(QueueFull) as full:
        one.refuse_if_full(waiting=900, tokens=400, running=20, batch=30)
    assert full.value.retry_after == pytest.approx(3.2)  # what runs makes no room in the queue


def test_whoever_is_late_is_told_to_come_back_when_the_batch_that_runs_then_is_done_too() -> None:
    one = admission(tokens_per_second=100)
    with pytest.raises(QueueFull) as late:
        one.refuse_if_late(left=2.0, ahead=200, tokens=100, running=20, batch=30)
    assert late.value.retry_after == pytest.approx(1.3)


def test_one_slow_batch_does_not_spoil_the_pace() -> None:
    pace = Pace()
    for _ in range(200):
        pace.observe(1000, 0.1)
    pace.observe(10, 0.1)  # a hundred times slower, but a small one
    assert pace.tokens_per_second == pytest.approx(10_000, rel=0.02)


def test_the_pace_follows_when_the_machine_becomes_slower() -> None:
    pace = Pace()
    for _ in range(200):
        pace.observe(1000, 0.1)
    for _ in range(100):
        pace.observe(1000, 1.0)
    assert pace.tokens_per_second == pytest.approx(1000, rel=0.1)


def test_one_stalled_batch_does_not_erase_what_was_learnt() -> None:
    pace = Pace()
    for _ in range(200):
        pace.observe(1000, 0.1)
    pace.observe(1000, 600.0)
    assert pace.tokens_per_second > 8_000


def test_an_engine_whose_batches_all_take_long_is_measured_as_it_is() -> None:
    pace = Pace()
    for _ in range(3):
        pace.observe(1000, 60.0)
    assert pace.tokens_per_second == pytest.approx(1000 / 60)
