"""A loaded service, and a real Prometheus that scrapes it by the shipped configuration."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests import models
from tests.deploy.processes import free_port, running, until
from tests.deploy.traffic import BATCH_TOKENS, QUEUE_TOKENS, Traffic
from tests.live import service as live

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """Where a program is. CI must have it, a newcomer's machine may not."""

    def find(name: str) -> str:
        if path := shutil.which(name):
            return path
        package = {"nginx": "nginx-light", "openssl": "openssl"}.get(name, "prometheus")
        sentence = f"{name} is not installed (on Debian: apt-get install {package})"
        if os.environ.get("CI"):
            pytest.fail(sentence)
        pytest.skip(sentence)

    return find


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a ready service with a small model."""
    with live.running(
        model=models.bert(tmp_path_factory.mktemp("models") / "small-reranker"),
        offline=True,
        threads=1,
        max_queue_tokens=QUEUE_TOKENS,
        max_batch_tokens=BATCH_TOKENS,
        llm="http://127.0.0.1:9/v1#nobody",  # its breaker is watched before it is asked
    ) as service:
        yield service.url


@dataclass(frozen=True)
class Prometheus:
    url: str

    def ask(self, path: str, **parameters: str) -> Any:
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=10).json()
        assert answer["status"] == "success", f"{parameters}: {answer.get('error')}"
        return answer["data"]

    def numbers(self, expression: str) -> list[float]:
        """What an expression gives now; what is not a number is no data."""
        values = [
            float(sample["value"][1]) for sample in self.ask("query", query=expression)["result"]
        ]
        return [number for number in values if number == number]  # noqa: PLR0124 (NaN does not)

    def sees(self, expression: str) -> list[float]:
        return until(lambda: self.numbers(expression), f"data for {expression}")


@pytest.fixture(scope="module")
def prometheus(
    service: str, tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """The shipped configuration, but for the target and the pace; and traffic to be seen."""
    folder = tmp_path_factory.mktemp("prometheus")
    shutil.copytree(ROOT / "deploy" / "prometheus", folder, dirs_exist_ok=True)
    config = yaml.safe_load((folder / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["scrape_configs"][0]["static_configs"] = [{"targets": [service.removeprefix("http://")]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_port()}"
    command = [
        tool("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
    ]
    with running(command, folder / "log", f"http://{address}/-/ready"):
        real = Prometheus(f"http://{address}")
        real.sees("rerankd_ready == 1")  # a rate needs a scrape from before the traffic
        with Traffic(service).flowing():
            yield real
