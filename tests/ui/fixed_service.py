"""Answers that are the same on every machine, in place of those of the service."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from playwright.sync_api import Page, Route

MODEL, FALLBACK = "rerankd-minilm", "another-model"
INFO = {
    "version": "0", "state": "ready", "status": "ready", "model": MODEL, "engine": "openvino",
    "device": "cpu", "dtype": "int8", "takes_instruction": False, "answers": True,
    "scores": ["probability", "logit", "calibrated"],
    "fallback": FALLBACK, "fallback_on_request": True, "local_status": "ready", "limits": {},
}  # fmt: skip
METRICS = """rerankd_request_seconds_bucket{le="0.1",outcome="ok",route="/rerank"} 90.0
rerankd_request_seconds_bucket{le="+Inf",outcome="ok",route="/rerank"} 100.0
rerankd_queue_tokens 250.0
rerankd_queue_tokens_limit 1000.0
rerankd_tokens_total{kind="text"} 300.0
rerankd_tokens_total{kind="padding"} 100.0
"""
# More than so many characters of a document are cut.
READ_CHARS = 420
BEST, FACTOR = 0.92, 0.78
SOURCES = (("loans.md", 3, 0.81), ("fees.md", 1, 0.44), ("rooms.md", 2, 0.07))
TEXT = "Books are lent for four weeks [1]. The fine is ten cents a day [2]."


def order_of(count: int, *, other: bool) -> list[int]:
    """Best first. The other order is that of a second setting."""
    step, modulus = (5, 13) if other else (7, 11)
    return sorted(range(count), key=lambda index: ((index * step + 3) % modulus, index))


def reading_of(text: str) -> dict[str, Any]:
    read, middle = min(len(text), READ_CHARS), min(len(text), READ_CHARS) // 2
    parts = [
        {"start": 0, "end": middle, "score": 0.31},
        {"start": middle, "end": read, "score": 0.12},
    ]
    return {"tokens": len(text) // 4, "read_tokens": read // 4, "start": 0, "end": read} | {
        "sentences": [part for part in parts if part["end"] > part["start"]]
    }


def ranked(body: Mapping[str, Any]) -> dict[str, Any]:
    documents = body["documents"]
    other = body.get("ranker") == "fallback" or body.get("long_documents") == "cut"
    results: list[dict[str, Any]] = [
        {"index": index, "relevance_score": round(BEST * FACTOR**rank, 6)}
        for rank, index in enumerate(order_of(len(documents), other=other))
    ]
    if body.get("explain"):
        for result in results:
            if text := documents[result["index"]]:
                result["reading"] = reading_of(text)
    cut = [index for index, text in enumerate(documents) if len(text) > READ_CHARS]
    usage = {"total_tokens": 400, "documents": len(documents), "truncated": len(cut)}
    times = {"tokenize_ms": 1.5, "queue_ms": 0.5, "compute_ms": 12.0, "total_ms": 15.0}
    answer = {"id": "1", "model": FALLBACK if other else MODEL, "score": body["score"]}
    return answer | {
        "results": results,
        "usage": usage | {"truncated_documents": cut},
        "diagnostics": times | {"duplicates": 0, "cached": 2},
    }


def answer_events() -> str:
    sources = [
        {
            "number": number, "id": str(number), "text": f"What the file {name} says. " * 4,
            "first_stage_rank": first_rank, "rerank_rank": number, "rerank_score": score,
            "metadata": {"source": name, "section": "Rules"},
        }
        for number, (name, first_rank, score) in enumerate(SOURCES, start=1)
    ]  # fmt: skip
    answer = {
        "id": "1", "outcome": "answered", "answer": TEXT, "llm": "model", "cached": False,
        "citations": [
            {"start": 0, "end": 33, "sources": [1]}, {"start": 35, "end": 67, "sources": [2]},
        ],
        "sources": sources, "warnings": ["a number that is no source was removed: [9]"],
        "retrieved_count": 6, "used_count": 3, "times_ms": {"rerank": 12.0, "llm": 420.0},
        "usage": {"total_tokens": 180},
    }  # fmt: skip
    events = [("sources", {"id": "1", "sources": sources}), ("answer", answer)]
    return "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events)


def respond(route: Route) -> None:
    path = route.request.url.rpartition("/")[2]
    if path == "rerank":
        body = ranked(json.loads(route.request.post_data or ""))
        headers = {"X-Reranked-By": body["model"], "X-Request-ID": "0" * 32}
        route.fulfill(json=body, headers=headers)
    elif path == "answer":
        route.fulfill(body=answer_events(), content_type="text/event-stream")
    else:
        route.fulfill(json=INFO if path == "info" else {"status": "ok"})


def stand_in(page: Page) -> None:
    for path in ("rerank", "answer", "info", "readyz"):
        page.route(f"**/{path}", respond)

    def read_once(route: Route) -> None:
        """The page waits for a second reading, which would add a rate to the state."""
        page.unroute("**/metrics")
        page.route("**/metrics", lambda _: None)
        route.fulfill(body=METRICS, content_type="text/plain")

    page.route("**/metrics", read_once)
