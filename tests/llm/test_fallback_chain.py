from __future__ import annotations

import asyncio
from datetime import date
from typing import Any

import pytest

from app.errors import UpstreamFailed, UpstreamTimeout
from app.llm import LLM, ChainCompletion, Prompt, TokenUsage, Turn, estimate_prompt
from app.llm.breaker import MAX_FAILURES_IN_A_ROW, REST_SECONDS, Breaker
from app.llm.budget import Budget
from app.llm.fallback_chain import CROWDED, AllFailed, FallbackChain, Link, LLMCalled
from app.llm.slots import Slots
from tests.fakes import ScriptedLLM
from tests.virtual_time import in_virtual_time, now

PROMPT = Prompt("Rules.", (Turn("user", "How long?"),))
PROMPT_TOKENS = estimate_prompt(PROMPT)
DOWN = UpstreamFailed("a is down", upstream="a", status=500)
SLOW = UpstreamTimeout("a did not answer in time", upstream="a")


class WatchedChain(FallbackChain):
    def __init__(self, *llms: LLM, limit: int = 0, concurrency: int = 8, queue: int = 16) -> None:
        self.calls: list[LLMCalled] = []
        clock = asyncio.get_running_loop().time
        super().__init__(
            [Link(llm, Breaker(clock)) for llm in llms],
            Budget(limit, None, lambda: date(2026, 11, 23)),
            Slots(concurrency, queue),
            max_tokens=50,
            observe=self.calls.append,
        )

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        return [(call.llm, call.outcome) for call in self.calls]


async def hear(chain: FallbackChain, **more: Any) -> tuple[str, ChainCompletion]:
    pieces: list[str] = []
    completion = await chain.complete(PROMPT, pieces.append, stream=True, **more)
    return "".join(pieces), completion


@pytest.mark.parametrize(("error", "outcome"), [(DOWN, "failed"), (SLOW, "timeout")])
def test_the_next_is_called_when_one_fails_and_the_reason_is_kept(
    error: UpstreamFailed, outcome: str
) -> None:
    @in_virtual_time
    async def test() -> None:
        chain = WatchedChain(ScriptedLLM("a", error), ScriptedLLM("b", "Four."))
        text, completion = await hear(chain)
        assert text == "Four."
        assert completion == ChainCompletion("b", TokenUsage(9, 1), "stop", (str(error),))
        assert chain.outcomes == [("a", outcome), ("b", "ok")]

    test()


@in_virtual_time
async def test_after_the_first_word_no_other_model_is_called() -> None:
    other = ScriptedLLM("b", "Five.")
    chain = WatchedChain(ScriptedLLM("a", "Four ", DOWN), other)
    with pytest.raises(UpstreamFailed, match="a is down"):
        await hear(chain)
    assert other.prompts == []


@in_virtual_time
async def test_when_all_fail_each_reason_is_given() -> None:
    with pytest.raises(AllFailed) as caught:
        await hear(WatchedChain(ScriptedLLM("a", DOWN), ScriptedLLM("b", SLOW)))
    assert list(caught.value.reasons) == ["a is down", "a did not answer in time"]


@in_virtual_time
async def test_a_model_that_keeps_failing_is_passed_over_until_it_has_rested() -> None:
    down = ScriptedLLM("a", DOWN)
    chain = WatchedChain(down, ScriptedLLM("b", "Four."))
    for _ in range(MAX_FAILURES_IN_A_ROW + 3):
        await hear(chain)
    assert len(down.prompts) == MAX_FAILURES_IN_A_ROW
    assert chain.outcomes[-2:] == [("a", "passed_over"), ("b", "ok")]
    await asyncio.sleep(REST_SECONDS)
    await hear(chain)
    assert len(down.prompts) == MAX_FAILURES_IN_A_ROW + 1


@in_virtual_time
async def test_an_error_of_the_request_does_not_count_against_the_model() -> None:
    refusing = ScriptedLLM("a", UpstreamFailed("a answered 400", upstream="a", status=400))
    chain = WatchedChain(refusing, ScriptedLLM("b", "Four."))
    for _ in range(2 * MAX_FAILURES_IN_A_ROW):
        await hear(chain)
    assert len(refusing.prompts) == 2 * MAX_FAILURES_IN_A_ROW


@in_virtual_time
async def test_a_spent_budget_prevents_the_call() -> None:
    llm = ScriptedLLM("a", "Four.", tokens=100)
    chain = WatchedChain(llm, limit=170)
    await hear(chain)
    assert chain.budget.left == 70
    with pytest.raises(AllFailed, match="tokens for today are spent"):
        await hear(chain)
    assert len(llm.prompts) == 1


