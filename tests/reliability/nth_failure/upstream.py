"""What a language model and another rerankd answer, without a network."""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json, to_json

SENTENCES = ("Four weeks ", "[2].")
USAGE = {"prompt_tokens": 90, "completion_tokens": 10, "total_tokens": 100}


def answer_of(path: str, content: bytes) -> tuple[dict[str, str], bytes]:
    request = from_json(content)
    if path.endswith("/rerank"):
        return {"Content-Type": "application/json"}, to_json(ranked(request))
    if request.get("stream"):
        return {"Content-Type": "text/event-stream"}, streamed()
    choice = {"message": {"content": "".join(SENTENCES)}, "finish_reason": "stop"}
    return {"Content-Type": "application/json"}, to_json({"choices": [choice], "usage": USAGE})


def ranked(request: Any) -> dict[str, Any]:
    count = len(request["documents"])
    return {
        "results": [{"index": index, "relevance_score": float(-index)} for index in range(count)],
        "usage": {"total_tokens": count},
    }


def streamed() -> bytes:
    events: list[Any] = [
        {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
        for text in SENTENCES
    ]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    events.append({"choices": [], "usage": USAGE})
    return b"".join(b"data: " + to_json(event) + b"\n\n" for event in events) + b"data: [DONE]\n\n"
