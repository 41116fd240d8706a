"""The models in their order: the next is asked when one fails before its first word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from app.answer.llm import LLM, Ended, Prompt, Spoken, Tokens, estimate, estimate_prompt
from app.answer.llm.breaker import Breaker
from app.answer.llm.budget import Budget, BudgetSpent
from app.errors import ServiceError, UpstreamFailed, UpstreamTimeout

# What the service says of the request, and not of itself.
REQUEST_AT_FAULT = frozenset({400, 413, 422})


class AllFailed(ServiceError):
    """No model answered; says for each why."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


@dataclass(frozen=True, slots=True)
class Called:
    """One model was asked. `outcome` is ok, failed, timeout, passed_over or client_gone."""

    llm: str
    outcome: str
    seconds: float = 0.0
    tokens: Tokens = field(default_factory=Tokens)


@dataclass(frozen=True, slots=True)
class Link:
    llm: LLM
    breaker: Breaker


class Chain:
    def __init__(
        self,
        links: Sequence[Link],
        budget: Budget,
        *,
        max_tokens: int,
        concurrency: int,
        observe: Callable[[Called], None] = lambda called: None,
    ) -> None:
        self.links = links
        self.budget = budget
        self._max_tokens = max_tokens
        self._slots = asyncio.Semaphore(concurrency)
        self._observe = observe

    @property
    def name(self) -> str:
        return " ".join(link.llm.name for link in self.links)

    async def close(self) -> None:
        for link in self.links:
            await link.llm.close()

    async def words(self, prompt: Prompt, *, stream: bool) -> AsyncGenerator[str | Spoken]:
        """The answer in pieces, then `Spoken`. AllFailed, unless words have gone out already."""
        reasons: list[str] = []
        async with self._slots:
            for link in self.links:
                if not link.breaker.admits():
                    reasons.append(f"{link.llm.name} is left alone after failing repeatedly")
                    self._observe(Called(link.llm.name, "passed_over"))
                    continue
                began = False
                try:
                    async with aclosing(self._ask(link, prompt, stream, reasons)) as pieces:
                        async for piece in pieces:
                            began = True
                            yield piece
                    return
                except BudgetSpent as error:
                    reasons.append(str(error))
                    link.breaker.withdrawn()
                    break
                except UpstreamFailed as error:
                    if began:
                        raise
                    reasons.append(str(error))
        raise AllFailed(reasons)

    async def _ask(
        self, link: Link, prompt: Prompt, stream: bool, reasons: Sequence[str]
    ) -> AsyncGenerator[str | Spoken]:
        call = Call(link, self.budget, estimate_prompt(prompt), self._max_tokens, self._observe)
        try:
            words = link.llm.words(prompt, stream=stream, taken=call.taken)
            async with aclosing(words) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Ended):
                        tokens = call.ended(piece.tokens)
                        yield Spoken(link.llm.name, tokens, piece.finish, tuple(reasons))
                    else:
                        call.heard(piece)
                        yield piece
        except UpstreamFailed as error:
            call.failed(error)
            raise
        finally:
            call.close()


class Call:
    """What one call holds of the budget, and what it leaves: each exactly once."""

    def __init__(
        self,
        link: Link,
        budget: Budget,
        prompt: int,
        most: int,
        observe: Callable[[Called], None],
    ) -> None:
        budget.hold(prompt + most)
        self._link = link
        self._budget = budget
        self._held = prompt + most
        self._prompt = prompt
        self._taken = False
        self._heard = 0
        self._observe = observe
        self._outcome = "client_gone"
        self._tokens: Tokens | None = None
        self._now = asyncio.get_running_loop().time
        self._started = self._now()

    def taken(self, yes: bool) -> None:
        self._taken = yes

    def heard(self, text: str) -> None:
        self._heard += estimate(text)

    def ended(self, told: Tokens | None) -> Tokens:
        self._outcome = "ok"
        self._tokens = told or Tokens(self._prompt, self._heard)
        self._link.breaker.succeeded()
        return self._tokens

    def failed(self, error: UpstreamFailed) -> None:
        self._outcome = "timeout" if isinstance(error, UpstreamTimeout) else "failed"
        if error.status in REQUEST_AT_FAULT:
            self._link.breaker.withdrawn()
        else:
            self._link.breaker.failed()

    def close(self) -> None:
        if self._outcome == "client_gone":
            self._link.breaker.withdrawn()
        # Whoever has the prompt works on it and charges for that, though nobody hears a word.
        broke_off = Tokens(self._prompt, self._heard) if self._taken else Tokens()
        tokens = self._tokens or broke_off
        self._budget.settle(self._held, tokens.total)
        seconds = self._now() - self._started
        self._observe(Called(self._link.llm.name, self._outcome, seconds, tokens))
