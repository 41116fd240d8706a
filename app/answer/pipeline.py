"""From a question to a cited answer: search, rerank, ask; or extract, or say that nothing is known.

Found comes first, then the words, and Answer last, whether or not anybody reads along.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Protocol

from app.answer import listwise
from app.answer.answered import Answer, Found, Source
from app.answer.cache import Recent
from app.answer.candidate import Candidate
from app.answer.citations import Reader
from app.answer.extractive import extract
from app.answer.llm import Spoken
from app.answer.llm.chain import AllFailed, Chain
from app.answer.prompt import NO_ANSWER, build
from app.answer.question import Question
from app.answer.run import Observe, Run
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
from app.rerank.query import Document, Query, Ranker, Ranking

NOTHING_STORED = "nothing was retrieved: is anything ingested?"
NOTHING_MATCHED = "nothing was retrieved with these filters"
Event = Found | str | Answer


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

    async def answer(self, question: Question) -> Answer:
        async with aclosing(self.events(question, stream=False)) as events:
            *_, last = [event async for event in events]
        assert isinstance(last, Answer)  # noqa: S101 (for the type checker)
        return last

    async def events(self, question: Question, *, stream: bool) -> AsyncGenerator[Event]:
        limit = min(question.timeout or self._manner.timeout, self._manner.timeout)
        with self._tracer.span("answer", "CHAIN", None) as root:
            run = Run(question, limit, self._tracer, root, self._observe)
            found = await self._find(run)
            yield found
            async with aclosing(self._speak(run, found, stream)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, str):
                        yield piece
                        continue
                    times = run.times | {"total": run.elapsed}
                    answer = replace(piece, warnings=tuple(run.warnings), times=times)
                    tell_answered(root, answer)
                    self._observe(answer)
                    yield answer

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

    async def _speak(self, run: Run, found: Found, stream: bool) -> AsyncGenerator[str | Answer]:
        began = False
        if found.sources and self._chain is not None:
            try:
                async with aclosing(self._write(run, found, self._chain, stream)) as pieces:
                    async for piece in pieces:
                        began = True
                        yield piece
                return
            except (AllFailed, UpstreamFailed) as error:
                if began:
                    raise
                run.warnings.append(f"extracted, not written: {error}")
        answer = await self._extract(run, found)
        yield answer.text
        yield answer

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

    async def _write(
        self,
        run: Run,
        found: Found,
        chain: Chain,
        stream: bool,
    ) -> AsyncGenerator[str | Answer]:
        key = answer_key(run, found, (chain.name, repr(self._manner)))
        if (known := self._cache.get(key)) is not None:
            run.warnings += known.warnings
            yield known.text
            yield replace(known, question=run.question, found=found, cached=True, tokens=run.tokens)
            return
        before = len(run.warnings)
        built = build(run.question, found.texts, self._fence(), self._manner.room)
        run.warnings += built.warnings
        reader = Reader(built.used)
        with run.stage("llm", "LLM") as span:
            started = run.elapsed
            async with aclosing(chain.words(built.prompt, stream=stream)) as words:
                while not isinstance(piece := await run.next_of(words), Spoken):
                    run.times.setdefault("first_token", run.elapsed - started)
                    if shown := reader.feed(piece):
                        yield shown
            tell_spoken(span, built.prompt, reader.text, piece)
        shown = reader.end()
        answer = written(run, found, built.used, reader, piece)
        if shown:
            yield shown
        if piece.finish == "stop":
            own = tuple(run.warnings[before:])
            self._cache.put(key, replace(answer, found=Found((), ()), warnings=own))
        yield answer
