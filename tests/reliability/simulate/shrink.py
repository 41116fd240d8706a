"""Fewer requests that fail in the same run: halves first, then ever smaller parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

MAX_TRIES = 80


def shrink(
    numbers: Sequence[int], fails: Callable[[Sequence[int]], bool], tries: int = MAX_TRIES
) -> list[int]:
    """A subset of `numbers` that still fails. Each try is one run, so they are bounded."""
    kept, parts = list(numbers), 2
    while len(kept) > 1 and tries:
        size = -(-len(kept) // parts)
        for start in range(0, len(kept), size):
            if not tries:
                return kept
            tries -= 1
            rest = kept[:start] + kept[start + size :]
            if rest and fails(rest):
                kept, parts = rest, max(2, parts - 1)
                break
        else:
            if size == 1:
                return kept
            parts = min(len(kept), 2 * parts)
    return kept
