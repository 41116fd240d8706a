"""What stands around the service: another ranker, a store, language models, the UTC day."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from random import Random
from zlib import crc32

from app.answer.question import FilterValue
from app.errors import UpstreamFailed, UpstreamTimeout
from app.llm import Completion, OnText, Prompt, TokenUsage, estimate_prompt
from app.rerank.cache import TextScore
from app.rerank.query import Query, Ranking, Times
from app.rerank.ranking import make_ranking
from app.retrieval.retriever import Retrieved
from app.retrieval.store import Candidate
from tests.reliability.simulate.reference import Reference, context_of, logit_of
from tests.reliability.simulate.world import World

REMOTE = "remote"
REMOTE_SECONDS = 3.0
ANSWER_TOKENS = 60
DAY = 86_400.0
QUESTION = re.compile(r"Question: (.*)\Z", re.DOTALL)


class InjectedFailure(UpstreamFailed):
    pass


class InjectedTimeout(UpstreamTimeout):
    pass


class SimulatedRemote:
    """Another ranker with the same scores; says that it was the one."""

    def __init__(self, world: World, reference: Reference) -> None:
        self.rate = world.faults.remote
        self._reference = reference
        self._rng = Random(f"remote {world.seed}")

    async def rank(self, query: Query) -> Ranking:
        seconds = self._rng.random()
        limit = min(REMOTE_SECONDS, query.timeout or REMOTE_SECONDS)
        await asyncio.sleep(min(seconds, limit))
        if seconds > limit:
            raise InjectedTimeout("remote is late", upstream=REMOTE)
        if self._rng.random() < self.rate:
            raise InjectedFailure("remote failed", upstream=REMOTE, status=500)
        context, scores = context_of(query), dict[str, TextScore]()
        for document in query.documents:
            if (text := document.text).strip():
                item = self._reference.encode(context, text)
                mark = self._reference.mark(query, item, text)
                scores[text] = TextScore(
                    logit_of(mark), item.tokens, truncated=item.whole > item.tokens
                )
        ranking = make_ranking(query, scores, 0, Times())
        return Ranking(
            query, ranking.results, ranking.logits, ranking.usage, model=REMOTE, by=REMOTE
        )


class SimulatedStore:
    def __init__(self, world: World, candidates: Sequence[Candidate]) -> None:
        self.rate = world.faults.store
        self._candidates = candidates
        self._rng = Random(f"store {world.seed}")

    def candidates_for(self, question: str, k: int) -> list[Candidate]:
        return Random(f"{crc32(question.encode())}").sample(self._candidates, k)

    async def retrieve(
        self,
        queries: Sequence[str],
        *,
        k: int,
        filters: Mapping[str, FilterValue],
        collection: str | None,
    ) -> Retrieved:
        await asyncio.sleep(self._rng.expovariate(50.0))
        if self._rng.random() < self.rate:
            raise InjectedFailure("store failed", upstream="store")
        return Retrieved(self.candidates_for(queries[0], k))


class SimulatedLLM:
    """Says what the question asks it to; fails before, in the middle, or late."""

    def __init__(self, name: str, world: World, share: float = 1.0) -> None:
        self.name = name
        self.rate = world.faults.llm * share
        self.under_way = 0
        self._rng = Random(f"{name} {world.seed}")

    async def complete(
        self, prompt: Prompt, on_text: OnText, *, stream: bool, taken: Callable[[bool], None]
    ) -> Completion:
        self.under_way += 1
        try:
            fault = self._rng.randrange(6) if self._rng.random() < self.rate else -1
            await asyncio.sleep(self._rng.expovariate(5.0))
            if fault == 0:
                status = self._rng.choice([400, 429, 500])
                taken(False)
                raise InjectedFailure(f"{self.name} refused", upstream=self.name, status=status)
            taken(True)
            if fault == 1:
                await asyncio.sleep(60.0)
                raise InjectedTimeout(f"{self.name} is late", upstream=self.name)
            pieces = reply(prompt).split(" ")
            for index, piece in enumerate(pieces):
                if fault == 2 and index == len(pieces) // 2:
                    raise InjectedFailure(f"{self.name} broke off", upstream=self.name)
                await asyncio.sleep(3600.0 if fault == 3 and index == 1 else 0.01)
                on_text(piece if index == 0 else f" {piece}")
            used = TokenUsage(estimate_prompt(prompt) // 2, ANSWER_TOKENS // 2)
            return Completion(None if fault == 4 else used, "length" if fault == 5 else "stop")
        finally:
            self.under_way -= 1

    async def close(self) -> None: ...


def reply(prompt: Prompt) -> str:
    """Of a question, so that nobody else's answer looks right. An order, where that is wanted."""
    match = QUESTION.search(prompt.turns[-1].text)
    assert match is not None
    if prompt.system.startswith("You order passages"):
        return "2 > 1"
    return answer_to(match[1])


def answer_to(question: str) -> str:
    return f"It is {crc32(question.encode())} [1]."


class Days:
    """The UTC day by the loop's clock; jumps forward and back."""

    START = date(2026, 11, 20)

    def __init__(self, world: World, seconds: float) -> None:
        rng = Random(f"days {world.seed}")
        jumps = [rng.random() * seconds for _ in range(world.faults.clock_jumps)]
        self._jumps = [(at, rng.choice([1, 7, -1])) for at in sorted(jumps)]
        self._now = asyncio.get_running_loop().time

    def __call__(self) -> date:
        now = self._now()
        jumped = sum(days for at, days in self._jumps if at <= now)
        return self.START + timedelta(days=jumped + int(now // DAY))
