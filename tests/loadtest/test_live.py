"""Each load test once against a live service: a few seconds, a tiny model, no figure of worth."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from app.compose.loading import spec_of
from app.engines.loading import load
from app.settings import Settings
from loadtest import mixed, overhead, overload, service
from loadtest.mixed import FIFO, OURS
from loadtest.traffic import PATH
from loadtest.wire import Client, ServerFailed
from loadtest.workload import LARGE, SHORT, SMALL, Texts


def test_mixed_tells_both_sizes_in_both_orders(urls: dict[str, str]) -> None:
    plan = mixed.Plan(capacity_seconds=0.5, seconds=0.5, loads=(0.3,))
    full, rows = mixed.measure(urls, plan)
    assert full > 0
    assert {(row.order, row.size) for row in rows} == {
        (order, size) for order in (OURS, FIFO) for size in (SMALL, LARGE)
    }
    assert all(row.failed == 0 and row.latency is not None for row in rows)
    assert "first come" in str(mixed.tabulate(rows))
    assert mixed.draw(rows).axes


def test_overload_counts_answers_refusals_and_memory(urls: dict[str, str]) -> None:
    plan = overload.Plan(times=10, peak_seconds=0.5, seconds=1, documents=32, pool=3)
    outcome = asyncio.run(overload.run(urls[OURS], plan))
    figures = overload.summary(outcome)
    assert figures["answered"] > 0 < figures["refused"]
    assert figures["answered"] + figures["refused"] == figures["requests"]
    assert figures["wrong"] == figures["broken"] == 0
    assert figures["memory_most_mib"] >= figures["memory_first_mib"] > 0
    assert "wrong answers" in str(overload.tabulate(figures))
    assert overload.draw(outcome).axes


def test_a_wrong_score_is_noticed(urls: dict[str, str]) -> None:
    plan = overload.Plan(times=1, peak_seconds=0.2, seconds=0.2, documents=4, pool=2)
    outcome = asyncio.run(overload.run(urls[OURS], plan))
    wrong = {exchange.request: [0.0] * 4 for exchange in outcome.sent}
    right = {exchange.request: overload.scores_of(exchange.body) for exchange in outcome.sent}
    assert min(overload.off_by(outcome.sent, wrong)) > 1e-6
    assert max(overload.off_by(outcome.sent, right)) <= outcome.tolerance
    assert replace(outcome, off_by=[0.0, 0.03, 0.5]).wrong == 2


def test_overhead_compares_the_service_with_its_engine(urls: dict[str, str], model: Path) -> None:
    plan = overhead.Plan(requests=3, rounds=2, small=2, large=1, large_documents=100, repeats=1)
    loaded = load(spec_of(Settings(model=str(model), device="cpu")))
    results = overhead.measure(urls[OURS], loaded, plan)
    assert len(results["saturation"]["served"]) == len(results["saturation"]["engine"]) == 2
    assert results["saturation"]["beside"] > 0
    assert results["small"]["ratio"] > 0
    assert "bare engine" in str(overhead.tabulate(results))


def test_a_client_uses_a_connection_again_and_tells_a_broken_one(urls: dict[str, str]) -> None:
    async def ask() -> None:
        async with Client(urls[OURS]) as client:
            request = Texts(SHORT, 1).request(2)
            answers = [await client.post(PATH, request.body) for _ in range(3)]
            assert [answer.status for answer in answers] == [200] * 3
            assert overload.scores_of(answers[0].body) == overload.scores_of(answers[2].body)
            assert len(client._idle) == 1
        async with Client(f"http://127.0.0.1:{service.free_port()}") as nobody:
            with pytest.raises(ServerFailed, match="no connection"):
                await nobody.get("/healthz")

    asyncio.run(ask())


def test_a_server_that_ends_says_why() -> None:
    with (
        service.rerankd(max_batch_tokens=-1) as server,
        pytest.raises(service.NotStarted, match="max_batch_tokens"),
    ):
        server.wait_until_ready()
