"""Stand-ins for timing and faults; everything else in the tests is the real thing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Any

import numpy as np

from app.engines import Encoded, OutOfMemory, Pair
from app.errors import UpstreamFailed
from app.llm import Completion, OnText, Prompt, TokenUsage
from app.model_card import ModelCard
from app.rerank.query import Query, Ranking, Result
from app.retrieval.retriever import Retrieved
from app.retrieval.store import Candidate
from app.text import Side
from tests.virtual_time import now

CARD = ModelCard(model="fake", engine="fake", takes_instruction=False)


def pair(tokens: int, mark: int = 0) -> Pair:
    """A pair of that many tokens; its first token is what the fake engine answers."""
    ids = np.zeros(tokens, dtype=np.int32)
    ids[0] = mark
    return Pair(ids, 1)


class FakeEngine:
    """Scores a pair by its first token; a call takes `seconds`, and so many for each token."""

    def __init__(self, seconds: float = 0.0, per_token: float = 0.0) -> None:
        self.seconds = seconds
        self.per_token = per_token
        self.error: Exception | None = None
        self.poison: set[int] = set()
        self.most_tokens: int | None = None
        self.calls: list[tuple[float, list[int]]] = []

    async def score(self, pairs: Sequence[Pair]) -> Sequence[float]:
        marks = [int(pair.ids[0]) for pair in pairs]
        tokens = sum(pair.tokens for pair in pairs)
        self.calls.append((now(), marks))
        await asyncio.sleep(self.seconds + self.per_token * tokens)
        if self.error is not None:
            raise self.error
        if self.most_tokens is not None and tokens > self.most_tokens:
            raise OutOfMemory(f"{tokens} tokens")
        if self.poison & set(marks):
            raise ValueError("a pair that cannot be scored")
        return [float(mark) for mark in marks]

    @property
    def batches(self) -> list[list[int]]:
        return [marks for _, marks in self.calls]


class SlowThreads(Executor):
    """Tokenizes so many characters a second; remembers when each text began."""

    def __init__(self, pace: float) -> None:
        self.pace = pace
        self.begun: list[tuple[float, str]] = []

    def submit(self, call: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        texts = arguments[0] if arguments else ()  # other work takes no time
        if texts:
            self.begun.append((now(), texts[0][:1]))
        future: Future[Any] = Future()

        def end() -> None:
            try:
                future.set_result(call(*arguments, **named))
            except Exception as error:  # noqa: BLE001 (as an executor does)
                future.set_exception(error)

        asyncio.get_running_loop().call_later(sum(map(len, texts)) / self.pace, end)
        return future


class WordEncoder:
    """One token a word; the first token of a pair is how many words of the document it has."""

    takes_instruction = False
    repeats_query = False

    def __init__(self, max_tokens: int = 100) -> None:
        self.max_tokens = max_tokens
        self.calls: list[list[str]] = []

    def encode(
        self,
        query: str,
        documents: Sequence[str],
        *,
        instruction: str | None,
        cut: Side,
        document_tokens: int = 0,
        clip: bool = False,
    ) -> list[Encoded]:
        self.calls.append(list(documents))
        return [self._encode(query, text, document_tokens) for text in documents]

    def _encode(self, query: str, text: str, most: int) -> Encoded:
        query_words, words = len(query.split()), len(text.split())
        kept = min(words, most or words, self.max_tokens - query_words)
        return Encoded(pair(query_words + kept, kept), query_words + words, words, kept)


async def after(seconds: float, call: Any) -> Any:
    await asyncio.sleep(seconds)
    return await call


class FakeRetriever:
    """Gives what it was given, after `seconds`; remembers what it was asked."""

    def __init__(self, *texts: str, seconds: float = 0.0) -> None:
        self.candidates = [
            Candidate(f"p{number}", text, {"source": f"{number}.md"}, 10.0 - number)
            for number, text in enumerate(texts, 1)
        ]
        self.seconds = seconds
        self.error: Exception | None = None
        self.calls: list[dict[str, Any]] = []

    async def retrieve(self, queries: Sequence[str], **more: Any) -> Retrieved:
        self.calls.append({"queries": list(queries), **more})
        await asyncio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return Retrieved(self.candidates[: more["k"]])


class OverlapReranker:
    """The share of the query's words that a text has."""

    name = "overlap"

    def __init__(self) -> None:
        self.queries: list[Query] = []
        self.by: list[str] = []  # who is said to have ranked, query by query

    async def rank(self, query: Query) -> Ranking:
        self.queries.append(query)
        query_words = words(query.text)
        scores = [
            len(query_words & words(document.text)) / len(query_words)
            for document in query.documents
        ]
        order = sorted(range(len(scores)), key=lambda index: -scores[index])
        results = [Result(index, scores[index]) for index in order][: query.top_n]
        by = self.by.pop(0) if self.by else ""
        return Ranking(query, results, scores, model=self.name, by=by)


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


class ScriptedLLM:
    """Says each of its pieces; an exception among them is raised, a number waited for."""

    def __init__(self, name: str, *pieces: str | Exception | float, tokens: int = 10) -> None:
        self.name = name
        self.pieces = pieces
        self.tokens = tokens
        self.prompts: list[Prompt] = []
        self.closed = 0

    async def complete(
        self, prompt: Prompt, on_text: OnText, *, stream: bool, taken: Callable[[bool], None]
    ) -> Completion:
        self.prompts.append(prompt)
        taken(True)
        try:
            for piece in self.pieces:
                if isinstance(piece, UpstreamFailed) and piece.status:
                    taken(False)
                if isinstance(piece, Exception):
                    raise piece
                if isinstance(piece, str):
                    on_text(piece)
                else:
                    await asyncio.sleep(piece)
            return Completion(TokenUsage(self.tokens - 1, 1))
        finally:
            self.closed += 1

    async def close(self) -> None: ...
