"""Another service over HTTP: called within a time limit, its answers checked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import isfinite
from typing import Any

import httpx
from pydantic_core import to_json

from app.errors import UpstreamFailed, UpstreamTimeout
from app.retrieval.store import Candidate
from app.upstream.reading import fetch
from app.upstream.retry import RetryPolicy, call

RETRIES = RetryPolicy(attempts=2)
# Of an answer, unpacked: a thousand passages of 30,000 bytes, or 500 vectors of 3,072 numbers.
MAX_ANSWER_BYTES = 33_554_432
KEY_STATUSES = {401, 403}
MISFIT_STATUSES = {400, 422}
# Of metadata. Deeper nesting cannot be written as JSON again.
MAX_DEPTH = 100


class Endpoint:
    """`lost` is the advice when the store has no such collection, as the end of a sentence."""

    def __init__(
        self,
        name: str,
        client: httpx.AsyncClient,
        seconds: float,
        *,
        lost: str = "the address is wrong",
        key: str = "RERANKD_STORE_API_KEY",
    ) -> None:
        self.name = name
        self._client = client
        self._seconds = seconds
        self._lost = lost
        self._key = key

    async def ask(
        self, method: str, path: str, body: Any = None, *, lines: Sequence[Any] = ()
    ) -> Any:
        """The JSON of the answer. `lines` are sent instead of a body, each as JSON of its own."""
        sent = as_lines(lines) if lines else {"json": body}

        async def attempt() -> bytes:
            request = self._client.build_request(method, path, **sent)
            return await fetch(self.name, self._client, request, MAX_ANSWER_BYTES)

        deadline = asyncio.get_running_loop().time() + self._seconds
        try:
            async with asyncio.timeout_at(deadline):
                raw = await call(self.name, attempt, RETRIES, deadline=deadline)
        except TimeoutError as error:
            raise UpstreamTimeout(
                f"{self.name} did not answer within {self._seconds * 1000:.0f} ms",
                upstream=self.name,
            ) from error
        except httpx.InvalidURL as error:
            raise UpstreamFailed(f"{self.name}: no valid address", upstream=self.name) from error
        except UpstreamFailed as error:
            raise self._explained(error) from error.__cause__
        try:
            return json.loads(raw) if raw else None
        except (ValueError, RecursionError) as error:
            raise UpstreamFailed(
                f"{self.name} answered something that is not JSON", upstream=self.name
            ) from error

    def _explained(self, error: UpstreamFailed) -> UpstreamFailed:
        if error.status in KEY_STATUSES:
            hint = f"the key is missing or wrong: set {self._key}"
        elif error.status == 404:
            hint = self._lost
        elif error.status in MISFIT_STATUSES:
            hint = "it may hold vectors of another embedder, or know no such field"
        else:
            return error
        return UpstreamFailed(f"{error}: {hint}", upstream=self.name, status=error.status)

    async def close(self) -> None:
        await self._client.aclose()


def as_lines(values: Sequence[Any]) -> dict[str, Any]:
    content = b"".join(to_json(value) + b"\n" for value in values)
    return {"content": content, "headers": {"Content-Type": "application/x-ndjson"}}


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Around code that reads an answer, which may lack anything or have it in another type."""
    try:
        yield
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise UpstreamFailed(
            f"{name} answered JSON that is not what was asked for", upstream=name
        ) from error


def as_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def as_id(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError("not an id")
    return str(value)


def as_number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise TypeError("not a number")
    return float(value)


def as_mapping(value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TypeError("not an object")
    return value


def as_candidate(name: Any, text: Any, facts: Any, score: float | None) -> Candidate | None:
    """None where there is no text: a store may hold pictures beside passages."""
    if text is None:
        return None
    return Candidate(sound(as_id(name)), sound(as_text(text)), sound(as_mapping(facts)), score)


def with_text(store: str, candidates: Sequence[Candidate | None]) -> list[Candidate]:
    kept = [candidate for candidate in candidates if candidate is not None]
    if candidates and not kept:
        raise UpstreamFailed(
            f"{store} found only what has no text: if texts lie in another field, name it",
            upstream=store,
        )
    return kept


def sound(value: Any, depth: int = MAX_DEPTH) -> Any:
    r"""Python reads half a character, `\ud83d`, and NaN; tokenizers and answers accept neither."""
    if not depth:
        raise ValueError("nested too deep")
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case float():
            return value if isfinite(value) else None
        case list():
            return [sound(part, depth - 1) for part in value]
        case dict():
            return {sound(name): sound(part, depth - 1) for name, part in value.items()}
    return value


def walk(value: Any, path: str) -> Any:
    """The value at `a.b.0` of a JSON value."""
    for step in filter(None, path.split(".")):
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def find(value: Any, path: str) -> Any:
    """The same; None where there is nothing."""
    try:
        return walk(value, path)
    except (LookupError, TypeError):
        return None
