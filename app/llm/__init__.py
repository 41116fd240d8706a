"""Language models: what they are given, and what comes back from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

TOKENS_AROUND_TURN = 8
BYTES_PER_TOKEN = 3
Finish = Literal["stop", "length", "filter"]
# Takes each piece of an answer at once. It is not a coroutine: a slow listener can neither slow the
# model down nor keep its slot.
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
class TokenUsage:
    prompt: int = 0
    completion: int = 0

    @property
    def total(self) -> int:
        return self.prompt + self.completion

    def __add__(self, other: TokenUsage) -> TokenUsage:
        return TokenUsage(self.prompt + other.prompt, self.completion + other.completion)


@dataclass(frozen=True, slots=True)
class Completion:
    """How one call ended. Without `tokens` the service reported no usage that can be believed."""

    tokens: TokenUsage | None = None
    finish: Finish = "stop"


@dataclass(frozen=True, slots=True)
class ChainCompletion:
    """Which model of a chain answered, what it cost, and why models before it did not answer."""

    llm: str
    tokens: TokenUsage
    finish: Finish = "stop"
    passed_over: Sequence[str] = ()


class LLM(Protocol):
    """Fails with UpstreamFailed or UpstreamTimeout, and nothing else."""

    name: str

    async def complete(
        self, prompt: Prompt, on_text: OnText, *, stream: bool, taken: Callable[[bool], None]
    ) -> Completion:
        """Push the answer to `on_text`, in one piece or many, and return how it ended.

        `taken` is called with True once the service has the whole prompt, with False when the
        service refuses it.
        """
        ...

    async def close(self) -> None: ...


def estimate(text: str) -> int:
    """An upper estimate of the tokens of a text: three bytes each.

    English has over four bytes to a token, Chinese three; so prompts come out too short rather
    than too long.
    """
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)


def estimate_turn(turn: Turn) -> int:
    return estimate(turn.text) + TOKENS_AROUND_TURN


def estimate_prompt(prompt: Prompt) -> int:
    return estimate(prompt.system) + TOKENS_AROUND_TURN + sum(map(estimate_turn, prompt.turns))
