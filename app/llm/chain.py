"""The models in their order: the next is asked when one fails before its first word."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from app.errors import ServiceError, UpstreamFailed, UpstreamTimeout
from app.llm import LLM, OnText, Prompt, Spoken, Tokens, estimate, estimate_prompt
from app.llm.breaker import Breaker
from app.llm.budget import Budget, BudgetSpent, Hold
from app.llm.slots import NoSlot, Slots

# What the service says of the request, and not of itself.
REQUEST_AT_FAULT = frozenset({400, 413, 422})
CROWDED = "crowded"


class AllFailed(ServiceError):
    """No model answered; says for each why."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


@dataclass(frozen=True, slots=True)
class Called:
    """One model was asked. `outcome` is ok, failed, timeout, passed_over or client_gone.

    Or none was, because too many questions wait: then it is crowded, and `llm` is empty.
    """

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
        slots: Slots,
        *,
        max_tokens: int,
        observe: Callable[[Called], None] = lambda called: None,
    ) -> None:
        self.links = links
        self.budget = budget
        self.slots = slots
        self._max_tokens = max_tokens
        self._observe = observe

    @property
    def name(self) -> str:
        return " ".join(link.llm.name for link in self.links)

    async def close(self) -> None:
        for link in self.links:
            await link.llm.close()

    async def complete(
        self, prompt: Prompt, on_text: OnText, *, stream: bool, left: float | None = None
    ) -> Spoken:
        """Give the answer to `on_text`; AllFailed, unless words have gone out already.

        With `left` seconds, it does not wait where its turn would come too late.
        """
        try:
            async with self.slots.hold(left):
                return await self._ask_in_order(prompt, on_text, stream)
        except NoSlot as error:
            self._observe(Called("", CROWDED))
            raise AllFailed([str(error)]) from error

    async def _ask_in_order(self, prompt: Prompt, on_text: OnText, stream: bool) -> Spoken:
        reasons: list[str] = []
        for link in self.links:
            if not link.breaker.admits():
                reasons.append(f"{link.llm.name} is left alone after failing repeatedly")
                self._observe(Called(link.llm.name, "passed_over"))
                continue
            call = Call(link, self.budget, prompt, self._max_tokens, on_text, self._observe)
            try:
                return await call.run(stream, reasons)
            except BudgetSpent as error:
                reasons.append(str(error))
                break
            except UpstreamFailed as error:
                if call.began:
                    raise
                reasons.append(str(error))
        raise AllFailed(reasons)


class Call:
    """What one call holds of the budget, and what it leaves: each exactly once."""

    def __init__(
        self,
        link: Link,
        budget: Budget,
        prompt: Prompt,
        max_tokens: int,
        on_text: OnText,
        observe: Callable[[Called], None],
    ) -> None:
        self.began = False
        self._link = link
        self._budget = budget
        self._prompt = prompt
        self._prompt_tokens = estimate_prompt(prompt)
        self._max_tokens = max_tokens
        self._on_text = on_text
        self._observe = observe
        self._taken = False
        self._heard = 0
        self._outcome = "client_gone"
        self._tokens: Tokens | None = None

    async def run(self, stream: bool, passed_over: Sequence[str]) -> Spoken:
        llm, now = self._link.llm, asyncio.get_running_loop().time
        hold = await self._hold()
        started = now()
        try:
            ended = await llm.complete(self._prompt, self._hear, stream=stream, taken=self._take)
            self._outcome = "ok"
            self._tokens = ended.tokens or self._estimated
            self._link.breaker.succeeded()
            return Spoken(llm.name, self._tokens, ended.finish, tuple(passed_over))
        except UpstreamFailed as error:
            self._fail(error)
            raise
        finally:
            await self._close(hold, now() - started)

    async def _hold(self) -> Hold:
        try:
            return await self._budget.hold(self._prompt_tokens + self._max_tokens)
        except BaseException:
            self._link.breaker.withdrawn()
            raise

    @property
    def _estimated(self) -> Tokens:
        return Tokens(self._prompt_tokens, self._heard)

    def _take(self, yes: bool) -> None:
        self._taken = yes

    def _hear(self, text: str) -> None:
        self.began = True
        self._heard += estimate(text)
        self._on_text(text)

    def _fail(self, error: UpstreamFailed) -> None:
        self._outcome = "timeout" if isinstance(error, UpstreamTimeout) else "failed"
        if error.status in REQUEST_AT_FAULT:
            self._link.breaker.withdrawn()
        else:
            self._link.breaker.failed()

    async def _close(self, hold: Hold, seconds: float) -> None:
        if self._outcome == "client_gone":
            self._link.breaker.withdrawn()
        # Whoever has the prompt works on it and charges for that, though nobody hears a word.
        broke_off = self._estimated if self._taken else Tokens()
        tokens = self._tokens or broke_off
        try:
            await self._budget.settle(hold, tokens.total)
        finally:
            self._observe(Called(self._link.llm.name, self._outcome, seconds, tokens))
