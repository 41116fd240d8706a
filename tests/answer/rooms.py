"""An answerer over fakes, with everything that it was built from."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date
from typing import Any

from app.answer.answerer import Answerer, AnswerPolicy
from app.answer.cache import AnswerCache, answer_cache
from app.answer.question import Question
from app.answer.result import Answer, Selection, StageDone
from app.errors import UpstreamFailed
from app.llm import LLM
from app.llm.breaker import Breaker
from app.llm.budget import Budget
from app.llm.fallback_chain import FallbackChain, Link
from app.llm.slots import Slots
from tests.fakes import FakeRetriever, OverlapReranker

TEXTS = (
    "The library opens at nine in the morning.",
    "A film is lent for one week only.",
    "A book is lent for four weeks in all.",
    "Bananas are rich in potassium.",
)
QUESTION = Question("how long is a book lent", initial_k=4, final_k=2)
DOWN = UpstreamFailed("m is down", upstream="m")
POLICY = AnswerPolicy(timeout=120.0, min_score=0.05, prompt_tokens=7168, listwise=False)
CACHE_BYTES = 2**26


class Room:
    def __init__(
        self,
        *llms: LLM,
        cache_seconds: float = 0.0,
        cache: AnswerCache | None = None,
        slots: Slots | None = None,
        **policy: Any,
    ) -> None:
        clock = asyncio.get_running_loop().time
        self.retriever = FakeRetriever(*TEXTS)
        self.reranker = OverlapReranker()
        self.seen: list[Answer | StageDone] = []
        links = [Link(llm, Breaker(clock)) for llm in llms]
        budget = Budget(0, None, lambda: date(2026, 11, 23))
        slots = slots or Slots(8, 16)
        self.answerer = Answerer(
            self.retriever,
            self.reranker,
            FallbackChain(links, budget, slots, max_tokens=50) if llms else None,
            replace(POLICY, **policy),
            cache=answer_cache(cache_seconds, clock, CACHE_BYTES) if cache is None else cache,
            observe=self.seen.append,
            fence=lambda: "c0de",
        )

    async def ask(self, question: Question = QUESTION) -> Answer:
        return await self.answerer.answer(question)

    async def listen(self, question: Question = QUESTION) -> tuple[list[Selection | str], Answer]:
        """What a listener receives, and the answer."""
        events: list[Selection | str] = []
        answer = await self.answerer.answer(question, events.append)
        return events, answer

    @property
    def stages(self) -> list[tuple[str, str]]:
        return [(event.stage, event.outcome) for event in self.seen if isinstance(event, StageDone)]


def ids(answer: Answer) -> list[str]:
    return [source.candidate.id for source in answer.selection.sources]
