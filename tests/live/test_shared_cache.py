"""Two services that share scores through a real Redis, which fails in mid-run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deploy.processes import until
from tests.live.service import LiveService, running, scrape
from tests.shared_cache.redis_process import RedisProcess


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    process = RedisProcess(tmp_path_factory.mktemp("redis"))
    yield process
    process.kill()


@pytest.fixture(scope="module")
def replicas(redis: RedisProcess, model: Path) -> Iterator[list[LiveService]]:
    # A read must not be late only because this machine is busy.
    settings: dict[str, Any] = {
        "shared": f"redis://127.0.0.1:{redis.port}",
        "shared_timeout_ms": 500,
    }
    with ExitStack() as stack:
        started = [
            stack.enter_context(running(wait=False, model=model, **settings)) for _ in range(2)
        ]
        for service in started:
            service.wait_until_ready()
        yield started


def metric(service: LiveService, name: str) -> float:
    with httpx.Client(base_url=service.url) as client:
        return scrape(client)[f"rerankd_shared_cache_{name}"]


def rank(service: LiveService, *documents: str) -> dict[str, Any]:
    body = {"query": "when does the library open", "documents": documents, "diagnostics": True}
    answer = httpx.post(f"{service.url}/rerank", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


def switches(service: LiveService) -> list[str]:
    events = [entry["event"].removeprefix("shared_cache_") for entry in service.log]
    return [event for event in events if event in {"up", "down"}]


def until_up(services: list[LiveService], up: float = 1.0) -> None:
    until(lambda: {metric(service, "up") for service in services} == {up}, f"up is {up}")


def test_what_a_replica_has_scored_is_a_hit_of_the_other(replicas: list[LiveService]) -> None:
    first, second = replicas
    until_up(replicas)
    documents = ["It opens at nine.", "Books are lent for four weeks.", "The Danube is long."]
    scored = rank(first, *documents)
    assert scored["diagnostics"]["cached"] == 0
    until(lambda: metric(first, "writes_total") == 3, "three scores are written")
    reused = rank(second, *documents)
    assert reused["diagnostics"]["cached"] == 3
    assert reused["results"] == scored["results"]
    assert (metric(second, "hits_total"), metric(first, "misses_total")) == (3, 3)


def test_a_redis_that_dies_costs_no_request_and_its_return_is_noticed(
    redis: RedisProcess, replicas: list[LiveService]
) -> None:
    until_up(replicas)
    answered = 0
    ended = threading.Event()

    def call_without_a_break() -> None:
        nonlocal answered
        while not ended.is_set():
            for service in replicas:
                rank(service, f"document {answered}")
                answered += 1

    caller = threading.Thread(target=call_without_a_break)
    caller.start()
    try:
        until(lambda: answered > 10, "requests before")
        redis.kill()
        until_up(replicas, 0.0)
        alone = answered
        until(lambda: answered > alone + 10, "requests without it")
        redis.start()
        until_up(replicas)
        again = answered
        until(lambda: answered > again + 10, "requests after")
    finally:
        ended.set()
        caller.join()
    assert answered > again + 10  # `rank` has raised no error in the thread
    for service in replicas:
        assert switches(service) == ["up", "down", "up"]
        assert any("127.0.0.1" in entry.get("address", "") for entry in service.log)
    documents = ["It is closed on Sundays.", "It opens at ten."]
    written = metric(replicas[0], "writes_total")
    rank(replicas[0], *documents)
    until(lambda: metric(replicas[0], "writes_total") == written + 2, "written again")
    assert rank(replicas[1], *documents)["diagnostics"]["cached"] == 2


def test_a_redis_that_hangs_delays_five_requests_by_the_limit_and_no_others(
    redis: RedisProcess, replicas: list[LiveService]
) -> None:
    until_up(replicas)
    (service, _), count = replicas, len(switches(replicas[0]))
    timeouts = metric(service, 'errors_total{reason="timeout"}')
    redis.stall()
    try:
        for number in range(5):
            rank(service, f"while it hangs {number}")
        until_up([service], 0.0)
        refused = metric(service, 'errors_total{reason="down"}')
        rank(service, "on its own")
        assert metric(service, 'errors_total{reason="down"}') == refused + 1
        assert metric(service, 'errors_total{reason="timeout"}') <= timeouts + 5
    finally:
        redis.go_on()
    until_up([service])
    assert switches(service)[count:] == ["down", "up"]
