from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.text.windows import OVERLAP, cuts

TEXT = " ".join(f"w{number:03}" for number in range(300))


@given(st.text(st.sampled_from("ab \n日"), max_size=200), st.integers(1, 40))
@example("a aaaaaaaaaaaaaa a", 15)
def test_windows_cover_the_text_without_a_gap_and_go_forward(text: str, size: int) -> None:
    windows = cuts(text, size)
    assert (windows[0][0], windows[-1][1]) == (0, len(text))
    for (start, end), (following, reached) in pairwise(windows):
        assert start < following <= end <= reached
        assert end - start <= size


@pytest.mark.parametrize("size", [10, 50, 200])
def test_neighbours_share_about_a_fifth(size: int) -> None:
    shares = [(end - following) / size for (_, end), (following, _) in pairwise(cuts(TEXT, size))]
    assert all(0 < share <= OVERLAP + 6 / size for share in shares)
