from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.rerank.scheduler import Job, Scheduler, Slot
from tests.fakes import pair


def job(*tokens: int, due: float = 0.0, arrival: float = 0.0) -> Job:
    return Job([pair(count) for count in tokens], arrival, due)


def lengths(batch: list[Slot[Job]]) -> list[int]:
    return [slot.pair.tokens for slot in batch]


def scheduler(*jobs: Job) -> Scheduler[Job]:
    made: Scheduler[Job] = Scheduler()
    for job in jobs:
        made.add(job)
    return made


def test_a_job_gives_its_longest_pairs_first() -> None:
    assert lengths(scheduler(job(10, 30, 20)).take(60)) == [30, 20]


def test_a_batch_is_bounded_by_what_padding_makes_of_it() -> None:
    queue = scheduler(job(50, 10, 10, 10))
    assert lengths(queue.take(100)) == [50, 10]
    assert lengths(queue.take(100)) == [10, 10]


def test_one_pair_may_exceed_the_budget_so_that_nothing_waits_for_ever() -> None:
    queue = scheduler(job(500))
    assert lengths(queue.take(100)) == [500]
    assert len(queue) == 0


def test_an_empty_queue_gives_an_empty_batch() -> None:
    assert scheduler().take(100) == []


def test_the_earliest_due_job_goes_first_whenever_it_came() -> None:
    late, soon = job(10, due=9), job(20, due=1)
    assert [slot.job for slot in scheduler(late, soon).take(100)] == [soon, late]


def test_jobs_due_together_keep_their_order_of_arrival() -> None:
    first, second = job(10, due=1), job(10, due=1)
    assert [slot.job for slot in scheduler(first, second).take(100)] == [first, second]


def test_between_the_slices_of_a_large_job_one_due_earlier_goes_first() -> None:
    large, small = job(10, 10, 10, 10, due=5), job(10, due=1)
    queue = scheduler(large)
    assert {slot.job for slot in queue.take(20)} == {large}
    queue.add(small)
    assert [slot.job for slot in queue.take(20)] == [small, large]
    assert [slot.job for slot in queue.take(20)] == [large]


def test_a_later_job_joins_only_with_pairs_that_hardly_widen_the_batch() -> None:
    queue = scheduler(job(20, due=1), job(100, 25, 5, due=2))
    assert lengths(queue.take(1000)) == [20, 25, 5]
    assert lengths(queue.take(1000)) == [100]


def test_a_pair_of_twice_the_width_waits_for_a_batch_of_its_own() -> None:
    queue = scheduler(job(10, due=1), job(20, 12, due=2))
    assert lengths(queue.take(1000)) == [10, 12]
    assert lengths(queue.take(1000)) == [20]


def test_the_longest_pair_opens_the_batch_even_beside_one_of_a_single_token() -> None:
    assert lengths(scheduler(job(1, 5)).take(5)) == [5]


def test_a_job_that_was_withdrawn_holds_nothing() -> None:
    withdrawn = job(10, 20)
    scheduler(withdrawn).remove(withdrawn)
    assert (withdrawn.tokens, withdrawn.waiting) == (0, [])


def test_withdrawing_a_job_leaves_the_others_and_frees_its_tokens() -> None:
    gone, kept = job(10, 20, due=1), job(30, due=2)
    queue = scheduler(gone, kept)
    assert queue.remove(gone) == 2
    assert queue.tokens == 30
    assert [slot.job for slot in queue.take(100)] == [kept]


def test_only_pairs_that_have_not_been_taken_can_be_withdrawn() -> None:
    gone = job(10, 10, 10)
    queue = scheduler(gone)
    queue.take(20)
    assert queue.remove(gone) == 1
    assert queue.remove(gone) == 0
    assert queue.tokens == 0


def test_a_slot_knows_which_pair_of_its_job_it_is() -> None:
    (first, second) = scheduler(job(10, 30)).take(100)
    assert (first.position, second.position) == (1, 0)


def test_the_oldest_arrival_is_that_of_any_waiting_job() -> None:
    queue = scheduler(job(1, due=1, arrival=7), job(1, due=2, arrival=3))
    assert queue.oldest_arrival == 3
    assert scheduler().oldest_arrival is None


def test_only_what_is_due_before_is_counted_as_ahead() -> None:
    queue = scheduler(job(10, due=1), job(20, due=2), job(40, due=3))
    assert queue.tokens_before(arrival=0, due=2) == 30


def test_the_newest_may_go_first_and_a_job_that_is_due_late_counts_as_older() -> None:
    old, large = job(10, arrival=1, due=2), job(11, arrival=4, due=7)
    new, small = job(12, arrival=3, due=4), job(13, arrival=4, due=5)
    queue = scheduler(old, large, new)
    queue.order(newest_first=True)
    queue.add(small)
    assert queue.tokens_before(arrival=3, due=4) == 13 + 12
    assert [slot.job for slot in queue.take(1000)] == [small, new, large, old]


def test_the_earliest_due_job_goes_first_again() -> None:
    old, new = job(10, arrival=1, due=2), job(10, arrival=3, due=4)
    queue = scheduler(old, new)
    queue.order(newest_first=True)
    queue.order(newest_first=False)
    assert [slot.job for slot in queue.take(100)] == [old, new]


def test_a_batch_takes_no_further_job_once_it_has_enough() -> None:
    first, second, third = job(10, 10, due=1), job(10, due=2), job(10, due=3)
    queue = scheduler(first, second, third)
    assert [slot.job for slot in queue.take(100, enough=20)] == [first, first]
    assert [slot.job for slot in queue.take(100, enough=11)] == [second, third]


def test_clearing_gives_back_all_jobs_and_leaves_nothing() -> None:
    jobs = [job(10, due=1), job(20, due=2)]
    queue = scheduler(*jobs)
    assert queue.clear() == jobs
    assert (len(queue), queue.tokens, queue.take(100)) == (0, 0, [])


@given(
    st.lists(
        st.tuples(st.floats(0, 10), st.lists(st.integers(1, 50), min_size=1, max_size=12)),
        max_size=8,
    ),
    st.integers(1, 120),
)
def test_every_pair_is_taken_exactly_once_and_every_batch_keeps_the_budget(
    shapes: list[tuple[float, list[int]]], budget: int
) -> None:
    jobs = [job(*tokens, due=due) for due, tokens in shapes]
    queue = scheduler(*jobs)
    taken: list[tuple[int, int]] = []
    while batch := queue.take(budget):
        widths = lengths(batch)
        assert len(batch) == 1 or max(widths) * len(batch) <= budget
        taken += [(id(slot.job), slot.position) for slot in batch]
    assert sorted(taken) == sorted(
        (id(job), index) for job in jobs for index in range(len(job.pairs))
    )
    assert (queue.tokens, len(queue)) == (0, 0)
