from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.rerank.windows import OVERLAP_SHARE, cuts, in_windows, windows_of
from tests.fakes import WordEncoder

TEXT = " ".join(f"w{number:03}" for number in range(300))


def windows(text: str, *, query: str = "q", limit: int = 0) -> list[str]:
    (encoded,) = WordEncoder().encode(
        query, [text], instruction=None, cut="right", document_tokens=limit
    )
    return windows_of(text, encoded)


def test_a_text_that_fits_has_no_windows() -> None:
    assert windows("a few words") == []


def test_a_long_text_is_read_to_its_end_in_windows_that_fit() -> None:
    found = windows(TEXT)
    assert len(found) >= 4
    assert all(len(window.split()) <= 99 for window in found)
    assert {word for window in found for word in window.split()} == set(TEXT.split())


def test_a_limit_of_tokens_makes_windows_of_what_would_have_fitted() -> None:
    found = windows(" ".join(TEXT.split()[:90]), limit=20)
    assert all(10 <= len(window.split()) <= 20 for window in found)
    assert windows("a few words", limit=20) == []


def test_beside_a_query_that_leaves_hardly_any_room_there_are_no_windows() -> None:
    assert windows(TEXT, query="q " * 90) == []


def test_what_windows_leave_out_counts_as_cut() -> None:
    encoded = WordEncoder().encode("q", ["a b", "c d"], instruction=None, cut="right")
    assert in_windows(9, encoded, complete=True).untruncated_tokens == 6
    assert in_windows(9, encoded, complete=False).untruncated_tokens == 9


@given(st.text(st.sampled_from("ab \n日"), max_size=200), st.integers(1, 40))
@example("a aaaaaaaaaaaaaa a", 15)
def test_windows_cover_the_text_without_a_gap_and_go_forward(text: str, size: int) -> None:
    found = cuts(text, size)
    assert (found[0][0], found[-1][1]) == (0, len(text))
    for (start, end), (following, reached) in pairwise(found):
        assert start < following <= end <= reached
        assert end - start <= size


@pytest.mark.parametrize("size", [10, 50, 200])
def test_neighbours_share_about_a_fifth(size: int) -> None:
    shares = [(end - following) / size for (_, end), (following, _) in pairwise(cuts(TEXT, size))]
    assert all(0 < share <= OVERLAP_SHARE + 6 / size for share in shares)
