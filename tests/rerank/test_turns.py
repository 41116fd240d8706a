from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from app.rerank.turns import PORTION_CHARS, Portion, Turns, Work, portions


def work(due: float, *chars: int) -> Work:
    return Work([Portion(start, ["x"], count) for start, count in enumerate(chars)], due)


def served(turns: Turns[Work]) -> list[tuple[float, int]]:
    """Whose portions, in which order."""
    order = []
    while (taken := turns.take()) is not None:
        order.append((taken[0].due, taken[1].start))
    return order


def test_whoever_is_due_first_is_served_first_and_equals_in_order_of_arrival() -> None:
    turns = Turns[Work]()
    for due, size in ((3.0, 30), (1.0, 10), (3.0, 31), (2.0, 20)):
        turns.add(work(due, size))
    sizes = []
    while (taken := turns.take()) is not None:
        sizes.append(taken[1].chars)
    assert sizes == [10, 20, 30, 31]


def test_a_small_request_goes_between_the_portions_of_a_large_one() -> None:
    turns = Turns[Work]()
    turns.add(work(9.0, 5, 5, 5))
    first = turns.take()
    turns.add(work(1.0, 1))
    assert first is not None
    assert served(turns) == [(1.0, 0), (9.0, 1), (9.0, 2)]


def test_what_is_withdrawn_is_not_served_and_does_not_count() -> None:
    turns = Turns[Work]()
    gone, other = work(1.0, 5, 6, 7), work(2.0, 8)
    turns.add(gone)
    turns.add(other)
    turns.take()
    turns.remove(gone)
    turns.remove(gone)
    assert turns.chars == 8
    assert served(turns) == [(2.0, 0)]


def test_what_is_due_later_does_not_stand_before_a_newcomer() -> None:
    turns = Turns[Work]()
    for due, size in ((1.0, 10), (2.0, 20), (3.0, 40)):
        turns.add(work(due, size))
    assert [turns.chars_before(due) for due in (0.5, 1.0, 2.5, 9.0)] == [0, 10, 30, 70]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.floats(0, 9), st.lists(st.integers(0, 9), min_size=1, max_size=4)),
            st.just("take"),
            st.integers(0, 9),
        )
    )
)
def test_characters_are_conserved_whatever_happens(steps: list[object]) -> None:
    turns, requests = Turns[Work](), list[Work]()
    for step in steps:
        match step:
            case (float() as due, list() as sizes):
                requests.append(work(due, *sizes))
                turns.add(requests[-1])
            case "take":
                turns.take()
            case int() as index if index < len(requests):
                turns.remove(requests[index])
            case _:
                pass
        assert turns.chars == sum(request.chars for request in requests)
    served(turns)
    assert turns.chars == 0


def sizes(portions: Sequence[Portion]) -> list[tuple[int, int, int]]:
    return [(portion.start, len(portion.texts), portion.chars) for portion in portions]


def test_a_portion_counts_what_is_likely_and_is_made_for_the_worst_case() -> None:
    long = ["x" * PORTION_CHARS, "y" * PORTION_CHARS, "z"]
    assert sizes(list(portions(long, 10, most=100))) == [(0, 1, 110), (1, 1, 110), (2, 1, 11)]
    assert sizes(list(portions(["ab", "c"], 10, most=100))) == [(0, 2, 23)]


def test_a_portion_is_filled_to_the_brim() -> None:
    half = "x" * (PORTION_CHARS // 2)
    assert [(start, count) for start, count, _ in sizes(list(portions([half] * 4, 0, most=9)))] == [
        (0, 2),
        (2, 2),
    ]
