"""Lists that are too long for one request are sent in parts and merged."""

from __future__ import annotations

import json

import httpx
import pytest

from rerankd.client import IncomparableScores
from tests.client.callers import Handler
from tests.client.script import DOCUMENTS, EXACT, Script, attempt, problem, ranks


def limited(limit: int, handler: Handler = ranks) -> Handler:
    def handle(request: httpx.Request) -> httpx.Response:
        if len(json.loads(request.content)["documents"]) > limit:
            body = {"type": "invalid", "detail": "too many", "field": "documents", "limit": limit}
            return httpx.Response(422, json=body)
        return handler(request)

    return handle


def test_parts_are_merged_in_order_and_equal_scores_keep_that_of_the_list(kind: str) -> None:
    texts = ["aa", "b", "cc", "dddd", "e"]
    script = Script(limited(2))
    ranking = attempt(kind, script, "rerank", "q", texts, call={"top_n": 4})
    assert [result.index for result in ranking.results] == [3, 0, 2, 1]
    assert [len(body["documents"]) for body in script.bodies] == [5, 2, 2, 1]
    assert all(body["top_n"] == 4 for body in script.bodies)
    assert ranking.usage.total_tokens == 5


def test_a_part_that_is_refused_for_now_is_tried_again_alone(kind: str) -> None:
    busy = problem(429, "overloaded", {"Retry-After": "1"})
    script = Script(limited(2), ranks, busy, ranks)
    attempt(kind, script, "rerank", "q", ["a", "b", "c", "d"], retries=EXACT)
    assert [body["documents"] for body in script.bodies[1:]] == [["a", "b"], ["c", "d"], ["c", "d"]]


def by(name: str) -> Handler:
    return lambda request: ranks(request, reranked_by=name)


def test_parts_of_another_ranker_are_sent_again(kind: str) -> None:
    script = Script(limited(2), by("cohere:m"), ranks, ranks)
    ranking = attempt(kind, script, "rerank", "q", ["a", "b", "c", "d"])
    assert [body["documents"] for body in script.bodies[1:]] == [["a", "b"], ["c", "d"], ["a", "b"]]
    assert ranking.reranked_by is None
    assert ranking.warnings == ()


def test_scores_of_different_rankers_are_never_merged(kind: str) -> None:
    script = Script(limited(2), by("cohere:m"), ranks, by("cohere:m"))
    with pytest.raises(IncomparableScores, match=r"cohere:m and by m"):
        attempt(kind, script, "rerank", "q", ["a", "b", "c", "d"])


def test_parts_by_another_service_carry_a_warning(kind: str) -> None:
    ranking = attempt(kind, Script(limited(2, by("jina:x"))), "rerank", "q", DOCUMENTS)
    assert ranking.reranked_by == "jina:x"
    assert "scored the list in 2 parts" in ranking.warnings[0]
