"""The moment by which a caller must have an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

from app.errors import DeadlineExceeded


@dataclass(frozen=True, slots=True)
class Deadline:
    at: float  # on the loop's clock
    seconds: float  # from when it was set

    @classmethod
    def after(cls, seconds: float) -> Self:
        return cls(asyncio.get_running_loop().time() + seconds, seconds)

    @property
    def remaining(self) -> float:
        return self.at - asyncio.get_running_loop().time()

    @asynccontextmanager
    async def enforced(self) -> AsyncIterator[None]:
        """Cancels what runs inside when the time is up."""
        try:
            async with asyncio.timeout_at(self.at):
                yield
        except TimeoutError as error:
            raise self.exceeded() from error

    def exceeded(self) -> DeadlineExceeded:
        return DeadlineExceeded(f"not answered within {self.seconds * 1000:.0f} ms")
