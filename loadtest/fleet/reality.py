"""Real processes behind a real HAProxy, with an engine that sleeps."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from loadtest import service
from loadtest.fleet import sleeping_engine
from loadtest.fleet.outcome import Exchange
from loadtest.fleet.policies import LEAST_OUTSTANDING, RANDOM, ROUND_ROBIN, TWO_CHOICES
from loadtest.fleet.service_times import ServiceTimes
from loadtest.traffic import Sent, open_loop
from loadtest.wire import Client
from loadtest.workload import Request
from tests.reliability.rolling.balancers import Balancer, haproxy_command, shipped

PROGRAM = "loadtest.fleet.sleeping_engine"
SHIPPED = "balance leastconn"
BALANCE = {
    RANDOM: "balance random(1)",
    ROUND_ROBIN: "balance roundrobin",
    LEAST_OUTSTANDING: SHIPPED,
    TWO_CHOICES: "balance random(2)",
}
# HAProxy draws from a ring with 16 positions for each unit of weight: with weight 1, three servers
# got 29, 34 and 37 % of 3,000 requests.
WEIGHT = "default-server weight 256 "


def is_installed() -> bool:
    return shutil.which("haproxy") is not None


@contextmanager
def replicas(count: int, times: ServiceTimes, timeout: float) -> Iterator[list[str]]:
    """Their addresses, when all are ready."""
    environ = sleeping_engine.environment(times)
    with ExitStack() as stack:
        servers = [
            stack.enter_context(
                service.rerankd(
                    program=PROGRAM,
                    environ=environ,
                    timeout_ms=round(timeout * 1000),
                    max_batch_tokens=times.max_batch_tokens,
                )
            )
            for _ in range(count)
        ]
        for server in servers:
            server.wait_until_ready()
        yield [server.url for server in servers]


@contextmanager
def balanced(urls: Sequence[str], policy: str, folder: Path) -> Iterator[str]:
    """The address of an HAProxy with the shipped configuration and another policy."""

    def template() -> str:
        text = shipped("haproxy/rerankd.cfg")()
        assert SHIPPED in text
        return text.replace(SHIPPED, BALANCE[policy]).replace("default-server ", WEIGHT)

    balancer = Balancer("haproxy", "haproxy", True, template, haproxy_command)
    ports = [int(url.rpartition(":")[2]) for url in urls]
    with balancer.running(folder, ports) as port:
        yield f"http://127.0.0.1:{port}"


def offer(url: str, requests: Sequence[Request], dues: Sequence[float]) -> list[Exchange]:
    async def run() -> list[Sent]:
        async with Client(url) as client:
            return await open_loop(client, requests, dues)

    return [
        Exchange(sent.due, sent.ended, sent.status, sent.documents) for sent in asyncio.run(run())
    ]
