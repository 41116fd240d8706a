"""What a client of each dialect sends, and how it reads the answer. Knows nothing of `app`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Body = dict[str, Any]


class Unreadable(Exception):
    """An answer with status 200 that a client of this dialect cannot read."""


@dataclass(frozen=True)
class Wire:
    name: str
    path: str
    body: Callable[[str, Sequence[str]], Body]
    rows: Callable[[Any], list[Any]]
    score: str
    as_logit: bool = False
    sorted: bool = True  # /score answers in the order of the request

    def message(self, query: str, texts: Sequence[str]) -> bytes:
        return json.dumps(self.body(query, texts)).encode()

    def scores(self, answer: bytes, count: int) -> list[tuple[int, float]]:
        """Index and score of each result, in the order of the answer."""
        try:
            pairs = [(int(row["index"]), float(row[self.score])) for row in self._rows(answer)]
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise Unreadable(f"{self.name}: {type(error).__name__}: {error}") from error
        if sorted(index for index, _ in pairs) != list(range(count)):
            raise Unreadable(f"{self.name}: {len(pairs)} results for {count} documents")
        return pairs

    def _rows(self, answer: bytes) -> list[Any]:
        return self.rows(json.loads(answer))


def plain(query: str, texts: Sequence[str]) -> Body:
    return {"model": "m", "query": query, "documents": list(texts)}


def native(query: str, texts: Sequence[str]) -> Body:
    return {"query": query, "documents": list(texts), "score": "logit"}


def tei(query: str, texts: Sequence[str]) -> Body:
    return {"query": query, "texts": list(texts), "raw_scores": True}


def infinity(query: str, texts: Sequence[str]) -> Body:
    return plain(query, texts) | {"raw_scores": True}


def vllm(query: str, texts: Sequence[str]) -> Body:
    parts = [{"content": [{"type": "text", "text": text}]} for text in texts[1:]]
    return {"query": query, "documents": [*texts[:1], *parts]}


def nim(query: str, texts: Sequence[str]) -> Body:
    passages = [{"text": text} for text in texts]
    return {"model": "m", "query": {"text": query}, "passages": passages}


def mixedbread(query: str, texts: Sequence[str]) -> Body:
    return {"model": "m", "query": query, "input": list(texts)}


def cohere_v1(query: str, texts: Sequence[str]) -> Body:
    return {"model": "m", "query": query, "documents": [{"text": text} for text in texts]}


def score(query: str, texts: Sequence[str]) -> Body:
    return {"text_1": query, "text_2": list(texts), "use_activation": False}


def results(answer: Any) -> list[Any]:
    return list(answer["results"])


def data(answer: Any) -> list[Any]:
    return list(answer["data"])


def rankings(answer: Any) -> list[Any]:
    return list(answer["rankings"])


WIRES = (
    Wire("native", "/rerank", native, results, "relevance_score", as_logit=True),
    Wire("shared", "/v1/rerank", plain, results, "relevance_score"),
    Wire("cohere_v1", "/cohere/v1/rerank", cohere_v1, results, "relevance_score"),
    Wire("cohere_v2", "/v2/rerank", plain, results, "relevance_score"),
    Wire("jina", "/jina/v1/rerank", plain, results, "relevance_score"),
    Wire("voyage", "/voyage/v1/rerank", plain, data, "relevance_score"),
    Wire("tei", "/tei/rerank", tei, list, "score", as_logit=True),
    Wire("infinity", "/infinity/rerank", infinity, results, "relevance_score", as_logit=True),
    Wire("vllm", "/vllm/rerank", vllm, results, "relevance_score"),
    Wire("llamacpp", "/reranking", plain, results, "relevance_score", as_logit=True),
    Wire("nim", "/v1/ranking", nim, rankings, "logit", as_logit=True),
    Wire("xinference", "/xinference/v1/rerank", plain, results, "relevance_score"),
    Wire("sglang", "/sglang/v1/rerank", plain, list, "score"),
    Wire("mixedbread", "/v1/reranking", mixedbread, data, "score"),
    Wire("siliconflow", "/siliconflow/v1/rerank", plain, results, "relevance_score"),
    Wire("score", "/score", score, data, "score", as_logit=True, sorted=False),
)
