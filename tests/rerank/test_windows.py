from __future__ import annotations

from app.rerank.windows import in_windows, windows_of
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
    parts = windows(TEXT)
    assert len(parts) >= 4
    assert all(len(window.split()) <= 99 for window in parts)
    assert {word for window in parts for word in window.split()} == set(TEXT.split())


def test_a_limit_of_tokens_makes_windows_of_what_would_have_fitted() -> None:
    parts = windows(" ".join(TEXT.split()[:90]), limit=20)
    assert all(10 <= len(window.split()) <= 20 for window in parts)
    assert windows("a few words", limit=20) == []


def test_beside_a_query_that_leaves_hardly_any_room_there_are_no_windows() -> None:
    assert windows(TEXT, query="q " * 90) == []


def test_what_windows_leave_out_counts_as_cut() -> None:
    encoded = WordEncoder().encode("q", ["a b", "c d"], instruction=None, cut="right")
    assert in_windows(9, encoded, complete=True).untruncated_tokens == 6
    assert in_windows(9, encoded, complete=False).untruncated_tokens == 9
