"""The HTTP API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from app import __version__
from app.api import (
    answer_routes,
    docs,
    mcp_routes,
    models,
    openapi,
    operations,
    playground,
    problems,
    routes,
)
from app.api.access import Access
from app.api.dialects.registry import Registry
from app.api.disconnect import CancelOnDisconnect
from app.api.exposure import Exposure
from app.api.head import AnswerHead
from app.api.hosts import AllowedHosts
from app.api.inflight import HoldBodies, InflightBytes
from app.api.wiring import Wiring

DESCRIPTION = "Ranks candidate documents by their relevance to a query."


def build_api(
    wiring: Wiring,
    inflight: InflightBytes,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]],
) -> FastAPI:
    exposure = wiring.exposure
    mcp_manager = mcp_routes.manager_on_demand(wiring.limits)

    @asynccontextmanager
    async def opened(app: FastAPI) -> AsyncIterator[None]:
        async with lifespan(app), mcp_manager.closed_at_end():
            yield

    app = FastAPI(
        title="rerankd",
        version=__version__,
        description=DESCRIPTION,
        lifespan=opened,
        redirect_slashes=False,  # the redirect would contain the Host header of the client
        openapi_url="/openapi.json" if exposure.docs else None,
        docs_url=None,  # app.api.docs loads no scripts from other hosts
        redoc_url=None,
    )
    app.state.wiring = wiring
    add_routes(app, wiring.dialects, exposure)
    app.include_router(mcp_routes.make_router(mcp_manager))
    problems.install(app)
    openapi.install(app)
    add_middleware(app, exposure, inflight)
    app.add_middleware(Access, service=wiring.service, observe=wiring.observe)
    return app


def add_routes(app: FastAPI, dialects: Registry, exposure: Exposure) -> None:
    app.include_router(routes.make_router(dialects))
    app.include_router(answer_routes.router)
    app.include_router(operations.router)
    app.include_router(models.make_router(dialects))
    if exposure.docs:
        app.include_router(docs.router)
    if exposure.ui:
        app.include_router(playground.make_router())


def add_middleware(app: FastAPI, exposure: Exposure, inflight: InflightBytes) -> None:
    """The middleware that is added last is the outermost."""
    app.add_middleware(HoldBodies, budget=inflight)
    app.add_middleware(CancelOnDisconnect)
    if exposure.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(exposure.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["X-Request-ID", "X-Reranked-By", "Retry-After", "retry-after-ms"],
        )
    if exposure.allowed_hosts:
        app.add_middleware(AllowedHosts, hosts=exposure.allowed_hosts)
    app.add_middleware(AnswerHead)


def warm_routes(app: FastAPI) -> None:
    """Prepare the routes now: FastAPI does so at the first request and blocks for 0.3 s."""
    scope = {"type": "http", "method": "GET", "path": "/none", "root_path": "", "headers": []}
    for route in app.router.routes:
        route.matches(scope)
