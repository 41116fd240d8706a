"""rerankd as an application of Ray Serve: `serve deploy deploy/ray/serve.yaml`.

Replicas of `Reranker` have the model, replicas of `Ingress` everything else of the service; each is
scaled by itself. The batches, the queue and its 429 are rerankd's own, in each replica.
docs/how-to/ray.md says how to run it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import cast

import ray
from fastapi import FastAPI
from ray import serve
from ray.exceptions import RayActorError
from ray.serve.handle import DeploymentHandle

from app import logs
from app.api import warm_routes
from app.compose.apart import create_http_side, open_model_side, refuse_if_failed
from app.errors import EngineFailed, ServiceError
from app.model_card import ModelCard
from app.rerank.query import Query, Ranking
from app.settings import Settings, load

# serve.yaml may change the times. Ray never holds a request back or refuses it, because rerankd's
# own queue does; a replica that leaves may take longer than RERANKD_DRAIN_SECONDS.
ALWAYS = {
    "max_ongoing_requests": 100_000,
    "max_queued_requests": -1,
    "health_check_period_s": 5,
    "graceful_shutdown_timeout_s": 45,
    "max_surge_percent": 25,  # new replicas start before old ones leave
}
ATTEMPTS = 2


def settings_here(**flags: int) -> Settings:
    settings = load(os.environ, **flags)
    logs.configure(settings.log_level, settings.log_format)
    return settings


@serve.deployment(**ALWAYS)
class Reranker:
    async def __init__(self) -> None:  # type: ignore[misc]
        cpus = ray.get_runtime_context().get_assigned_resources().get("CPU", 1)
        self._opened = open_model_side(settings_here(threads=max(1, int(cpus))))
        self._side = await self._opened.__aenter__()

    async def rank(self, query: Query, texts: Sequence[str]) -> Ranking | ServiceError:
        return await self._side.rank(query, texts)

    async def card(self) -> ModelCard:
        return self._side.card

    async def check_health(self) -> None:
        self._side.refuse_if_unready()

    async def record_autoscaling_stats(self) -> dict[str, float]:
        return self._side.signals()


def http_side() -> FastAPI:
    handle = serve.get_deployment_handle("Reranker", serve.get_replica_context().app_name)

    async def call(query: Query, texts: Sequence[str]) -> Ranking | ServiceError:
        """Once more, by another replica, if the first one dies: nothing is changed by ranking."""
        for _ in range(ATTEMPTS):
            response = handle.rank.remote(query, texts)
            try:
                return cast("Ranking | ServiceError", await response)
            except asyncio.CancelledError:  # the caller left
                response.cancel()
                raise
            except RayActorError:
                continue
        return EngineFailed("two replicas ended while they ranked this request", retry_after=1.0)

    app = create_http_side(settings_here(), lambda _: None, handle.card.remote, call)
    warm_routes(app)
    return app


@serve.deployment(**ALWAYS)
@serve.ingress(http_side)
class Ingress:
    app: FastAPI  # set by Ray

    def __init__(self, reranker: DeploymentHandle) -> None:
        """The handle makes `Reranker` a part of the application."""

    async def check_health(self) -> None:
        refuse_if_failed(self.app)


app = Ingress.bind(Reranker.bind())  # type: ignore[attr-defined]
