"""The schema that `/docs` shows: what this very instance takes, with its limits and scores."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.api.answer_bodies import AnswerRequest, FeedbackRequest
from app.api.dialects.registry import DIALECTS
from app.api.dialects.score import ScoreRequest
from app.api.exposure import Exposure
from app.api.limits import RequestLimits
from app.api.problems import Problem
from app.service import Service

DOCUMENTS = {"documents", "texts", "passages", "input"}


def install(app: FastAPI, service: Service, limits: RequestLimits, exposure: Exposure) -> None:
    def schema() -> dict[str, Any]:
        document = describe(app, limits)
        unlock(document, exposure)
        if service.served is not None:
            offer(document, service.served.facts["scores"])
        return document

    app.openapi = schema  # type: ignore[method-assign]


def describe(app: FastAPI, limits: RequestLimits) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    requests: set[type[BaseModel]] = {
        AnswerRequest,
        FeedbackRequest,
        ScoreRequest,
        *(dialect.request for dialect in DIALECTS),
    }
    _, models = models_json_schema(
        [(Problem, "serialization"), *((one, "validation") for one in requests)],
        ref_template="#/components/schemas/{model}",
    )
    document["components"]["schemas"] |= models["$defs"]
    for request in requests:
        bound(document["components"]["schemas"][request.__name__]["properties"], limits)
    schemas = document["components"]["schemas"]
    schemas["AnswerRequest"]["properties"]["initial_k"]["maximum"] = limits.documents
    schemas["TurnBody"]["properties"]["content"]["maxLength"] = limits.query_chars
    return document


def bound(properties: dict[str, Any], limits: RequestLimits) -> None:
    for name in DOCUMENTS & properties.keys():
        if properties[name].get("type") == "array":
            properties[name]["maxItems"] = limits.documents
    if properties.get("query", {}).get("type") == "string":
        properties["query"]["maxLength"] = limits.query_chars


def unlock(document: dict[str, Any], exposure: Exposure) -> None:
    """Where no key is asked for, there is nothing to authorize, and no 401."""
    if not (exposure.keys or exposure.metrics_key):
        document["components"].pop("securitySchemes", None)
    for path, operations in document["paths"].items():
        if exposure.metrics_key if path == "/metrics" else exposure.keys:
            continue
        for operation in operations.values():
            operation.pop("security", None)
            operation["responses"].pop("401", None)


def offer(document: dict[str, Any], scores: list[str]) -> None:
    """Only the kinds of score that the loaded model can give."""
    request = document["components"]["schemas"]["NativeRequest"]["properties"]
    choice = next(one for one in request["score"]["anyOf"] if "enum" in one)
    choice["enum"] = list(scores)
