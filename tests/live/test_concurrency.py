"""Many callers at once, against the real service with the bundled model."""

from __future__ import annotations

import asyncio
import json
import time

import httpx
import pytest

from loadtest import callers
from tests.live.service import LiveService, running

pytestmark = pytest.mark.anyio


async def test_among_64_callers_every_answer_belongs_to_its_question() -> None:
    """The cache is off, so that each score is computed in whatever batch it falls into."""
    with running(cache_mb=0) as uncached:
        outcome = await callers.run(uncached.url, callers=64, seconds=5, pool_size=40)
    assert outcome.answered == len(outcome.seconds) >= 64
    assert outcome.wrong == 0


async def test_a_large_request_holds_a_small_one_no_longer_than_two_batches(
    service: LiveService,
) -> None:
    large = {"query": "copper", "documents": callers.make_pool(2, 1000)}
    small = {"query": "sail", "documents": callers.make_pool(3, 5)}
    async with httpx.AsyncClient(base_url=service.url, timeout=300) as client:
        in_flight = asyncio.create_task(client.post("/rerank", json=large))
        await until_waiting(client, 5_000)
        before = await metric(client, "rerankd_batch_seconds_count")
        assert (await client.post("/rerank", json=small)).status_code == 200
        after = await metric(client, "rerankd_batch_seconds_count")
        assert not in_flight.done()
        assert (await in_flight).status_code == 200
    # The two that ran when it came, its own, and one that may end before the count is read.
    assert after - before <= 4


async def test_a_client_that_disconnects_frees_its_waiting_pairs_within_100_ms(
    service: LiveService,
) -> None:
    async with httpx.AsyncClient(base_url=service.url, timeout=300) as client:
        before = await metric(client, "rerankd_pairs_withdrawn_total")
        gone = asyncio.create_task(post_raw(service.url, callers.make_pool(4, 1000)))
        await until_waiting(client, 5_000)
        gone.cancel()
        left = time.monotonic()
        last_seen = left
        while await metric(client, "rerankd_queue_tokens"):
            last_seen = time.monotonic()  # the last time that something was still waiting
        assert await metric(client, "rerankd_pairs_withdrawn_total") - before > 500
    assert last_seen - left < 0.1


async def test_small_batches_of_many_clients_are_computed_together(service: LiveService) -> None:
    """As TEI's clients send them: 32 texts at a time, several at once. The best of three rounds:
    another program may keep the clients from sending at once."""

    async def ask(client: httpx.AsyncClient, number: int) -> httpx.Response:
        texts = [f"barge {number} carried {cargo} sacks" for cargo in range(32)]
        return await client.post("/rerank", json={"query": "grain", "texts": texts})

    async def round_of(client: httpx.AsyncClient, first: int) -> float:
        before = await metric(client, "rerankd_batch_seconds_count")
        numbers = range(first, first + 16)
        answers = await asyncio.gather(*(ask(client, number) for number in numbers))
        assert [len(answer.json()) for answer in answers] == [32] * 16
        return await metric(client, "rerankd_batch_seconds_count") - before

    async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
        batches = [await round_of(client, first) for first in (0, 16, 32)]
    assert min(batches) <= 8


async def test_overload_is_refused_and_everything_accepted_is_answered() -> None:
    async def caller(client: httpx.AsyncClient, number: int) -> httpx.Response:
        body = {"query": "grain", "documents": callers.make_pool(number, 40)}
        return await client.post("/rerank", json=body)

    limits = httpx.Limits(max_connections=None)
    with running(max_queue_tokens=4_000, cache_mb=0) as small:
        async with httpx.AsyncClient(base_url=small.url, timeout=120, limits=limits) as client:
            answers = await asyncio.gather(*(caller(client, number) for number in range(60)))
            late = await client.post("/rerank", json={"query": "grain", "documents": ["a"]})
    assert {answer.status_code for answer in answers} == {200, 429}
    for answer in answers:
        if answer.status_code == 200:
            assert len(answer.json()["results"]) == 40
        else:
            assert int(answer.headers["Retry-After"]) >= 1
            assert int(answer.headers["retry-after-ms"]) >= 1
    assert late.status_code == 200


async def post_raw(url: str, documents: list[str]) -> None:
    """A client that closes its connection when it is cancelled."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = json.dumps({"query": "harbour", "documents": documents}).encode()
    head = f"POST /rerank HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    writer.write(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    try:
        await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


async def metric(client: httpx.AsyncClient, name: str) -> float:
    text = (await client.get("/metrics")).text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


async def until_waiting(client: httpx.AsyncClient, tokens: float) -> None:
    async with asyncio.timeout(60):
        while await metric(client, "rerankd_queue_tokens") < tokens:
            pass
