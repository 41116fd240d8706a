"""The schema that `/docs` shows, with this instance's limits in it."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from app.api.dialects.native import NativeRequest
from app.api.limits import RequestLimits
from app.api.problems import Problem


def install(app: FastAPI, limits: RequestLimits) -> None:
    def schema() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = describe(app, limits)
        return app.openapi_schema

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
