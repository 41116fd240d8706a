"""From a question to a cited answer: search, rerank, ask; or extract, or say that nothing is known.

A listener is given Found first, and then the words as they come.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from app.answer import listwise
from app.answer.answered import Answer, Found, Source
from app.answer.cache import Recent
from app.answer.citations import Reader
from app.answer.extractive import extract
from app.answer.feedback import Feedback
from app.answer.prompt import NO_ANSWER, build
from app.answer.question import Question
from app.answer.run import Listener, Observe, Run
from app.answer.tracing import (
    NoTracer,
    Tracer,
    tell_answered,
    tell_reranked,
    tell_retrieved,
    tell_spoken,
)
from app.answer.writing import answer_key, written
from app.errors import UpstreamFailed
from app.llm.chain import AllFailed, Chain
from app.rerank.query import Document, Query, Ranker, Ranking
from app.retrieval.store import Candidate

NOTHING_STORED = "nothing was retrieved: is anything ingested?"
NO_QUESTION = Question("")  # of an answer in the cache: whoever is given it has his own
NOTHING_MATCHED = "nothing was retrieved with these filters"


class Retrieved(Protocol):
    @property
    def candidates(self) -> Sequence[Candidate]: ...
    @property
    def warnings(self) -> Sequence[str]: ...


class Retrieves(Protocol):
    async def retrieve(
        self,
        queries: Sequence[str],
        *,
        k: int,
        filters: Mapping[str, Any],
        collection: str | None,
    ) -> Retrieved: ...


@dataclass(frozen=True, slots=True)
class Manner:
    """How questions are answered, whoever asks."""

    timeout: float = 120.0  # seconds
    min_score: float = 0.05
    room: int = 7168  # tokens of a prompt
    listwise: bool = False


class Answerer:
    def __init__(
        self,
        retriever: Retrieves,
        reranker: Ranker,
        chain: Chain | None,
        manner: Manner,
        *,
        cache: Recent[Answer],
        tracer: Tracer | None = None,
        observe: Observe = lambda event: None,
        fence: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._retriever = retriever
        self._reranker = reranker
        self._chain = chain
        self._manner = manner
        self._cache = cache
        self._tracer = tracer or NoTracer()
        self._observe = observe
        self._fence = fence

    def limit(self, question: Question) -> float:
        """Seconds that the answer may take."""
        return min(question.timeout or self._manner.timeout, self._manner.timeout)

    async def answer(self, question: Question, listener: Listener | None = None) -> Answer:
        with self._tracer.span("answer", "CHAIN", None) as root:
            limit = self.limit(question)
            run = Run(question, limit, self._tracer, root, self._observe, listener)
            found = await self._find(run)
            run.show(found)
            answer = await self._speak(run, found)
            times = run.times | {"total": run.elapsed}
            answer = replace(answer, warnings=tuple(run.warnings), times=times)
            tell_answered(root, answer)
            self._observe(answer)
            return answer

    async def _find(self, run: Run) -> Found:
        candidates = await self._retrieve(run)
        if not candidates:
            run.warnings.append(NOTHING_MATCHED if run.question.filters else NOTHING_STORED)
            return Found((), ())
        found = await self._rerank(run, candidates)
        if self._manner.listwise and self._chain is not None and len(found.sources) > 1:
            fence, room = self._fence(), self._manner.room
            found = await listwise.reorder(run, found, self._chain, fence, room)
        return replace(found, sources=found.sources[: run.question.final_k])

    async def _retrieve(self, run: Run) -> Sequence[Candidate]:
        question = run.question
        with run.stage("retrieve", "RETRIEVER") as span:
            try:
                async with run.within():
                    retrieved = await self._retriever.retrieve(
                        question.queries,
                        k=question.initial_k,
                        filters=question.filters,
                        collection=question.collection,
                    )
            except TimeoutError as error:
                raise run.late() from error
            run.warnings += retrieved.warnings
            tell_retrieved(span, question.queries, retrieved.candidates)
        return retrieved.candidates[: question.initial_k]

    async def _rerank(self, run: Run, candidates: Sequence[Candidate]) -> Found:
        question = run.question
        documents = [Document(one.text, one.id) for one in candidates]
        with run.stage("rerank", "RERANKER") as span:
            query = Query(
                question.in_context, documents, timeout=run.remaining, caller=question.caller
            )
            ranking = await self._reranker.rank(query)
            run.warnings += ranking.warnings
            found = self._choose(run, candidates, ranking)
            tell_reranked(span, ranking.model, query.text, question.final_k, found)
        return found

    def _choose(self, run: Run, candidates: Sequence[Candidate], ranking: Ranking) -> Found:
        """What is good enough; a few more than asked for where a model orders them again."""
        unscored = {*ranking.usage.empty, *ranking.usage.failed}
        results = [one for one in ranking.results if one.index not in unscored]
        asked = run.question.min_score
        least = self._manner.min_score if asked is None else asked
        passed = [one for one in results if one.score >= least]
        if not passed:
            best = max((one.score for one in results), default=0.0)
            run.warnings.append(f"no passage scored {least:g} or more; the best has {best:.3g}")
        most = max(run.question.final_k, listwise.SHOWN if self._manner.listwise else 0)
        sources = [
            Source(candidates[one.index], one.index + 1, one.score, rank)
            for rank, one in enumerate(passed[:most], 1)
        ]
        return Found(sources, candidates, ranking.usage.tokens, ranking.model, ranking.by)

    async def _speak(self, run: Run, found: Found) -> Answer:
        if found.sources and self._chain is not None:
            try:
                return await self._write(run, found, self._chain)
            except (AllFailed, UpstreamFailed) as error:
                if run.began:
                    raise
                run.warnings.append(f"extracted, not written: {error}")
        answer = await self._extract(run, found)
        run.show(answer.text)
        return answer

    async def _extract(self, run: Run, found: Found) -> Answer:
        if not found.sources:
            return Answer(run.question, found, "not_found", NO_ANSWER, tokens=run.tokens)
        with run.stage("extract", "RERANKER"):
            made = await extract(
                self._reranker,
                run.question.in_context,
                found.bodies,
                run.remaining,
                run.question.caller,
            )
        if made.by != (ranker := found.by or found.model):
            run.warnings.append(f"{ranker} ranked the passages, {made.by} chose the sentences")
        return Answer(
            run.question,
            found,
            "extractive",
            made.text,
            made.citations,
            used=len(found.sources),
            tokens=run.tokens,
        )

    async def _write(self, run: Run, found: Found, chain: Chain) -> Answer:
        key = answer_key(run, found, (chain.name, repr(self._manner)))
        if (known := self._cache.get(key)) is not None:
            run.warnings += known.warnings
            run.show(known.text)
            return replace(
                known, question=run.question, found=found, cached=True, tokens=run.tokens
            )
        before = len(run.warnings)
        built = build(run.question, found.texts, self._fence(), self._manner.room)
        run.warnings += built.warnings
        reader = Reader(built.used)
        with run.stage("llm", "LLM") as span:
            started = run.elapsed

            def hear(text: str) -> None:
                run.times.setdefault("first_token", run.elapsed - started)
                run.show(reader.feed(text))

            spoken = await run.complete(chain, built.prompt, hear, stream=run.streams)
            tell_spoken(span, built.prompt, reader.text, spoken)
        shown = reader.end()
        answer = written(run, found, built.used, reader, spoken)
        run.show(shown)
        if spoken.finish == "stop":
            own = tuple(run.warnings[before:])
            bare = replace(answer, question=NO_QUESTION, found=Found((), ()), warnings=own)
            self._cache.put(key, bare)
        return answer


@dataclass(frozen=True, slots=True)
class Answering:
    answerer: Answerer
    chain: Chain | None
    feedback: Feedback | None
    remember: Callable[[str, Answer], None] = lambda name, answer: None  # for a verdict later
