"""Model lists and health checks that clients of other servers request before they rerank."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from app import __version__
from app.api.auth import require_key
from app.api.dialects.registry import Registry
from app.api.operations import DepService, readyz
from app.api.problems import documented
from app.api.wiring import wiring_of
from app.service import Served

MODELS = ("/v1/models", "/models")
HEALTH = ("/health", "/ping", "/v1/health/ready")
LIVE = "/v1/health/live"
# Weaviate requests these, below the address that it is given.
WELL_KNOWN = "/.well-known"

LOCKED = [Depends(require_key)]


async def get_served(service: DepService) -> Served:
    if service.served is None:
        raise service.state.refusal()
    return service.served


DepServed = Annotated[Served, Depends(get_served)]


async def models(served: DepServed) -> dict[str, Any]:
    return {"object": "list", "data": [as_openai_model(served)]}


async def model(served: DepServed) -> dict[str, Any]:
    """Return the only model, for every requested name."""
    return as_openai_model(served)


def as_openai_model(served: Served) -> dict[str, Any]:
    """The format of OpenAI, with fields that clients of Infinity and Xinference read."""
    batcher, most = served.batcher, served.card.max_queue_tokens
    waiting = batcher.waiting_tokens if batcher else 0
    name = served.card.model
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": "rerankd",
        "root": name,
        "max_model_len": served.card.max_length,
        "model_name": name,
        "model_type": "rerank",
        "backend": served.card.engine,
        "capabilities": ["rerank"],
        "stats": {
            "queue_fraction": waiting / most if most else 0.0,
            "queue_absolute": waiting,
            "results_pending": waiting,
            "batch_size": batcher.budget if batcher else 0,
        },
    }


async def health(service: DepService) -> dict[str, str]:
    await readyz(service)
    return {"status": "ok", "object": "health.response", "message": "ready"}


async def live() -> dict[str, str]:
    return {"status": "ok", "object": "health.response", "message": "live"}


async def cluster_auth(request: Request) -> dict[str, bool]:
    """The client of Xinference requests this to learn whether to send its key."""
    return {"auth": bool(wiring_of(request.app).exposure.keys)}


async def well_known_ready(service: DepService) -> Response:
    await readyz(service)
    return Response(status_code=204)


async def well_known_live() -> Response:
    return Response(status_code=204)


async def weaviate_meta(served: DepServed) -> dict[str, Any]:
    """Weaviate shows this object in its own `/v1/meta`."""
    card = served.card
    return {"model": card.model, "engine": card.engine, "version": __version__}


async def tei_info(request: Request, served: DepServed) -> dict[str, Any]:
    limits = wiring_of(request.app).limits
    card = served.card
    label = {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
    return {
        "model_id": card.model,
        "model_sha": card.revision,
        "model_dtype": card.dtype,
        "served_model_name": card.model,
        "model_type": {"reranker": label},
        "max_concurrent_requests": limits.documents,
        "max_input_length": card.max_length or 0,
        "max_batch_tokens": card.max_batch_tokens,
        "max_batch_requests": None,
        "max_client_batch_size": limits.documents,
        "auto_truncate": True,
        "tokenization_workers": 2,
        "version": __version__,
        "sha": None,
        "docker_label": None,
    }


def make_router(dialects: Registry) -> APIRouter:
    router = APIRouter(tags=["dialects"])
    for prefix in ("", *(f"/{name}" for name in dialects.prefixes)):
        add_prefix(router, prefix)
    for path in ("/v1/cluster/auth", "/xinference/v1/cluster/auth"):
        router.add_api_route(path, cluster_auth, include_in_schema=False)
    router.add_api_route("/tei/info", tei_info, dependencies=LOCKED, include_in_schema=False)
    for prefix in ("", "/weaviate"):
        add_weaviate(router, prefix)
    return router


def add_weaviate(router: APIRouter, prefix: str) -> None:
    for name, state in (("live", well_known_live), ("ready", well_known_ready)):
        path = f"{prefix}{WELL_KNOWN}/{name}"
        router.add_api_route(path, state, status_code=204, include_in_schema=False)
    router.add_api_route(
        f"{prefix}/meta", weaviate_meta, dependencies=LOCKED, include_in_schema=False
    )


def add_prefix(router: APIRouter, prefix: str) -> None:
    """The schema shows only the paths without a prefix."""
    for path in MODELS:
        router.add_api_route(
            prefix + path,
            models,
            summary="List the model of this service",
            dependencies=LOCKED,
            responses=documented(401, 503, problem=False),
            include_in_schema=not prefix and path == MODELS[0],
        )
    for path in HEALTH:
        router.add_api_route(prefix + path, health, include_in_schema=False)
    router.add_api_route(prefix + LIVE, live, include_in_schema=False)
    router.add_api_route(
        prefix + "/v1/models/{name:path}", model, dependencies=LOCKED, include_in_schema=False
    )
