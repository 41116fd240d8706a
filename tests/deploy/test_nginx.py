"""The example of a proxy is accepted by nginx, and does what it says in front of the service."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.deploy.processes import free_port, until

EXAMPLE = Path(__file__).resolve().parents[2] / "deploy/nginx/rerankd.conf"
BODY = {"query": "q", "documents": ["a"]}


class Proxy:
    """nginx by the example, but for its paths, its port and the address of the service."""

    def __init__(self, nginx: str, folder: Path, service: str) -> None:
        self.port = free_port()
        self.config = folder / "nginx.conf"
        self.certificate = folder / "rank.example.crt"
        text = EXAMPLE.read_text()
        for old, new in (
            ("/var/log/nginx", str(folder)),
            ("/etc/nginx/tls", str(folder)),
            ("listen 443 ssl", f"listen 127.0.0.1:{self.port} ssl"),
            ("127.0.0.1:8000", service.removeprefix("http://")),
        ):
            assert old in text
            text = text.replace(old, new)
        # It runs as whoever runs the tests, and so do its workers.
        user = "user root;\n" if shutil.which("id") and not is_unprivileged() else ""
        self.config.write_text(f"{user}daemon off;\npid {folder}/nginx.pid;\n{text}")
        make_certificate(folder)
        self.command = [nginx, "-p", str(folder), "-e", str(folder / "start"), "-c"]
        self.command.append(str(self.config))

    def client(self) -> httpx.Client:
        trusted = ssl.create_default_context(cafile=self.certificate)
        transport = httpx.HTTPTransport(verify=trusted)
        return httpx.Client(transport=transport, base_url=f"https://127.0.0.1:{self.port}")

    def send(self, client: httpx.Client, method: str, path: str, **more: object) -> httpx.Response:
        request = client.build_request(method, path, headers={"Host": "rank.example"}, **more)  # type: ignore[arg-type]
        request.extensions["sni_hostname"] = "rank.example"
        return client.send(request)


def is_unprivileged() -> bool:
    return subprocess.check_output(["id", "-u"], text=True).strip() != "0"


def make_certificate(folder: Path) -> None:
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=rank.example", "-addext", "subjectAltName=DNS:rank.example"),
            *("-keyout", str(folder / "rank.example.key")),
            *("-out", str(folder / "rank.example.crt")),
        ],
        check=True,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def proxy(
    service: str, tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    tool("openssl")
    made = Proxy(tool("nginx"), tmp_path_factory.mktemp("nginx"), service)
    with subprocess.Popen(made.command, stderr=subprocess.PIPE, text=True) as process:
        try:
            until(
                lambda: process.poll() is not None or made.config.with_name("nginx.pid").exists(),
                "nginx runs",
            )
            assert process.poll() is None, process.communicate()
            yield made
        finally:
            process.terminate()


def test_nginx_accepts_the_example(proxy: Proxy) -> None:
    other = proxy.config.with_name("test.conf")
    other.write_text(proxy.config.read_text().replace(str(proxy.port), str(free_port())))
    done = subprocess.run(
        [*proxy.command[:-1], str(other), "-t"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr


def test_callers_reach_what_is_for_them_and_nothing_else(proxy: Proxy) -> None:
    with proxy.client() as client:
        answer = proxy.send(client, "POST", "/rerank", json=BODY)
        assert (answer.status_code, "results" in answer.json()) == (200, True)
        assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["X-Request-ID"])
        assert proxy.send(client, "HEAD", "/healthz").status_code == 200
        for path in (
            "/metrics",
            "/info",
            "/docs",
            "/docs/start.js",
            "/openapi.json",
            "/readyz",
            "/ui",
            "/ui/",
        ):
            refused = proxy.send(client, "GET", path)
            assert (refused.status_code, "nginx" in refused.text) == (404, True), path


def test_a_caller_that_asks_too_often_is_told_so(proxy: Proxy) -> None:
    with proxy.client() as client:
        statuses = {proxy.send(client, "GET", "/healthz").status_code for _ in range(200)}
    assert statuses == {200, 429}


def test_a_name_that_is_not_ours_gets_no_certificate(proxy: Proxy) -> None:
    with proxy.client() as client, pytest.raises(httpx.ConnectError):
        client.get("/healthz", extensions={"sni_hostname": "evil.example"})
