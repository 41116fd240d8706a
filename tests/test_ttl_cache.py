"""Values that are kept for a time: what goes first, what is never kept, and what they weigh."""

from __future__ import annotations

from collections.abc import Callable

from app.ttl_cache import TTLCache, bytes_of


def open_cache(
    clock: Callable[[], float] = lambda: 0.0, *, max_entries: int = 1000, max_bytes: int = 2**26
) -> TTLCache[str, str]:
    return TTLCache(60, clock, max_entries=max_entries, max_bytes=max_bytes)


def test_the_least_recently_used_goes_first_by_number_and_by_bytes() -> None:
    kept = open_cache(max_entries=3, max_bytes=10_000)
    for name in "abcd":
        kept.put(name, name)
        kept.get("b")
    assert [kept.get(name) for name in "abcd"] == [None, "b", "c", "d"]
    kept.put("e", "e" * 8_500)
    assert (kept.get("e"), kept.get("a")) == ("e" * 8_500, None)
    assert kept.size <= 10_000


def test_what_is_larger_than_the_bound_is_not_kept_nor_what_it_replaces() -> None:
    kept = open_cache(max_bytes=1_000)
    kept.put("a", "small")
    kept.put("a", "x" * 2_000)
    assert (kept.get("a"), kept.size, len(kept)) == (None, 0, 0)


def test_what_is_replaced_or_too_old_counts_no_more() -> None:
    clock = [0.0]
    kept = open_cache(lambda: clock[0])
    kept.put("a", "x" * 1_000)
    kept.put("a", "x")
    assert kept.size < 500
    clock[0] = 61
    assert (kept.get("a"), kept.size) == (None, 0)


def test_a_value_counts_all_that_it_holds_and_each_part_once() -> None:
    text = "x" * 10_000
    assert 10_000 < bytes_of([text, {"a": text}, (text, {text: None})]) < 11_000
    assert bytes_of({"a": [{"b": "y" * 5_000}]}) > 5_000
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    assert bytes_of(nested) > 5_000_000
