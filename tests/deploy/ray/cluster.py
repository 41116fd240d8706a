"""A Ray cluster of this machine with rerankd on it, by the files in deploy/ray."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.deploy.processes import free_port, until
from tests.deploy.ray.environment import RAY, ROOT, SERVE, environ

CONFIG = ROOT / "deploy" / "ray" / "serve.yaml"
START_SECONDS = 600.0
OBJECT_STORE_BYTES = 200_000_000
# Replicas are counted in them; the machine may have fewer.
CPUS = 16
RUNNING = "RUNNING"

Config = dict[str, Any]


def shipped() -> Config:
    config: Config = yaml.safe_load(CONFIG.read_text())
    return config


def config_for(
    port: int, deployments: Mapping[str, Mapping[str, Any]], **settings: object
) -> Config:
    """The shipped one with other numbers; `deployments` replaces what is in it by name."""
    config = shipped()
    config["proxy_location"] = "HeadOnly"
    config["http_options"] |= {"host": "127.0.0.1", "port": port}
    application = config["applications"][0]
    wanted = {
        "engine": "onnxruntime",
        "dtype": "float32",
        "device": "cpu",
        "log_level": "warning",
        **settings,
    }
    application["runtime_env"]["env_vars"] |= {
        f"RERANKD_{name.upper()}": str(value) for name, value in wanted.items()
    }
    for deployment in application["deployments"]:
        deployment["ray_actor_options"] = {"num_cpus": 1}
        if changes := deployments.get(deployment["name"]):
            deployment.update(changes)
            if "num_replicas" in changes:
                deployment.pop("autoscaling_config")
    return config


def fixed(replicas: int, **more: Any) -> dict[str, Any]:
    return {"num_replicas": replicas, **more}


class Cluster:
    def __init__(self, folder: Path, dashboard: int) -> None:
        self.url = ""
        self._folder = folder
        self._dashboard = f"http://127.0.0.1:{dashboard}"

    def answers(self) -> bool:
        with suppress(httpx.TransportError):
            address = f"{self._dashboard}/api/serve/applications/"
            return httpx.get(address, timeout=60).is_success
        return False

    def deploy(self, config: Config) -> None:
        """Ask for it; it is running later."""
        address = f"{self._dashboard}/api/serve/applications/"
        answer = httpx.put(address, json=config, timeout=START_SECONDS)
        assert answer.is_success, answer.text
        self.url = f"http://127.0.0.1:{config['http_options']['port']}"

    def deploy_by_command(self, config: Config) -> None:
        file = self._folder / "serve.yaml"
        file.write_text(yaml.safe_dump(config))
        command = [*SERVE, "deploy", str(file), "--address", self._dashboard]
        subprocess.run(command, env=environ(), check=True, capture_output=True, cwd=ROOT)
        self.url = f"http://127.0.0.1:{config['http_options']['port']}"

    def application(self) -> dict[str, Any]:
        """Empty until the controller knows of it."""
        with suppress(httpx.TransportError):
            answer = httpx.get(f"{self._dashboard}/api/serve/applications/", timeout=60)
            if answer.is_success:
                application: dict[str, Any] = answer.json()["applications"].get("rerankd", {})
                return application
        return {}

    def replicas(self, name: str, *, running: bool = True) -> dict[str, int]:
        """The process of each replica, by its id."""
        deployment = self.application().get("deployments", {}).get(name, {})
        return {
            replica["replica_id"]: replica.get("pid") or 0
            for replica in deployment.get("replicas", [])
            if not running or replica["state"] == RUNNING
        }

    def wait_until_running(self, **replicas: int) -> None:
        def is_running() -> bool:
            application = self.application()
            assert application.get("status") != "DEPLOY_FAILED", application
            return application.get("status") == RUNNING and all(
                len(self.replicas(name)) == count for name, count in replicas.items()
            )

        until(is_running, f"the application runs with {replicas}", START_SECONDS)

    def wait_until_replaced(self, before: Mapping[str, Mapping[str, int]]) -> None:
        """Until no replica of `before` is left, and as many new ones run."""

        def is_replaced() -> bool:
            return all(
                before[name].keys().isdisjoint(self.replicas(name, running=False))
                and len(self.replicas(name)) == len(before[name])
                for name in before
            )

        until(is_replaced, "all replicas are replaced", START_SECONDS)

    def logs(self) -> str:
        parts = sorted(self._folder.glob("session_*/logs/serve/*.log"))
        return "\n".join(f"== {part.name}\n{part.read_text()[-3000:]}" for part in parts)


@contextmanager
def running_cluster(**variables: str) -> Iterator[Cluster]:
    """Every port is a free one, and every process ends with the first."""
    port, dashboard = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="rr", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        command = [
            *(*RAY, "start", "--head", "--block", f"--port={port}", f"--temp-dir={folder}"),
            *(f"--dashboard-port={dashboard}", f"--num-cpus={CPUS}", "--disable-usage-stats"),
            *(f"--object-store-memory={OBJECT_STORE_BYTES}", "--include-dashboard=true"),
            *(
                f"--ray-client-server-port={free_port()}",
                f"--dashboard-agent-listen-port={free_port()}",
            ),
        ]
        with (folder / "start.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                env=environ(**variables),
                stdout=log,
                stderr=log,
                cwd=ROOT,
                start_new_session=True,
            )
        try:
            cluster = Cluster(folder, dashboard)
            until(
                lambda: process.poll() is not None or cluster.answers(), "Ray starts", START_SECONDS
            )
            assert process.poll() is None, (folder / "start.log").read_text()
            yield cluster
        finally:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """`ray start --block` ends what it has started."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
