"""What a format is: how a language model is called, and how its answer is read. No network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from app.llm import Completion, Prompt, TokenUsage

# Tokens of one call; models read a tenth of it.
MAX_TOKENS = 10_000_000


class CompletionStream(Protocol):
    """Reads the events of one streamed answer.

    `completion` is set once the model has announced the end of its words, `done` once nothing
    follows, not even the usage.
    """

    completion: Completion | None
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
    ) -> dict[str, object]: ...

    def whole(self, body: dict[str, Any]) -> tuple[str, Completion]: ...

    def reader(self) -> CompletionStream: ...


@dataclass(frozen=True, slots=True)
class LLMFormat:
    """`open` gives the format as the service at a URL understands it."""

    name: str
    open: Callable[[str], Format]


def token_count(value: object) -> int | None:
    """None for what cannot be a number of tokens: below 0, NaN, a text, more than any model takes.

    Services report their usage; the budget and the metrics count it, so it is not simply believed.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value <= MAX_TOKENS else None


def reported(prompt: int | None, completion: int | None) -> TokenUsage | None:
    """None if either is missing. Our prompts are never empty, so a prompt of 0 means missing."""
    return TokenUsage(prompt, completion) if prompt and completion is not None else None
