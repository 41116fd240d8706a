"""A progress bar, only on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def track(items: Collection[T], what: str) -> Iterator[T]:
    """Yields the items and shows the progress."""
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
