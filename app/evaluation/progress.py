"""A bar for long work, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def track(items: Collection[T], what: str) -> Iterator[T]:
    """The items, and how far we are through them."""
    with bar(len(items), what) as step:
        for item in items:
            yield item
            step()


@contextmanager
def bar(total: int, what: str) -> Iterator[Step]:
    with tqdm(total=total, desc=what, file=sys.stderr, disable=not sys.stderr.isatty()) as shown:
        yield Step(shown)


class Step:
    def __init__(self, shown: tqdm[None]) -> None:
        self._shown = shown

    def __call__(self) -> None:
        self._shown.update()
