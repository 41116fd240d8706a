"""One journey, once for each of its calls."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from httpx import AsyncClient

from tests.api.asking import TEXTS
from tests.desk import Desk
from tests.live.service import scrape_text
from tests.reliability.nth_failure.injector import FailingRetriever, Injector, injected
from tests.reliability.nth_failure.journeys import Journey, Wrong

IDLE = (
    "rerankd_requests_in_flight",
    "rerankd_queue_tokens",
    "rerankd_tokenizer_chars_waiting",
    "rerankd_batch_age_seconds",
    "rerankd_inflight_bytes",
    "rerankd_unread_answer_bytes",
    "rerankd_llm_waiting",
)
MAX_CALLS = 200
SETTINGS = {"cache_mb": 0, "answer_cache_seconds": 0}


@dataclass(slots=True)
class Run:
    journey: str
    failures: Counter[str] = field(default_factory=Counter)  # by the seam that failed

    @property
    def line(self) -> str:
        seams = ", ".join(f"{count} {seam}" for seam, count in sorted(self.failures.items()))
        return f"{self.journey}: {self.failures.total()} calls failed in turn ({seams})"


async def fail_each_call(journey: Journey, model: Path, folder: Path, kind: str = "raise") -> Run:
    """`kind`: how an engine fails. Raise Wrong unless all goes well again after each failure."""
    injector = Injector(kind)
    desk = Desk(model, FailingRetriever(injector, *TEXTS))
    settings: dict[str, Any] = {**SETTINGS, **journey.settings(folder)}
    with injected(injector, folder):
        async with desk.open(**settings) as client:
            right = (await journey.ask(client)).right
            if right is None:
                raise Wrong(f"{journey.name}: fails without a fault")
            idle = await gauges(client)
            for fail_at in range(1, MAX_CALLS):
                injector.arm(fail_at)
                reply = await journey.ask(client)
                injector.disarm()
                if reply.right is not None and not reply.same(right):
                    raise Wrong(f"call {fail_at}, {injector.failed}: wrong: {reply.content}")
                if not injector.failed:
                    return Run(journey.name, injector.seen)
                await check_after(journey, client, right, idle, f"{fail_at}, {injector.failed}")
                check_left(desk)
    raise Wrong(f"{journey.name}: more than {MAX_CALLS} calls")


async def check_after(
    journey: Journey, client: AsyncClient, right: Any, idle: dict[str, float], call: str
) -> None:
    again = await journey.ask(client)
    if not again.same(right):
        raise Wrong(f"{journey.name}, after call {call} failed: {again.content}")
    left = await gauges(client)
    if left != idle:
        raise Wrong(f"{journey.name}, after call {call} failed, gauges: {left}, idle: {idle}")


async def gauges(client: AsyncClient) -> dict[str, float]:
    """Once what ends beside the answers has ended, such as a batch of refused callers."""
    for _ in range(3):
        await asyncio.sleep(0)
    metrics = scrape_text((await client.get("/metrics")).text)
    spent = sum(value for name, value in metrics.items() if "llm_tokens_total" in name)
    left = metrics["rerankd_llm_budget_tokens"]
    return {
        **{name: metrics.get(name, 0.0) for name in IDLE},
        "budget": left + spent if left else 0.0,
    }


def check_left(desk: Desk) -> None:
    """What no gauge shows."""
    served = desk.app.state.wiring.service.served
    batcher = served.batcher if served else None
    if batcher is not None and (batcher._expected or batcher._running_tokens):
        raise Wrong(f"left behind: {batcher._expected} expected, {batcher._running_tokens} running")
