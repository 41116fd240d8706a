"""The OpenAPI schema of this instance, with its limits and kinds of score."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from pydantic_core import to_json

from app.api.answer_bodies import AnswerRequest, FeedbackRequest
from app.api.dialects.score import ScoreRequest
from app.api.exposure import Exposure
from app.api.limits import RequestLimits
from app.api.problems import Problem
from app.api.wiring import wiring_of

Scores = tuple[str, ...] | None  # None before the model is loaded


def install(app: FastAPI) -> None:
    """Replace the route of FastAPI, which renders the schema at each call."""
    path, wiring = app.openapi_url, wiring_of(app)
    if path is None:
        return

    def build(scores: Scores) -> bytes:
        document = describe(app, wiring.limits)
        unlock(document, wiring.exposure)
        if scores is not None:
            offer(document, scores)
        return to_json(document)

    def scores() -> Scores:
        served = wiring.service.served
        return tuple(served.card.scores) if served is not None else None

    kept = KeptSchema(build, scores)

    async def schema(_: Request) -> Response:
        return Response(await kept.read(), media_type="application/json")

    app.router.routes[:] = [
        route for route in app.router.routes if getattr(route, "path", "") != path
    ]
    app.add_route(path, schema, include_in_schema=False)


class KeptSchema:
    """Caches the schema as bytes. Builds it in a thread, again only when the scores change."""

    def __init__(self, build: Callable[[Scores], bytes], scores: Callable[[], Scores]) -> None:
        self._build = build
        self._scores = scores
        self._built: tuple[Scores, asyncio.Future[bytes]] | None = None

    async def read(self) -> bytes:
        scores = self._scores()
        if self._built is None or self._built[0] != scores:
            work = asyncio.to_thread(self._build, scores)
            self._built = scores, asyncio.ensure_future(work)
        try:
            # Shielded, because other requests may wait for the same task.
            return await asyncio.shield(self._built[1])
        except Exception:
            self._built = None
            raise


def describe(app: FastAPI, limits: RequestLimits) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    dialects = wiring_of(app).dialects.dialects
    requests: set[type[BaseModel]] = {
        AnswerRequest,
        FeedbackRequest,
        ScoreRequest,
        *(dialect.request for dialect in dialects),
    }
    _, models = models_json_schema(
        [(Problem, "serialization"), *((request, "validation") for request in requests)],
        ref_template="#/components/schemas/{model}",
    )
    document["components"]["schemas"] |= models["$defs"]
    names = {dialect.documents for dialect in dialects}
    for request in requests:
        bound(document["components"]["schemas"][request.__name__]["properties"], limits, names)
    schemas = document["components"]["schemas"]
    schemas["AnswerRequest"]["properties"]["initial_k"]["maximum"] = limits.documents
    schemas["TurnBody"]["properties"]["content"]["maxLength"] = limits.query_chars
    return document


def bound(properties: dict[str, Any], limits: RequestLimits, names: AbstractSet[str]) -> None:
    """Add the limits; `names` are the keys that hold documents."""
    for name in names & properties.keys():
        if properties[name].get("type") == "array":
            properties[name]["maxItems"] = limits.documents
    if properties.get("query", {}).get("type") == "string":
        properties["query"]["maxLength"] = limits.query_chars


def unlock(document: dict[str, Any], exposure: Exposure) -> None:
    """Remove authorization and 401 from operations that require no key."""
    keys = {"/metrics": exposure.metrics_key, "/drain": exposure.admin_key}
    if not (exposure.keys or any(keys.values())):
        document["components"].pop("securitySchemes", None)
    for path, operations in document["paths"].items():
        if keys.get(path, exposure.keys):
            continue
        for operation in operations.values():
            operation.pop("security", None)
            operation["responses"].pop("401", None)


def offer(document: dict[str, Any], scores: Sequence[str]) -> None:
    """Restrict `score` to the kinds that the loaded model supports."""
    request = document["components"]["schemas"]["NativeRequest"]["properties"]
    choice = next(option for option in request["score"]["anyOf"] if "enum" in option)
    choice["enum"] = list(scores)
