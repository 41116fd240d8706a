from __future__ import annotations

import tracemalloc

from app.rerank.cache import ENTRY_BYTES, Cache, TextScore, pair_key


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def new_cache(entries: int = 10, ttl: float = 60.0, clock: Clock | None = None) -> Cache:
    return Cache(entries * ENTRY_BYTES, ttl, clock or Clock())


SCORE = TextScore(1.5, 10, truncated=True)


def test_what_was_put_is_found_again() -> None:
    cache = new_cache()
    cache.put(b"key", SCORE)
    assert cache.get(b"key") == SCORE
    assert cache.get(b"other") is None


def test_the_least_recently_used_goes_first() -> None:
    cache = new_cache(entries=2)
    cache.put(b"a", SCORE)
    cache.put(b"b", SCORE)
    cache.get(b"a")
    cache.put(b"c", SCORE)
    assert cache.get(b"b") is None
    assert cache.get(b"a") == cache.get(b"c") == SCORE


def test_nothing_outlives_its_time() -> None:
    clock = Clock()
    cache = new_cache(ttl=60, clock=clock)
    cache.put(b"key", SCORE)
    clock.now = 59.9
    assert cache.get(b"key") == SCORE
    clock.now = 60.0
    assert cache.get(b"key") is None
    assert len(cache) == 0


def test_a_capacity_of_nothing_switches_it_off() -> None:
    cache = Cache(0, 60, Clock())
    cache.put(b"key", SCORE)
    assert cache.get(b"key") is None
    assert not cache.on
    assert new_cache(entries=1).on


def test_its_memory_stays_within_the_bound() -> None:
    count = 20_000
    tracemalloc.start()
    cache = new_cache(entries=count)
    for index in range(count):
        cache.put(
            pair_key("query")(f"text {index}"), TextScore(float(index), 500 + index, truncated=True)
        )
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(cache) == count
    assert used < count * ENTRY_BYTES


def test_a_key_keeps_its_parts_apart() -> None:
    assert pair_key("ab", "c")("d") != pair_key("a", "bc")("d")
    assert pair_key("a")("b") == pair_key("a")("b")
    assert pair_key("a")("b") != pair_key("a")("c")
