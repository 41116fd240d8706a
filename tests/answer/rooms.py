"""An answerer over fakes, for the tests of what it does."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any

from app.answer.answered import Answer, StageDone
from app.answer.cache import Recent
from app.answer.pipeline import Answerer, Manner
from app.answer.question import Question
from app.errors import UpstreamFailed
from app.llm import LLM
from app.llm.breaker import Breaker
from app.llm.budget import Budget
from app.llm.chain import Chain, Link
from app.llm.slots import Slots
from tests.fakes import FakeRetriever, OverlapReranker

TEXTS = (
    "The library opens at nine in the morning.",
    "A film is lent for one week only.",
    "A book is lent for four weeks in all.",
    "Bananas are rich in potassium.",
)
ASKED = Question("how long is a book lent", initial_k=4, final_k=2)
DOWN = UpstreamFailed("m is down", upstream="m")


class Room:
    """An answerer and all that it was built from."""

    def __init__(
        self,
        *llms: LLM,
        cache: float = 0.0,
        recent: Recent[Answer] | None = None,
        slots: Slots | None = None,
        **manner: Any,
    ) -> None:
        clock = asyncio.get_running_loop().time
        self.retriever = FakeRetriever(*TEXTS)
        self.reranker = OverlapReranker()
        self.seen: list[Answer | StageDone] = []
        links = [Link(one, Breaker(clock)) for one in llms]
        budget = Budget(0, None, lambda: date(2026, 11, 23))
        chain = Chain(links, budget, slots or Slots(8, 16), max_tokens=50) if llms else None
        self.answerer = Answerer(
            self.retriever,
            self.reranker,
            chain,
            Manner(**manner),
            cache=Recent(cache, clock) if recent is None else recent,
            observe=self.seen.append,
            fence=lambda: "c0de",
        )

    async def ask(self, question: Question = ASKED) -> Answer:
        return await self.answerer.answer(question)

    async def listen(self, question: Question = ASKED) -> list[Any]:
        """What a listener is given, and the answer."""
        events: list[Any] = []
        answer = await self.answerer.answer(question, events.append)
        return [*events, answer]

    @property
    def stages(self) -> list[tuple[str, str]]:
        return [(one.stage, one.outcome) for one in self.seen if isinstance(one, StageDone)]


def ids(answer: Answer) -> list[str]:
    return [one.candidate.id for one in answer.found.sources]