@in_virtual_time
async def test_only_so_many_calls_run_at_once() -> None:
    chain = WatchedChain(ScriptedLLM("a", 1.0, "Four."), concurrency=2)
    await asyncio.gather(*(hear(chain) for _ in range(6)))
    assert now() == 3


@in_virtual_time
async def test_a_caller_who_goes_away_frees_the_slot_and_counts_as_no_failure() -> None:
    llm = ScriptedLLM("a", "Four ", 60.0, "weeks.")
    chain = WatchedChain(llm, limit=1000, concurrency=1)
    call = asyncio.create_task(hear(chain))
    await asyncio.sleep(1)
    call.cancel()
    await asyncio.wait([call])
    assert chain.outcomes == [("a", "client_gone")]
    assert llm.closed == 1
    assert 900 < chain.budget.left < 1000  # what was heard is charged, what was held is not
    await hear(chain)


@pytest.mark.parametrize(
    ("error", "charged"),
    [
        (SLOW, PROMPT_TOKENS),
        (UpstreamFailed("a gave no words", upstream="a"), PROMPT_TOKENS),
        (DOWN, 0),
    ],
)
def test_a_prompt_that_was_taken_is_charged_for_and_one_that_was_refused_is_not(
    error: UpstreamFailed, charged: int
) -> None:
    @in_virtual_time
    async def test() -> None:
        chain = WatchedChain(ScriptedLLM("a", error), limit=1000)
        with pytest.raises(AllFailed):
            await hear(chain)
        assert chain.budget.left == 1000 - charged
        assert chain.calls[0].tokens == TokenUsage(charged, 0)

    test()


@in_virtual_time
async def test_a_caller_who_goes_away_before_the_first_word_is_charged_for_the_prompt() -> None:
    chain = WatchedChain(ScriptedLLM("a", 60.0, "Four."), limit=1000)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2):
            await hear(chain)
    assert chain.outcomes == [("a", "client_gone")]
    assert chain.budget.left == 1000 - PROMPT_TOKENS


@in_virtual_time
async def test_a_call_is_observed_though_its_caller_is_cancelled_again_while_it_settles() -> None:
    chain = WatchedChain(ScriptedLLM("a", 60.0, "Four."), limit=1000)
    call = asyncio.create_task(hear(chain))
    await asyncio.sleep(1)
    call.cancel()
    await asyncio.sleep(0)  # it settles
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert chain.outcomes == [("a", "client_gone")]
    assert chain.calls[0].tokens.total == 1000 - chain.budget.left


@in_virtual_time
async def test_a_question_that_would_wait_in_vain_is_refused_at_once_without_a_call() -> None:
    llm = ScriptedLLM("a", 10.0, "Four.")
    chain = WatchedChain(llm, concurrency=1, queue=1)
    calls = [asyncio.create_task(hear(chain)) for _ in range(2)]
    await asyncio.sleep(1)
    with pytest.raises(AllFailed, match="1 questions wait for the language models already"):
        await hear(chain)
    assert now() == 1
    await asyncio.gather(*calls)
    assert len(llm.prompts) == 2
    assert chain.outcomes == [("", CROWDED), ("a", "ok"), ("a", "ok")]


@in_virtual_time
async def test_a_call_that_would_end_too_late_is_not_made() -> None:
    llm = ScriptedLLM("a", 10.0, "Four.")
    chain = WatchedChain(llm, concurrency=1)
    await hear(chain)
    running = asyncio.create_task(hear(chain))
    await asyncio.sleep(1)
    with pytest.raises(AllFailed, match=r"about 9\.0 s, and 18\.0 s are left"):
        await hear(chain, left=18.0)
    await hear(chain, left=19.0)
    await running
    assert now() == 30


@in_virtual_time
async def test_a_caller_that_goes_while_it_holds_tokens_leaves_the_breaker_as_it_was() -> None:
    down = ScriptedLLM("a", DOWN)
    chain = WatchedChain(down, limit=10**6)
    for _ in range(MAX_FAILURES_IN_A_ROW):
        with pytest.raises(AllFailed):
            await hear(chain)
    await asyncio.sleep(REST_SECONDS)
    probing = asyncio.create_task(hear(chain))
    await asyncio.sleep(0)
    probing.cancel()
    await asyncio.wait([probing])
    with pytest.raises(AllFailed, match="a is down"):
        await hear(chain)
