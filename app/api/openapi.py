"""The schema that `/docs` shows: what this very instance takes, with its limits and scores."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from app.api.dialects.native import NativeRequest
from app.api.limits import RequestLimits
from app.api.problems import Problem
from app.service import Service


def install(app: FastAPI, service: Service, limits: RequestLimits, *, locked: bool) -> None:
    def schema() -> dict[str, Any]:
        document = describe(app, limits)
        if not locked:
            unlock(document)
        if service.served is not None:
            offer(document, service.served.facts["scores"])
        return document

    app.openapi = schema  # type: ignore[method-assign]


def describe(app: FastAPI, limits: RequestLimits) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    _, models = models_json_schema(
        [(NativeRequest, "validation"), (Problem, "serialization")],
        ref_template="#/components/schemas/{model}",
    )
    document["components"]["schemas"] |= models["$defs"]
    request = document["components"]["schemas"]["NativeRequest"]["properties"]
    request["documents"]["maxItems"] = limits.documents
    request["query"]["maxLength"] = limits.query_chars
    return document


def unlock(document: dict[str, Any]) -> None:
    """Without keys there is nothing to authorize, and no 401."""
    document["components"].pop("securitySchemes", None)
    for operations in document["paths"].values():
        for operation in operations.values():
            operation.pop("security", None)
            operation["responses"].pop("401", None)


def offer(document: dict[str, Any], scores: list[str]) -> None:
    """Only the kinds of score that the loaded model can give."""
    request = document["components"]["schemas"]["NativeRequest"]["properties"]
    choice = next(one for one in request["score"]["anyOf"] if "enum" in one)
    choice["enum"] = list(scores)
