"""Against a real Redis."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import pytest

from app.event_loop import pause
from app.events import Event, SharedCacheRead
from app.rerank.cache import TextScore
from app.shared_cache.cache import SharedCache
from app.shared_cache.redis_client import RedisServer, address_of
from app.shared_cache.server import ServerFailed
from tests.shared_cache.redis_process import RedisProcess

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
KEYS = [str(number).encode() for number in range(1000)]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    process = RedisProcess(tmp_path_factory.mktemp("redis"), "--requirepass", "hunter2")
    yield process
    process.kill()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[RedisServer]:
    server = RedisServer(url)
    try:
        yield server
    finally:
        await server.close()


async def test_values_come_back_in_the_order_of_the_keys(redis: RedisProcess) -> None:
    async with connected(f"redis://:hunter2@127.0.0.1:{redis.port}/1") as server:
        await server.put_all([(b"a\x00\r\n\xff", b"1"), (b"b", b"\x00\r\n\xff" * 4)], 60)
        values = await server.get_all([b"b", b"c", b"a\x00\r\n\xff"])
        assert values == [b"\x00\r\n\xff" * 4, None, b"1"]


async def test_an_entry_lives_for_its_time(redis: RedisProcess) -> None:
    async with connected(f"redis://:hunter2@127.0.0.1:{redis.port}/1") as server:
        await server.put_all([(b"long", b"1")], 1234.5)
        await server.put_all([(b"short", b"1")], 0.0001)
        left = await server._call("PTTL", b"long")
        assert 1_200_000 < left <= 1_234_500
        while await server._call("EXISTS", b"short"):
            await pause()


async def test_a_list_where_a_score_should_be_is_a_miss(redis: RedisProcess) -> None:
    async with connected(f"redis://:hunter2@127.0.0.1:{redis.port}/1") as server:
        await server._call("RPUSH", b"list", b"1")
        assert await server.get_all([b"list"]) == [None]


@pytest.mark.parametrize(
    ("login", "says"), [(":wrong@", "invalid username-password pair"), ("", "uthentication")]
)
async def test_a_wrong_password_is_the_reason_and_is_not_in_it(
    redis: RedisProcess, login: str, says: str
) -> None:
    async with connected(f"redis://{login}127.0.0.1:{redis.port}") as server:
        with pytest.raises(ServerFailed, match=says) as caught:
            await server.ping()
        assert "wrong" not in str(caught.value).replace("WRONGPASS", "")
        assert server.address == f"127.0.0.1:{redis.port}"


async def test_the_rights_in_the_docs_are_enough(redis: RedisProcess) -> None:
    page = (ROOT / "docs/how-to/scale.md").read_text()
    (rights,) = re.findall(r"an ACL \(`(.+?)`\)", page)
    async with connected(f"redis://:hunter2@127.0.0.1:{redis.port}") as server:
        await server._call("ACL", "SETUSER", "rerankd", "on", ">hunter3", *rights.split())
    async with connected(f"redis://rerankd:hunter3@127.0.0.1:{redis.port}/1") as server:
        await server.ping()
        await server.put_all([(b"rerankd:1:a", b"1")], 60)
        assert await server.get_all([b"rerankd:1:a"]) == [b"1"]
        with pytest.raises(ServerFailed, match="permissions"):
            await server.get_all([b"other"])


def test_the_address_has_no_password() -> None:
    assert address_of("rediss://user:a%40b@host:6380/0?ssl_ca_certs=x") == "host:6380"
    assert address_of("unix:///run/redis.sock?db=1") == "/run/redis.sock"


async def test_nothing_at_the_port_is_a_failure_at_once() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    async with connected(f"redis://127.0.0.1:{port}") as server:
        with pytest.raises(ServerFailed, match=f"127.0.0.1:{port}"):
            await server.get_all([b"a"])


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"*1\r\n$1\r\na\r\n", b"$x\r\n", b":7\r\n", b""]
)
async def test_what_speaks_another_protocol_is_a_failure(answer: bytes) -> None:
    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):  # the client may end the connection first
            connection.recv(65536)
            connection.sendall(answer * 5)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=[listener], daemon=True)
        thread.start()
        async with connected(f"redis://127.0.0.1:{listener.getsockname()[1]}") as server:
            with pytest.raises(ServerFailed):
                await server.get_all([b"a", b"b"])
        thread.join()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext"),
            *("subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate


async def test_it_works_over_tls_and_not_with_an_unknown_certificate(certificate: Path) -> None:
    key, folder = certificate.with_name("key.pem"), certificate.parent
    options = ("--tls-cert-file", str(certificate), "--tls-key-file", str(key))
    process = RedisProcess(
        folder,
        *options,
        "--tls-ca-cert-file",
        str(certificate),
        "--tls-auth-clients",
        "no",
        tls=True,
    )
    try:
        url = f"rediss://127.0.0.1:{process.port}"
        async with connected(f"{url}?ssl_ca_certs={certificate}") as server:
            await server.put_all([(b"a", b"1")], 60)
            assert await server.get_all([b"a"]) == [b"1"]
        async with connected(url) as server:
            with pytest.raises(ServerFailed, match="certificate verify failed"):
                await server.ping()
    finally:
        process.kill()


async def test_a_thousand_scores_are_written_and_read(redis: RedisProcess) -> None:
    """The limit is long: this machine may be busy. What a read takes is measured elsewhere."""
    events: list[Event] = []
    url = f"redis://:hunter2@127.0.0.1:{redis.port}/2"
    cache = SharedCache(RedisServer(url), 1.0, 60, events.append)
    async with cache.running():
        while not cache.up:
            await pause()
        scores = cache.of_model(b"m:")
        wanted = {key: TextScore(float(key), 7, truncated=False) for key in KEYS}
        scores.put(wanted)
        while await scores.get(KEYS) != wanted:
            pass
    reads = [event for event in events if isinstance(event, SharedCacheRead)]
    assert (reads[-1].hits, reads[-1].misses) == (1000, 0)
