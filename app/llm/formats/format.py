"""What a format is: how a language model is asked, and how its answer is read. No network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from app.llm import Ended, Prompt


class Stream(Protocol):
    """Reads the events of one streamed answer. `ended` is there once the model has finished."""

    ended: Ended | None
    done: bool

    def read(self, event: dict[str, Any]) -> str:
        """The text that an event adds."""
        ...

    def finish(self) -> None: ...


class Format(Protocol):
    path: str

    def headers(self, key: str) -> dict[str, str]: ...

    def body(
        self,
        prompt: Prompt,
        model: str,
        *,
        max_tokens: int,
        temperature: float | None,
        stream: bool,
    ) -> dict[str, Any]: ...

    def whole(self, body: dict[str, Any]) -> tuple[str, Ended]: ...

    def reader(self) -> Stream: ...


@dataclass(frozen=True, slots=True)
class LLMFormat:
    """`open` gives the format as the service at a URL understands it."""

    name: str
    open: Callable[[str], Format]
