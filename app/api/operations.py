"""Routes for operators: health, readiness, metrics and information."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field

from app import __version__
from app.api.auth import require_admin_key, require_key, require_metrics_key
from app.api.exposure import Exposure
from app.api.problems import documented
from app.api.wiring import wiring_of
from app.service import Service
from app.state import READY, StateName

router = APIRouter(tags=["operations"])


async def get_service(request: Request) -> Service:
    return wiring_of(request.app).service


DepService = Annotated[Service, Depends(get_service)]


class Health(BaseModel):
    status: str = Field(examples=["ok"])


class Info(BaseModel):
    model_config = ConfigDict(extra="allow")

    version: str
    state: StateName
    status: str = Field(description="`ready`, or the reason why requests cannot be served")
    model: str | None = None
    answers: bool = Field(description="Whether `/answer` has a store to search")
    limits: dict[str, int]


@router.get("/healthz", summary="Check that the process is alive", response_model=Health)
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


@router.get(
    "/readyz",
    summary="Check that requests can be served",
    response_model=Health,
    responses=documented(503),
)
async def readyz(service: DepService) -> dict[str, str]:
    if service.state != READY:
        raise service.state.refusal()
    return {"status": "ok"}


@router.post(
    "/drain",
    summary="Leave: become unready, serve for the lame duck time, then drain and end",
    status_code=202,
    response_model=Health,
    responses=documented(401, 403),
    dependencies=[Depends(require_admin_key)],
)
async def drain(service: DepService) -> dict[str, str]:
    service.leave()
    return {"status": service.state.name}


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=PlainTextResponse,
    responses=documented(401),
    dependencies=[Depends(require_metrics_key)],
)
async def metrics(request: Request) -> Response:
    accepted = request.headers.get("accept", "")
    body, content_type = wiring_of(request.app).metrics.exposition(accepted)
    return Response(body, headers={"Content-Type": content_type})


def behind(service: Service, exposure: Exposure) -> dict[str, Any]:
    """The fallback, whether callers may choose it, and the state of the model itself."""
    if service.fallback is None:
        return {}
    return {
        "fallback": service.fallback.card.model,
        "fallback_on_request": exposure.fallback_on_request,
        "local_status": service.local_state.problem or "ready",
    }


@router.get(
    "/info",
    summary="Show the model, the engine and the limits",
    response_model=Info,
    responses=documented(401),
    dependencies=[Depends(require_key)],
)
async def info(request: Request, service: DepService) -> dict[str, Any]:
    wiring = wiring_of(request.app)
    limits = wiring.limits
    return {
        "version": __version__,
        "state": service.state.name,
        "status": service.state.problem or "ready",
        **(service.served.card.as_fields() if service.served else {}),
        "answers": wiring.has_store(),
        **behind(service, wiring.exposure),
        "limits": {
            "body_bytes": limits.body_bytes,
            "documents": limits.documents,
            "document_chars": limits.document_chars,
            "query_chars": limits.query_chars,
            "json_values": limits.json_values,
        },
    }
