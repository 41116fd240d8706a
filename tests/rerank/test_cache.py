from __future__ import annotations

import tracemalloc

from app.rerank.cache import ENTRY_BYTES, Cache, TextScore, pair_key


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def cache(entries: int = 10, ttl: float = 60.0, clock: Clock | None = None) -> Cache:
    return Cache(entries * ENTRY_BYTES, ttl, clock or Clock())


SCORE = TextScore(1.5, 10, truncated=True)


def test_what_was_put_is_found_again() -> None:
    one = cache()
    one.put(b"key", SCORE)
    assert one.get(b"key") == SCORE
    assert one.get(b"other") is None


def test_the_least_recently_used_goes_first() -> None:
    one = cache(entries=2)
    one.put(b"a", SCORE)
    one.put(b"b", SCORE)
    one.get(b"a")
    one.put(b"c", SCORE)
    assert one.get(b"b") is None
    assert one.get(b"a") == one.get(b"c") == SCORE


def test_nothing_outlives_its_time() -> None:
    clock = Clock()
    one = cache(ttl=60, clock=clock)
    one.put(b"key", SCORE)
    clock.now = 59.9
    assert one.get(b"key") == SCORE
    clock.now = 60.0
    assert one.get(b"key") is None
    assert len(one) == 0


def test_a_capacity_of_nothing_switches_it_off() -> None:
    one = Cache(0, 60, Clock())
    one.put(b"key", SCORE)
    assert one.get(b"key") is None
    assert not one.on
    assert cache(entries=1).on


def test_its_memory_stays_within_the_bound() -> None:
    count = 20_000
    tracemalloc.start()
    one = cache(entries=count)
    for index in range(count):
        one.put(
            pair_key("query")(f"text {index}"), TextScore(float(index), 500 + index, truncated=True)
        )
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(one) == count
    assert used < count * ENTRY_BYTES


def test_a_key_keeps_its_parts_apart() -> None:
    assert pair_key("ab", "c")("d") != pair_key("a", "bc")("d")
    assert pair_key("a")("b") == pair_key("a")("b")
    assert pair_key("a")("b") != pair_key("a")("c")
