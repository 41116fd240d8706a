"""rerankd as an application of Ray Serve: `serve deploy deploy/ray/serve.yaml`.

Replicas of `Reranker` have the model, replicas of `Ingress` everything else of the service; each is
scaled by itself. The batches, the queue and its 429 are rerankd's own, in each replica.
docs/how-to/ray.md says how to run it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack

import ray
from fastapi import FastAPI
from ray import serve
from ray.exceptions import RayActorError
from ray.serve.handle import DeploymentHandle

from app import logs
from app.api import warm_routes
from app.api.wiring import wiring_of
from app.compose.apart import answer_call, create_http_side, open_ranking
from app.errors import EngineFailed, ServiceError
from app.model_card import ModelCard
from app.rerank.query import Query, Ranking
from app.settings import Settings, load
from app.state import READY
from deploy.ray.scaling import signals_of

# Ray never holds a request back or refuses it, because the queue of rerankd does.
UNLIMITED = {"max_ongoing_requests": 100_000, "max_queued_requests": -1}
HEALTH = {"health_check_period_s": 5, "health_check_timeout_s": 30}
# More than RERANKD_DRAIN_SECONDS and the longest request that it lets end.
LEAVING = {"graceful_shutdown_wait_loop_s": 1, "graceful_shutdown_timeout_s": 45}
ATTEMPTS = 2


def settings_here(**flags: int) -> Settings:
    settings = load(os.environ, **flags)
    logs.configure(settings.log_level, settings.log_format)
    return settings


@serve.deployment(**UNLIMITED, **HEALTH, **LEAVING)
class Reranker:
    async def __init__(self) -> None:
        cpus = ray.get_runtime_context().get_assigned_resources().get("CPU", 1)
        opened = open_ranking(settings_here(threads=max(1, int(cpus))))
        self._service = await AsyncExitStack().enter_async_context(opened)

    async def rank(self, query: Query, texts: Sequence[str]) -> Ranking | ServiceError:
        return await answer_call(self._service, query, texts)

    async def card(self) -> ModelCard:
        return self._service.reranker_card

    async def check_health(self) -> None:
        if self._service.state != READY:
            raise self._service.state.refusal()

    async def record_autoscaling_stats(self) -> dict[str, float]:
        return signals_of(self._service)


def http_side() -> FastAPI:
    """Called in each replica of `Ingress`."""
    handle = serve.get_deployment_handle("Reranker", serve.get_replica_context().app_name)

    async def call(query: Query, texts: Sequence[str]) -> Ranking | ServiceError:
        """Once more, by another replica, if the first one dies: nothing is changed by ranking."""
        for _ in range(ATTEMPTS):
            response = handle.rank.remote(query, texts)
            try:
                return await response
            except asyncio.CancelledError:  # the caller left
                response.cancel()
                raise
            except RayActorError:
                continue
        return EngineFailed("two replicas ended while they ranked this request", retry_after=1.0)

    async def card() -> ModelCard:
        return await handle.card.remote()

    app = create_http_side(settings_here(), lambda _: None, card, call)
    warm_routes(app)
    return app


@serve.deployment(**UNLIMITED, **HEALTH, **LEAVING)
@serve.ingress(http_side)
class Ingress:
    def __init__(self, reranker: DeploymentHandle) -> None:
        """The handle makes `Reranker` a part of the application."""


app = Ingress.bind(Reranker.bind())
