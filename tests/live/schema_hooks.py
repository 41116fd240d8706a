"""For schemathesis: time limits that a busy machine can keep.

A caller who asks for an answer within one millisecond gets a 504, as he should; here every 5xx
counts as a fault of ours. And final_k is less than initial_k, which is more than a schema can say.
"""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    if isinstance(body, dict) and isinstance(body.get("timeout_ms"), int | float):
        return body | {"timeout_ms": body["timeout_ms"] + 60_000 if body["timeout_ms"] > 0 else 0}
    return body


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    body = case.body
    if case.operation.path == "/answer" and isinstance(body, dict):
        initial_k, final_k = body.get("initial_k", 50), body.get("final_k", 5)
        if all(type(one) is int for one in (initial_k, final_k)) and 2 <= initial_k <= final_k:
            # One that is too much by itself stays so.
            case.body = body | {"final_k": 1 if final_k <= 100 else final_k}
