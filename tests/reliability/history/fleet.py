"""Three real services behind a real HAProxy and a real nginx, and the faults done to them."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.deploy.processes import free_port
from tests.reliability.history.checker import Faults

READY_SECONDS = 120.0
STOP_SECONDS = 60.0
FREEZE_SECONDS = 5.0
BALANCERS = ("haproxy", "nginx")

HAPROXY = """
global
  maxconn 4000
defaults
  mode http
  timeout connect 2s
  timeout client 90s
  timeout server 90s
  timeout http-request 60s
  retries 0
  option http-keep-alive
frontend callers
  bind 127.0.0.1:{port}
  default_backend services
backend services
  balance leastconn
  option httpchk GET /readyz
  default-server check inter 500ms fall 1 rise 1
{servers}
"""
NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
worker_processes 1;
events {{ worker_connections 4000; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 0;
  keepalive_timeout 90s;
  upstream services {{
    least_conn;
{servers}
    keepalive 64;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{
      proxy_pass http://services;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_next_upstream off;
      proxy_read_timeout 90s;
    }}
  }}
}}
"""


class Process:
    """One service on a port of its own, which it keeps when it is started again."""

    def __init__(self, name: str, folder: Path, settings: dict[str, str]) -> None:
        self.name = name
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / f"{name}.log"
        self._settings = settings
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "serve", "--port", str(self.port)],
                env=os.environ | self._settings,
                stdout=log,
                stderr=log,
            )

    def signal(self, number: signal.Signals) -> None:
        assert self._child is not None
        self._child.send_signal(number)

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    async def ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        async with httpx.AsyncClient(base_url=self.url, timeout=5) as client:
            while True:
                assert self._child is not None
                assert self._child.poll() is None, f"{self.name} ended: {self.log()}"
                assert time.monotonic() < deadline, f"{self.name} is not ready: {self.log()}"
                try:
                    if (await client.get("/readyz")).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)

    async def ended(self) -> int:
        assert self._child is not None
        deadline = time.monotonic() + STOP_SECONDS
        while self._child.poll() is None:
            assert time.monotonic() < deadline, f"{self.name} does not end: {self.log()}"
            await asyncio.sleep(0.05)
        return self._child.returncode

    async def gauges(self) -> dict[str, float]:
        async with httpx.AsyncClient(base_url=self.url, timeout=5) as client:
            lines = (await client.get("/metrics")).text.splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line.startswith(("rerankd_", "process_")))
        return {name: float(value) for name, value in pairs}

    def log(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]

    def kill(self) -> None:
        if self._child is not None and self._child.poll() is None:
            self._child.kill()
            self._child.wait()


class Fleet:
    def __init__(self, processes: list[Process], ports: list[int], faults: Faults) -> None:
        self.processes = processes
        self.ports = ports
        self.counts = {"SIGKILL": 0, "SIGTERM": 0, "SIGSTOP": 0}
        self._faults = faults
        self._ending: Process | None = None  # the process that a fault is replacing

    async def disturb(self, chance: random.Random, pause: float) -> None:
        """One fault after the other, each on one process, until cancelled."""
        while True:
            await asyncio.sleep(chance.uniform(0.5, 1.5) * pause)
            fault = chance.choice((self._kill, self._kill, self._terminate, self._freeze))
            since = time.monotonic()
            stretch = len(self._faults.stretches)
            self._faults.stretches.append((since, float("inf")))
            try:
                await fault(chance.choice(self.processes))
            finally:
                self._faults.stretches[stretch] = (since, time.monotonic())

    async def _kill(self, process: Process) -> None:
        self.counts["SIGKILL"] += 1
        await self._replace(process, signal.SIGKILL)

    async def _terminate(self, process: Process) -> None:
        self.counts["SIGTERM"] += 1
        assert await self._replace(process, signal.SIGTERM) == 0, process.log()

    async def _replace(self, process: Process, number: signal.Signals) -> int:
        self._ending = process
        process.signal(number)
        code = await process.ended()
        process.start()
        self._ending = None
        await process.ready()
        return code

    async def _freeze(self, process: Process) -> None:
        self.counts["SIGSTOP"] += 1
        process.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(FREEZE_SECONDS)
        finally:
            process.signal(signal.SIGCONT)

    async def settle(self) -> None:
        """Whatever a cancelled fault left: every process runs."""
        for process in self.processes:
            process.signal(signal.SIGCONT)
        if self._ending is not None:
            await self._ending.ended()
            self._ending.start()
            self._ending = None


def missing_balancers() -> list[str]:
    return [name for name in BALANCERS if shutil.which(name) is None]


def start_balancers(
    folder: Path, services: list[Process], ports: list[int]
) -> list[subprocess.Popen[bytes]]:
    haproxy = "\n".join(f"  server {service.name} 127.0.0.1:{service.port}" for service in services)
    nginx = "\n".join(
        f"    server 127.0.0.1:{service.port} max_fails=1 fail_timeout=1s;" for service in services
    )
    (folder / "haproxy.cfg").write_text(HAPROXY.format(port=ports[0], servers=haproxy))
    (folder / "nginx.conf").write_text(NGINX.format(port=ports[1], servers=nginx, folder=folder))
    commands = (
        ["haproxy", "-db", "-f", str(folder / "haproxy.cfg")],
        ["nginx", "-e", str(folder / "nginx.log"), "-c", str(folder / "nginx.conf")],
    )
    with (folder / "balancers.log").open("ab") as log:
        return [subprocess.Popen(command, stdout=log, stderr=log) for command in commands]


@asynccontextmanager
async def open_fleet(
    folder: Path, settings: dict[str, str], faults: Faults, count: int = 3
) -> AsyncIterator[Fleet]:
    processes = [Process(f"service{number}", folder, settings) for number in range(count)]
    ports = [free_port(), free_port()]
    balancers: list[subprocess.Popen[bytes]] = []
    try:
        for process in processes:
            process.start()
        for process in processes:
            await process.ready()
        balancers += start_balancers(folder, processes, ports)
        for port in ports:
            await balancer_ready(port)
        yield Fleet(processes, ports, faults)
    finally:
        for balancer in balancers:
            balancer.terminate()
            balancer.wait()
        for process in processes:
            process.kill()


async def balancer_ready(port: int) -> None:
    deadline = time.monotonic() + READY_SECONDS
    async with httpx.AsyncClient(timeout=5) as client:
        while True:
            assert time.monotonic() < deadline, f"no load balancer on port {port}"
            try:
                if (await client.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)
