"""Language models in order: the next is called when one fails before its first word."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from app.errors import ServiceError, UpstreamFailed, UpstreamTimeout
from app.llm import LLM, ChainCompletion, OnText, Prompt, TokenUsage, estimate, estimate_prompt
from app.llm.breaker import Breaker
from app.llm.budget import Budget, BudgetHold, BudgetSpent
from app.llm.slots import NoSlot, Slots

# With these the service blames the request, and not itself.
REQUEST_AT_FAULT = frozenset({400, 413, 422})
CROWDED = "crowded"


class AllFailed(ServiceError):
    """No model answered; gives the reason for each."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


@dataclass(frozen=True, slots=True)
class LLMCalled:
    """One model was called. `outcome` is ok, failed, timeout, passed_over or client_gone.

    If no model was called because too many questions wait, it is crowded, and `llm` is empty.
    """

    llm: str
    outcome: str
    seconds: float = 0.0
    tokens: TokenUsage = field(default_factory=TokenUsage)


@dataclass(frozen=True, slots=True)
class Link:
    llm: LLM
    breaker: Breaker


class FallbackChain:
    def __init__(
        self,
        links: Sequence[Link],
        budget: Budget,
        slots: Slots,
        *,
        max_tokens: int,
        observe: Callable[[LLMCalled], None] = lambda called: None,
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
    ) -> ChainCompletion:
        """Push the answer to `on_text`. Fails with AllFailed, unless words have gone out already.

        With `left` seconds, it fails at once if its turn would come too late.
        """
        try:
            async with self.slots.hold(left):
                return await self._call_in_order(prompt, on_text, stream)
        except NoSlot as error:
            self._observe(LLMCalled("", CROWDED))
            raise AllFailed([str(error)]) from error

    async def _call_in_order(
        self, prompt: Prompt, on_text: OnText, stream: bool
    ) -> ChainCompletion:
        reasons: list[str] = []
        for link in self.links:
            if not link.breaker.admits():
                reasons.append(f"{link.llm.name} is left alone after failing repeatedly")
                self._observe(LLMCalled(link.llm.name, "passed_over"))
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
        observe: Callable[[LLMCalled], None],
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
        self._tokens: TokenUsage | None = None

    async def run(self, stream: bool, passed_over: Sequence[str]) -> ChainCompletion:
        llm, now = self._link.llm, asyncio.get_running_loop().time
        hold = await self._hold()
        started = now()
        try:
            completion = await llm.complete(
                self._prompt, self._hear, stream=stream, taken=self._take
            )
            self._outcome = "ok"
            self._tokens = completion.tokens or self._estimated
            self._link.breaker.succeeded()
            return ChainCompletion(llm.name, self._tokens, completion.finish, tuple(passed_over))
        except UpstreamFailed as error:
            self._fail(error)
            raise
        finally:
            await self._close(hold, now() - started)

    async def _hold(self) -> BudgetHold:
        try:
            return await self._budget.hold(self._prompt_tokens + self._max_tokens)
        except BaseException:
            self._link.breaker.withdrawn()
            raise

    @property
    def _estimated(self) -> TokenUsage:
        return TokenUsage(self._prompt_tokens, self._heard)

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

    async def _close(self, hold: BudgetHold, seconds: float) -> None:
        if self._outcome == "client_gone":
            self._link.breaker.withdrawn()
        # A service that has the prompt works on it and charges for it, even if the call is
        # abandoned.
        abandoned = self._estimated if self._taken else TokenUsage()
        tokens = self._tokens or abandoned
        try:
            await self._budget.settle(hold, tokens.total)
        finally:
            self._observe(LLMCalled(self._link.llm.name, self._outcome, seconds, tokens))
