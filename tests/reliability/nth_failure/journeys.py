"""What callers do, and how to see that they were answered rightly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from httpx import AsyncClient, Response

from app.api.problems import TYPES
from tests.api.asking import BODY, TEXTS, events_of

TOLERANCE = 1e-4
OTHER = "http://other.test"
QUERY = {"query": "how long may I keep the book", "documents": [*TEXTS, "A film: one week."]}


class Wrong(AssertionError):
    """An answer that is neither right nor a documented refusal."""


@dataclass(frozen=True, slots=True)
class Reply:
    """`right`: all that must be the same each time; none where it was refused, or less."""

    right: Any
    content: Any

    def same(self, right: Any) -> bool:
        """Scores of other batches differ in their last digits."""
        if isinstance(right, dict) and isinstance(self.right, dict):
            return self.right == pytest.approx(right, abs=TOLERANCE)
        return bool(self.right == right)


Ask = Callable[[AsyncClient], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Journey:
    name: str
    ask: Ask
    settings: Callable[[Path], Mapping[str, Any]] = field(default=lambda folder: {})


async def rank(client: AsyncClient) -> Reply:
    response = await client.post("/rerank", json=QUERY)
    if response.status_code != 200:
        return refused(response)
    body = response.json()
    scores = {each["index"]: each["relevance_score"] for each in body["results"]}
    failed = body["usage"].get("failed_documents", [])
    if any(scores.pop(index) != 0.0 for index in failed):
        raise Wrong(f"a document without a score has one: {body}")
    return Reply(None if failed else scores, scores)


async def answer(client: AsyncClient) -> Reply:
    response = await client.post("/answer", json=BODY)
    return judged(response.json()) if response.status_code == 200 else refused(response)


async def extract(client: AsyncClient) -> Reply:
    """Without a language model the passages' own sentences are the answer."""
    response = await client.post("/answer", json=BODY)
    if response.status_code != 200:
        return refused(response)
    body = response.json()
    sentences = {index: text for index, text in enumerate(TEXTS) if text in body["answer"]}
    if body["outcome"] != "extractive" or not sentences:
        raise Wrong(f"no sentence of a passage: {body}")
    whole = not body["warnings"] and len(body["sources"]) == len(TEXTS)
    return Reply(body["answer"] if whole else None, body)


async def answer_in_pieces(client: AsyncClient) -> Reply:
    response = await client.post("/answer", json={**BODY, "stream": True})
    if response.status_code != 200:
        return refused(response)
    events = events_of(response.text)
    name, last = events[-1]
    if name == "error":
        return documented(last)
    text = "".join(event["text"] for name, event in events if name == "text")
    if name != "answer" or text != last["answer"]:
        raise Wrong(f"the pieces are not the answer: {events}")
    return judged(last)


async def answer_and_verdict(client: AsyncClient) -> Reply:
    response = await client.post("/answer", json=BODY)
    if response.status_code != 200:
        return refused(response)
    path = f"/answer/{response.json()['id']}/feedback"
    verdict = await client.post(path, json={"useful": "up"})
    return Reply("kept", 204) if verdict.status_code == 204 else refused(verdict)


def judged(body: Any) -> Reply:
    """An extract in the place of an answer says why."""
    if body["outcome"] != "answered" and not body["warnings"]:
        raise Wrong(f"an {body['outcome']} answer without a reason")
    right = (body["answer"], body["citations"], [each["id"] for each in body["sources"]])
    return Reply(right if body["outcome"] == "answered" else None, body)


def refused(response: Response) -> Reply:
    return documented(response.json())


def documented(problem: Any) -> Reply:
    if problem.get("type") not in TYPES or not problem.get("detail"):
        raise Wrong(f"no documented refusal: {problem}")
    return Reply(None, problem)


def with_model(folder: Path) -> Mapping[str, Any]:
    return {
        "llm": "http://llm.test/v1#m",
        "llm_keys": "key",
        "llm_attempts": 1,
        "llm_daily_tokens": 10**9,
        "llm_budget_file": folder / "budget.json",
        "feedback_file": folder / "feedback.jsonl",
    }


JOURNEYS = (
    Journey("rank", rank),
    Journey("rank in small batches", rank, lambda folder: {"max_batch_tokens": 16}),
    Journey(
        "rank by the fallback",
        rank,
        lambda folder: {
            "model": str(folder / "nothing"),
            "fallback": OTHER,
            "fallback_daily_documents": 10**6,
            "fallback_budget_file": folder / "fallback.json",
        },
    ),
    Journey("answer", answer, with_model),
    Journey("extract", extract),
    Journey("answer in pieces", answer_in_pieces, with_model),
    Journey("answer and verdict", answer_and_verdict, with_model),
)
