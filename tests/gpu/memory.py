"""Memory that runs out: the service halves its batches, and no request fails."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import torch

from loadtest import service
from loadtest.service import Server
from loadtest.workload import CHUNK, Request, Texts
from tests.gpu.plan import Plan

# For the whole service: CUDA itself and the weights take half of it.
FREE = 1_200 * 2**20
PIECE = 2**24
CALLERS, DOCUMENTS = 16, 200
LIMIT, CONFIGURED = "rerankd_batch_tokens_limit", "rerankd_batch_tokens_configured"
JSON = {"content-type": "application/json"}


def check(plan: Plan) -> dict[str, Any]:
    taken = occupy() if plan.device == "cuda" else []
    with service.rerankd(device=plan.device, engine="torch", max_queue_tokens=10**7) as ours:
        ours.wait_until_ready()
        statuses = asyncio.run(ask_all(ours, plan))
        values = service.metrics(httpx.get(f"{ours.url}/metrics").raise_for_status().text)
    del taken
    tokens = {"at first": values[CONFIGURED], "at last": values[LIMIT]}
    return {"statuses": statuses, "tokens of a batch": tokens}


def occupy() -> list[torch.Tensor]:
    """Take the GPU's memory but for what is left to the service."""
    taken = []
    while torch.cuda.mem_get_info()[0] > FREE + PIECE:
        size = max(PIECE, (torch.cuda.mem_get_info()[0] - FREE) // 2)
        taken.append(torch.empty(size, dtype=torch.uint8, device="cuda"))
    return taken


async def ask_all(ours: Server, plan: Plan) -> dict[str, int]:
    texts = Texts(CHUNK, seed=5)
    count, documents = (2, 4) if plan.small else (CALLERS, DOCUMENTS)
    requests = [texts.request(documents) for _ in range(count)]
    async with httpx.AsyncClient(base_url=ours.url, timeout=100) as client:

        async def ask(request: Request) -> int:
            return (await client.post("/rerank", content=request.body, headers=JSON)).status_code

        statuses = await asyncio.gather(*map(ask, requests))
    return {str(status): statuses.count(status) for status in sorted(set(statuses))}
