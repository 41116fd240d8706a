from __future__ import annotations

import pytest

from app.errors import DeadlineExceeded, QueueFull
from app.rerank.admission import (
    FIRST_RETRY_SECONDS,
    HEAD_START,
    STALE_SECONDS,
    STRETCH,
    Admission,
    Load,
)
from app.rerank.pace import HALF_LIFE_SECONDS, Pace


def new_admission(tokens_per_second: int = 100, room: int = 1000) -> Admission:
    made = Admission(room)
    made.pace.observe(tokens_per_second, 1.0)
    return made


def test_a_job_is_due_later_the_larger_it_is() -> None:
    admission = new_admission()
    assert admission.due(5.0, 100, 0, None) == 5.0 + HEAD_START + STRETCH
    assert admission.due(5.0, 200, 0, None) == 5.0 + HEAD_START + 2 * STRETCH


def test_a_lower_priority_is_due_later_even_for_the_smallest_job() -> None:
    admission = new_admission()
    assert (
        admission.due(0, 1, 0, None) < admission.due(0, 1, 1, None) < admission.due(0, 1, 999, None)
    )


def test_a_deadline_cuts_the_due_time_but_never_lengthens_it() -> None:
    admission = new_admission()
    assert admission.due(0, 100, 0, deadline=1.0) == 1.0
    assert admission.due(0, 100, 0, deadline=99.0) == admission.due(0, 100, 0, None)


def test_before_the_pace_is_known_nothing_counts_as_late() -> None:
    Admission(1000).refuse_if_late(left=0.001, ahead=10_000, amount=10_000, load=Load(0, 100))


def test_what_would_just_make_it_is_admitted() -> None:
    admission = new_admission()
    admission.refuse_if_late(left=3.0, ahead=200, amount=100, load=Load(0, 100))
    with pytest.raises(QueueFull):
        admission.refuse_if_late(left=2.9, ahead=200, amount=100, load=Load(0, 100))
    admission.refuse_if_late(left=1.0, ahead=0, amount=100, load=Load(0, 100))
    with pytest.raises(DeadlineExceeded):
        admission.refuse_if_late(left=0.9, ahead=0, amount=100, load=Load(0, 100))


def test_a_queue_may_be_filled_to_the_brim() -> None:
    admission = new_admission(room=100)
    admission.refuse_if_full(waiting=60, amount=40, load=Load(0, 10))
    with pytest.raises(QueueFull):
        admission.refuse_if_full(waiting=61, amount=40, load=Load(0, 10))


def test_nobody_is_told_to_come_back_before_anything_can_have_changed() -> None:
    admission = new_admission(tokens_per_second=100, room=1000)
    with pytest.raises(QueueFull) as full:
        admission.refuse_if_full(waiting=990, amount=11, load=Load(20, 30))
    with pytest.raises(QueueFull) as late:
        admission.refuse_if_late(left=2.99, ahead=200, amount=100, load=Load(20, 30))
    assert [full.value.retry_after, late.value.retry_after] == pytest.approx([0.5, 0.5])


def test_whoever_needs_more_room_is_told_to_come_back_later() -> None:
    admission = new_admission(tokens_per_second=100, room=1000)
    with pytest.raises(QueueFull) as full:
        admission.refuse_if_full(waiting=900, amount=400, load=Load(20, 30))
    assert full.value.retry_after == pytest.approx(3.2)  # what runs makes no room in the queue


def test_whoever_is_late_is_told_to_come_back_when_the_batch_that_runs_then_is_done_too() -> None:
    admission = new_admission(tokens_per_second=100)
    with pytest.raises(QueueFull) as late:
        admission.refuse_if_late(left=2.0, ahead=200, amount=100, load=Load(20, 30))
    assert late.value.retry_after == pytest.approx(1.3)


@pytest.mark.parametrize("running", [0, 30, 50])
@pytest.mark.parametrize("over", [1, 50, 51, 120, 500])
def test_when_room_is_promised_that_many_tokens_have_left_the_queue(
    running: int, over: int
) -> None:
    """What runs ends first; then each batch that leaves makes room for as many tokens."""
    admission, batch = new_admission(tokens_per_second=100, room=1000), 50
    with pytest.raises(QueueFull) as full:
        admission.refuse_if_full(waiting=1000, amount=over, load=Load(running, batch))
    computed = full.value.retry_after * 100
    batches_that_left = 1 + (computed - running) // batch if computed >= running else 0
    assert batches_that_left * batch >= over


def test_room_that_is_held_by_what_is_still_tokenized_comes_later() -> None:
    admission = new_admission(tokens_per_second=100, room=1000)
    with pytest.raises(QueueFull) as full:
        admission.refuse_if_full(waiting=1000, amount=10, load=Load(0, 50), delay=7.0)
    assert full.value.retry_after == pytest.approx(7.5)


def test_before_the_pace_is_known_nobody_is_told_to_come_back_at_once() -> None:
    with pytest.raises(QueueFull) as full:
        Admission(100).refuse_if_full(waiting=100, amount=1, load=Load(0, 50))
    assert full.value.retry_after == FIRST_RETRY_SECONDS


def test_after_a_pause_an_estimate_is_tried_and_not_trusted() -> None:
    """A pause of the machine makes the pace look slow; if all is refused, nothing corrects it."""
    admission = new_admission(tokens_per_second=1)
    with pytest.raises(DeadlineExceeded):
        admission.refuse_if_late(
            left=60, ahead=0, amount=100, load=Load(0, 50, STALE_SECONDS - 0.1)
        )
    admission.refuse_if_late(left=60, ahead=0, amount=100, load=Load(0, 50, STALE_SECONDS))
    with pytest.raises(QueueFull):
        admission.refuse_if_late(left=60, ahead=50, amount=50, load=Load(50, 50))


def test_an_estimate_that_refuses_nothing_is_not_doubted() -> None:
    admission = new_admission(tokens_per_second=100)
    admission.refuse_if_late(left=1.0, ahead=0, amount=100, load=Load(0, 50, STALE_SECONDS))
    admission.pace.observe(1000, 1.0)
    assert admission.pace.tokens_per_second < 600  # what was learnt before still counts


def test_a_guess_of_the_pace_counts_until_the_first_batch_is_done() -> None:
    pace = Pace(guess=100)
    assert pace.seconds_for(200) == pytest.approx(2.0)
    pace.observe(1000, 1.0)
    assert pace.tokens_per_second == pytest.approx(1000, rel=0.001)


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


def test_without_a_guess_nothing_is_expected_before_the_first_batch() -> None:
    pace = Pace()
    assert (pace.tokens_per_second, pace.seconds_for(100)) == (0.0, 0.0)


def test_a_short_batch_counts_once_however_short_it_is() -> None:
    pace = Pace()
    pace.observe(1000, 0.5)
    pace.observe(10, 0.5)
    kept = 0.5 ** (0.5 / HALF_LIFE_SECONDS)
    assert pace.tokens_per_second == pytest.approx((1000 * kept + 10) / (0.5 * kept + 0.5))


def test_a_batch_that_took_no_time_counts_once() -> None:
    pace = Pace()
    pace.observe(100, 1.0)
    pace.observe(50, 0.0)
    assert pace.tokens_per_second == pytest.approx(150)


def test_a_pace_in_doubt_is_the_same_until_the_next_batch() -> None:
    pace = Pace()
    pace.observe(100, 4.0)
    pace.doubt()
    assert pace.tokens_per_second == pytest.approx(25)
    pace.observe(1000, 1.0)
    assert pace.tokens_per_second == pytest.approx(1000, rel=0.001)
