"""From a question to a cited answer: retrieve, rerank, call a language model; or extract.

A listener receives the selection first, and then the words as they come.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from app.answer import listwise
from app.answer.cache import AnswerCache, answer_key
from app.answer.citations import CitationReader
from app.answer.extract import extract
from app.answer.feedback import Feedback
from app.answer.prompt import NO_ANSWER, BuiltPrompt, build
from app.answer.question import FilterValue, Question
from app.answer.result import Answer, Selection, Source
from app.answer.run import SILENT, Listener, Run
from app.answer.tracing import (
    trace_answer,
    trace_completion,
    trace_extract,
    trace_reranking,
    trace_retrieval,
)
from app.errors import UpstreamFailed
from app.events import AnswerGiven, Observe, ignore
from app.llm import ChainCompletion
from app.llm.fallback_chain import AllFailed, FallbackChain
from app.rerank.query import Document, Query, Ranker, Ranking
from app.retrieval.retriever import Retrieved
from app.retrieval.store import Candidate
from app.tracing.tracer import NoTracer, Tracer

NOTHING_STORED = "nothing was retrieved: is anything ingested?"
NOTHING_MATCHED = "nothing was retrieved with these filters"
# In the cache; the question of each caller replaces it.
NO_QUESTION = Question("")
CUT_SHORT = {
    "length": "the answer was cut: it reached the most tokens that an answer may take",
    "filter": "the language model's own filter ended the answer",
}


class Retrieves(Protocol):
    async def retrieve(
        self,
        queries: Sequence[str],
        *,
        k: int,
        filters: Mapping[str, FilterValue],
        collection: str | None,
    ) -> Retrieved: ...


@dataclass(frozen=True, slots=True)
class AnswerPolicy:
    """How questions are answered, whoever the caller is. `timeout` is in seconds."""

    timeout: float
    min_score: float
    prompt_tokens: int
    listwise: bool


class Answerer:
    def __init__(
        self,
        retriever: Retrieves,
        reranker: Ranker,
        chain: FallbackChain | None,
        policy: AnswerPolicy,
        *,
        cache: AnswerCache,
        tracer: Tracer | None = None,
        observe: Observe = ignore,
        fence: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._retriever = retriever
        self._reranker = reranker
        self._chain = chain
        self._policy = policy
        self._cache = cache
        self._tracer = tracer or NoTracer()
        self._observe = observe
        self._fence = fence

    def limit(self, question: Question) -> float:
        """Seconds that the answer may take."""
        return min(question.timeout or self._policy.timeout, self._policy.timeout)

    async def answer(self, question: Question, listener: Listener = SILENT) -> Answer:
        with self._tracer.span("answer", "CHAIN", question.trace) as root:
            limit = self.limit(question)
            run = Run(question, limit, self._tracer, root, self._observe, listener)
            selection = await self._select(run)
            run.show(selection)
            answer = await self._write_or_extract(run, selection)
            times = run.times | {"total": run.elapsed}
            answer = replace(answer, warnings=tuple(run.warnings), times=times)
            trace_answer(root, answer)
            invented = 0 if answer.cached else len(answer.invented)
            self._observe(AnswerGiven(answer.outcome, answer.cached, invented))
            if (scored := answer.selection.top_scored) is not None:
                self._observe(scored)
            return answer

    async def _select(self, run: Run) -> Selection:
        candidates = await self._retrieve(run)
        if not candidates:
            run.warnings.append(NOTHING_MATCHED if run.question.filters else NOTHING_STORED)
            return Selection((), ())
        selection = await self._rerank(run, candidates)
        if self._policy.listwise and self._chain is not None and len(selection.sources) > 1:
            fence, room = self._fence(), self._policy.prompt_tokens
            selection = await listwise.reorder(run, selection, self._chain, fence, room)
        return replace(selection, sources=selection.sources[: run.question.final_k])

    async def _retrieve(self, run: Run) -> Sequence[Candidate]:
        question = run.question
        with run.stage("retrieve", "RETRIEVER") as span:
            async with run.deadline.enforced():
                retrieved = await self._retriever.retrieve(
                    question.queries,
                    k=question.initial_k,
                    filters=question.filters,
                    collection=question.collection,
                )
            run.warnings += retrieved.warnings
            trace_retrieval(span, question.queries, retrieved.candidates)
        return retrieved.candidates[: question.initial_k]

    async def _rerank(self, run: Run, candidates: Sequence[Candidate]) -> Selection:
        question = run.question
        documents = [Document(candidate.text, candidate.id) for candidate in candidates]
        with run.stage("rerank", "RERANKER") as span:
            query = Query(
                question.in_context, documents, timeout=run.remaining, caller=question.caller
            )
            ranking = await self._reranker.rank(query)
            run.warnings += ranking.warnings
            selection = self._choose(run, candidates, ranking)
            trace_reranking(span, ranking.model, query.text, question.final_k, selection)
        return selection

    def _choose(self, run: Run, candidates: Sequence[Candidate], ranking: Ranking) -> Selection:
        """What scores high enough; more than `final_k` where a model orders them again."""
        unscored = {*ranking.usage.empty, *ranking.usage.failed}
        results = [result for result in ranking.results if result.index not in unscored]
        requested = run.question.min_score
        least = self._policy.min_score if requested is None else requested
        passed = [result for result in results if result.score >= least]
        if not passed:
            best = max((result.score for result in results), default=0.0)
            run.warnings.append(f"no passage scored {least:g} or more; the best has {best:.3g}")
        most = max(run.question.final_k, listwise.MAX_PASSAGES if self._policy.listwise else 0)
        sources = [
            Source(candidates[result.index], result.index + 1, result.score, rank)
            for rank, result in enumerate(passed[:most], 1)
        ]
        return Selection(
            sources, candidates, ranking.usage.tokens, ranking.model, ranking.by, results
        )

    async def _write_or_extract(self, run: Run, selection: Selection) -> Answer:
        if selection.sources and self._chain is not None:
            try:
                return await self._write(run, selection, self._chain)
            except (AllFailed, UpstreamFailed) as error:
                if run.began:
                    raise
                run.warnings.append(f"extracted, not written: {error}")
        answer = await self._extract(run, selection)
        run.show(answer.text)
        return answer

    async def _extract(self, run: Run, selection: Selection) -> Answer:
        if not selection.sources:
            return Answer(run.question, selection, "not_found", NO_ANSWER, tokens=run.tokens)
        with run.stage("extract", "RERANKER") as span:
            made = await extract(
                self._reranker,
                run.question.in_context,
                selection.bodies,
                run.remaining,
                run.question.caller,
            )
            trace_extract(span, run.question.in_context, made)
        if made.by != (ranker := selection.by or selection.model):
            run.warnings.append(f"{ranker} ranked the passages, {made.by} chose the sentences")
        return Answer(
            run.question,
            selection,
            "extractive",
            made.text,
            made.citations,
            used=len(selection.sources),
            tokens=run.tokens,
        )

    async def _write(self, run: Run, selection: Selection, chain: FallbackChain) -> Answer:
        key = answer_key(run.question, selection, (chain.name, repr(self._policy)))
        if (kept := self._cache.get(key)) is not None:
            run.warnings += kept.warnings
            run.show(kept.text)
            return replace(
                kept, question=run.question, selection=selection, cached=True, tokens=run.tokens
            )
        before = len(run.warnings)
        built = build(run.question, selection.texts, self._fence(), self._policy.prompt_tokens)
        run.warnings += built.warnings
        reader = CitationReader(built.used)
        completion = await complete(run, chain, built, reader)
        rest = reader.end()
        answer = written(run, selection, built.used, reader, completion)
        run.show(rest)
        if completion.finish == "stop":
            own = tuple(run.warnings[before:])
            bare = replace(answer, question=NO_QUESTION, selection=Selection((), ()), warnings=own)
            self._cache.put(key, bare)
        return answer


async def complete(
    run: Run, chain: FallbackChain, built: BuiltPrompt, reader: CitationReader
) -> ChainCompletion:
    with run.stage("llm", "LLM") as span:
        started = run.elapsed

        def hear(text: str) -> None:
            run.times.setdefault("first_token", run.elapsed - started)
            run.show(reader.feed(text))

        completion = await run.complete(chain, built.prompt, hear, stream=run.streams)
        trace_completion(span, built.prompt, reader.text, completion)
    return completion


def written(
    run: Run, selection: Selection, used: int, reader: CitationReader, completion: ChainCompletion
) -> Answer:
    """The answer from a model's words."""
    if not reader.text.strip():
        raise UpstreamFailed(f"{completion.llm} only cited", upstream=completion.llm)
    answered = reader.text.strip().rstrip(".") != NO_ANSWER.rstrip(".")
    run.tokens += completion.tokens
    run.warnings += completion.passed_over
    if completion.finish in CUT_SHORT:
        run.warnings.append(CUT_SHORT[completion.finish])
    if reader.invented:
        numbers = ", ".join(f"[{number}]" for number in sorted(set(reader.invented)))
        run.warnings.append(f"citations of passages that are not there were dropped: {numbers}")
    if answered and not reader.citations:
        run.warnings.append("the answer cites no passage")
    return Answer(
        run.question,
        selection,
        "answered" if answered else "not_found",
        reader.text,
        tuple(reader.citations),
        tuple(reader.invented),
        used=used,
        llm=completion.llm,
        tokens=run.tokens,
    )


@dataclass(frozen=True, slots=True)
class AnswerService:
    """What the routes of `/answer` use. `remember` keeps an answer for a verdict on it."""

    answerer: Answerer
    feedback: Feedback | None = None
    remember: Callable[[str, Answer], None] = lambda name, answer: None
