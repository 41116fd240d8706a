from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from app.engines.slices import WHOLE, Slicing
from tests.fakes import pair

LENGTHS = st.lists(st.integers(1, 512), min_size=1, max_size=40)


def lengths(slicing: Slicing, *tokens: int) -> list[list[int]]:
    return [[tokens[i] for i in indexes] for indexes in slicing.cut([*map(pair, tokens)])]


def test_like_lengths_are_computed_together_longest_first() -> None:
    assert lengths(Slicing(1000, 10), 20, 90, 21, 88) == [[90, 88], [21, 20]]


def test_a_slice_ends_where_its_tokens_would_exceed_the_limit() -> None:
    assert lengths(Slicing(200, 1000), 90, 90, 90) == [[90, 90], [90]]


def test_a_pair_longer_than_the_limit_is_a_slice_of_its_own() -> None:
    assert lengths(Slicing(100, 1000), 300, 10) == [[300], [10]]


def test_a_little_padding_is_cheaper_than_another_call() -> None:
    assert lengths(Slicing(1000, 64), 90, 60, 50) == [[90, 60], [50]]


def test_widths_are_rounded_up_and_the_rest_is_paid_for() -> None:
    slicing = Slicing(1000, 64, multiple=8)
    assert slicing.width(81) == 88
    assert slicing.cost([pair(81), pair(80)]) == 2 * 88


def test_a_batch_may_stay_whole() -> None:
    assert lengths(WHOLE, 1, 500) == [[500, 1]]
    assert WHOLE.cost([pair(1), pair(500)]) == 1000


@given(LENGTHS, st.integers(64, 2048), st.integers(0, 300), st.integers(1, 8))
def test_every_pair_is_in_one_slice_and_no_slice_is_over_its_limits(
    tokens: list[int], limit: int, waste: int, streams: int
) -> None:
    slicing = Slicing(limit, waste, streams=streams)
    slices = slicing.cut([*map(pair, tokens)])
    assert sorted(index for indexes in slices for index in indexes) == list(range(len(tokens)))
    for indexes in slices:
        width = tokens[indexes[0]]
        assert all(tokens[index] <= width for index in indexes)
        assert len(indexes) == 1 or width * len(indexes) <= limit
        assert sum(width - tokens[index] for index in indexes) <= waste


def test_each_stream_gets_its_share_of_a_batch() -> None:
    assert lengths(Slicing(1000, 64, streams=2), *[80] * 10) == [[80] * 5, [80] * 5]
    assert lengths(Slicing(400, 64, streams=2), *[80] * 16) == [[80] * 4] * 4
    assert lengths(Slicing(400, 64, streams=2)) == []


def test_widths_are_exact_where_a_new_shape_costs_nothing() -> None:
    rounded = Slicing(tokens=1024, waste=64, multiple=8)
    assert rounded.for_any_widths() == rounded
    exact = replace(rounded, prepares=False).for_any_widths()
    assert [rounded.width(9), exact.width(9)] == [16, 9]
