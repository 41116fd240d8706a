"""Scores that are being computed now, shared with later requests for the same text."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.rerank.cache import TextScore


@dataclass(frozen=True, slots=True)
class PendingScore:
    """`score` resolves to None when the request that computes it gives up."""

    score: asyncio.Future[TextScore | None]
    documents: int  # of the request that computes it
    priority: int


class InFlight:
    def __init__(self) -> None:
        self._pending: dict[bytes, PendingScore] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def find(self, key: bytes, documents: int, priority: int) -> PendingScore | None:
        """Only if waiting cannot take longer than computing: a larger or less urgent request is
        not waited for."""
        pending = self._pending.get(key)
        if pending is None or pending.documents > documents or pending.priority > priority:
            return None
        return pending

    @contextmanager
    def announce(self, keys: Iterable[bytes], documents: int, priority: int) -> Iterator[None]:
        """While these are computed. What is not resolved at the end resolves to None."""
        loop = asyncio.get_running_loop()
        announced = {
            key: PendingScore(loop.create_future(), documents, priority)
            for key in keys
            if key not in self._pending
        }
        self._pending.update(announced)
        try:
            yield
        finally:
            for key, pending in announced.items():
                del self._pending[key]
                if not pending.score.done():
                    pending.score.set_result(None)

    def resolve(self, key: bytes, score: TextScore) -> None:
        pending = self._pending.get(key)
        if pending is not None and not pending.score.done():
            pending.score.set_result(score)
