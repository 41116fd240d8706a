"""Callers of the application, and what they must not see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.reliability.history.callers import Caller
from tests.reliability.history.checker import Checker, Faults
from tests.reliability.history.truth import Truth

TIMEOUT = 120.0
# As one service answers them, and what differs from answer to answer.
OWN = {"id", "request_id", "created", "times", "latency", "stats"}
HEADERS = ("content-type", "retry-after", "x-reranked-by", "www-authenticate")
DOCUMENTS = ["The Danube runs through ten lands.", "Books are lent for four weeks.", "", "Six."]
QUESTION = {"query": "which river runs through ten lands", "documents": DOCUMENTS}
REQUESTS: Sequence[tuple[str, str, Any]] = (
    ("POST", "/rerank", QUESTION),
    ("POST", "/rerank", QUESTION | {"top_n": 2, "return_documents": True, "score": "logit"}),
    ("POST", "/rerank", QUESTION | {"explain": True, "relevant_spans": {"threshold": 0.1}}),
    ("POST", "/rerank", QUESTION | {"documents": [{"id": 7, "text": "a", "kept": [1]}]}),
    ("POST", "/rerank", QUESTION | {"instruction": "find it", "min_score": 0.5}),
    ("POST", "/rerank", QUESTION | {"documents": ["long " * 200], "truncate": False}),
    ("POST", "/rerank", QUESTION | {"timeout_ms": 0}),
    ("POST", "/rerank", QUESTION | {"score": "calibrated"}),
    ("POST", "/rerank", {"query": "no documents"}),
    ("POST", "/v2/rerank", QUESTION | {"model": "any", "top_n": 1}),
    ("POST", "/v1/rerank", QUESTION | {"model": "any"}),
    ("POST", "/score", {"text_1": "which river", "text_2": DOCUMENTS[:2]}),
    ("POST", "/rerank", {"query": "which river", "texts": DOCUMENTS[:2], "raw_scores": True}),
    ("GET", "/healthz", None),
    ("GET", "/readyz", None),
    ("GET", "/v1/models", None),
    ("GET", "/nothing", None),
)


def differences(url: str, other: str) -> list[str]:
    """Of the answers of two services to the same requests."""
    unequal = []
    with httpx.Client(timeout=TIMEOUT) as client:
        for method, path, body in REQUESTS:
            answers = [client.request(method, base + path, json=body) for base in (url, other)]
            first, second = map(comparable, answers)
            if first != second:
                unequal.append(f"{method} {path} {body}: {first} and {second}")
    return unequal


def comparable(answer: httpx.Response) -> tuple[int, Any, dict[str, str | None]]:
    headers = {name: answer.headers.get(name) for name in HEADERS}
    return answer.status_code, without_own(answer.json()), headers


def without_own(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_own(part) for key, part in value.items() if key not in OWN}
    return [without_own(part) for part in value] if isinstance(value, list) else value


@asynccontextmanager
async def flowing(truth: Truth, port: int, callers: int, seed: str) -> AsyncIterator[Checker]:
    """Requests of callers without retries, each answer compared with the truth."""
    checker, over = Checker(truth, Faults()), asyncio.Event()
    tasks = [
        asyncio.create_task(
            Caller(truth, [port], f"{seed} {number}", checker.judge, rudeness=0.0).call_until(
                over.is_set
            )
        )
        for number in range(callers)
    ]
    try:
        yield checker
    finally:
        over.set()
        await asyncio.gather(*tasks)


def failures(checker: Checker) -> int:
    """Every answer that is not right, a refusal too: this load is far from one."""
    verdicts = checker.report.verdicts
    return sum(verdicts.values()) - verdicts["right"]
