"""Language models: what they are given, and what comes back from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

AROUND = 8  # tokens that mark a turn
BYTES_PER_TOKEN = 3
Finish = Literal["stop", "length", "filter"]
# Takes each piece of an answer at once. It is no coroutine, so whoever listens cannot hold up the
# model, nor keep its slot.
OnText = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Turn:
    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """The fixed part comes first, so that a provider's prompt cache can hold it."""

    system: str
    turns: Sequence[Turn]  # the last is the user's


@dataclass(frozen=True, slots=True)
class Tokens:
    prompt: int = 0
    completion: int = 0

    @property
    def total(self) -> int:
        return self.prompt + self.completion

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(self.prompt + other.prompt, self.completion + other.completion)


@dataclass(frozen=True, slots=True)
class Ended:
    """How one call ended. Without `tokens` the service told none that can be believed."""

    tokens: Tokens | None = None
    finish: Finish = "stop"


@dataclass(frozen=True, slots=True)
class Spoken:
    """Which model answered, what it cost, and which were passed over for it."""

    llm: str
    tokens: Tokens
    finish: Finish = "stop"
    passed_over: Sequence[str] = ()


class LLM(Protocol):
    """Fails with UpstreamFailed or UpstreamTimeout, and nothing else."""

    name: str

    async def complete(
        self, prompt: Prompt, on_text: OnText, *, stream: bool, taken: Callable[[bool], None]
    ) -> Ended:
        """Give the answer to `on_text`, in one piece or many, and return how it ended.

        `taken` is told True once the service has the whole prompt, False when it refuses it.
        """
        ...

    async def close(self) -> None: ...


def estimate(text: str) -> int:
    """Tokens that a text takes at most, nearly: three bytes each.

    English has over four to a token, Chinese three; so prompts come out short rather than long.
    """
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)


def estimate_turn(turn: Turn) -> int:
    return estimate(turn.text) + AROUND


def estimate_prompt(prompt: Prompt) -> int:
    return estimate(prompt.system) + AROUND + sum(map(estimate_turn, prompt.turns))
