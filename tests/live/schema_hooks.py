"""For schemathesis: what a schema cannot say.

A caller who asks for an answer within one millisecond gets a 504, as he should; here every 5xx
counts as a fault of ours, so time limits are such as a busy machine can keep. Texts that are
to be paired are made as many on both sides, final_k less than initial_k, and prefilter no less than
top_n.
"""

from __future__ import annotations

from typing import Any, TypeGuard

import schemathesis

from app.api.dialects.score import SIDES


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    if not isinstance(body, dict):
        return body
    if isinstance(body.get("timeout_ms"), int | float):
        body |= {"timeout_ms": body["timeout_ms"] + 60_000 if body["timeout_ms"] > 0 else 0}
    return paired(body) if context.operation.path == "/score" else body


def servable(body: dict[str, Any]) -> dict[str, Any]:
    """With a prefilter that keeps all results, and without a fallback, which is not configured."""
    most, top_n = body.get("prefilter"), body.get("top_n")
    if whole(most) and most > 0 and (top_n is None or whole(top_n)):
        body |= {"top_n": 1 if not top_n or 0 < most < top_n else top_n}
    return body | ({"ranker": "local"} if body.get("ranker") == "fallback" else {})


def paired(body: dict[str, Any]) -> dict[str, Any]:
    for first, second in SIDES:
        side, other = body.get(first), body.get(second)
        if side is not None and other is not None:
            many = isinstance(side, list) and len(side) > 1
            return body | padded({first: side, second: other}) if many else body
    return body


def padded(sides: dict[str, Any]) -> dict[str, Any]:
    lists = {name: side if isinstance(side, list) else [side] for name, side in sides.items()}
    most = max(map(len, lists.values()))
    return {name: side + side[-1:] * (most - len(side)) for name, side in lists.items()}


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    body = case.body
    if case.operation.path == "/rerank" and isinstance(body, dict):
        case.body = servable(body)
    if case.operation.path == "/answer" and isinstance(body, dict):
        limit = body.get("timeout_ms")
        if whole(limit) and 0 < limit < 60_000:
            body = case.body = body | {"timeout_ms": limit + 60_000}
        initial_k, final_k = body.get("initial_k", 50), body.get("final_k", 5)
        if whole(initial_k) and whole(final_k) and 2 <= initial_k <= final_k:
            # One that is too much by itself stays so.
            case.body = body | {"final_k": 1 if final_k <= 100 else final_k}


def whole(value: Any) -> TypeGuard[float]:
    """A whole number, as JSON has them: 77.0 is one."""
    return type(value) in {int, float} and value == int(value)
