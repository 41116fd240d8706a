"""What only Redis has: indexes of other programs, keys, and its own ways to fail."""

from __future__ import annotations

import json
import socket
import struct
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from app.errors import LoadFailed, UpstreamFailed, UpstreamTimeout
from app.retrieval.opening import open_retriever, open_store_writer, open_stores, opening_of
from app.retrieval.store import Candidate, Search
from app.retrieval.stores import redis_index
from app.retrieval.stores.redis_index import shape_of
from app.retrieval.stores.redis_server import RedisServer
from app.retrieval.writer import Held
from tests.answer.upstreams import EMBEDDER
from tests.retrieval.directions import EAST, NORTH, PASSAGES, VECTORS
from tests.retrieval.servers import replying
from tests.retrieval.stage import stage_of
from tests.shared_cache.redis_process import RedisProcess

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, protocol=2) as opened:
        yield opened


@pytest.fixture
def index() -> str:
    return f"i{uuid4().hex}"


async def search(
    url: str,
    index: str,
    vector: Sequence[float] = EAST,
    k: int = 5,
    seconds: float = 10,
    **filters: Any,
) -> list[Candidate]:
    stage = stage_of([url], collection=index, embedder=EMBEDDER)
    (store,) = open_stores(opening_of(stage, url, seconds, None))
    try:
        return await store.search(Search("a direction", k, vector, filters))
    finally:
        await store.close()


async def ids(url: str, index: str, **more: Any) -> list[str]:
    return [candidate.id for candidate in await search(url, index, **more)]


async def put(
    url: str,
    index: str,
    passages: Sequence[Candidate] = PASSAGES,
    vectors: Sequence[Sequence[float]] = VECTORS,
) -> list[Held]:
    stage = stage_of([url], collection=index, embedder=EMBEDDER)
    writer = open_store_writer(opening_of(stage, url, 10, None))
    try:
        await writer.put(passages, vectors)
        return await writer.held()
    finally:
        await writer.close()


async def test_a_chunk_is_a_hash_under_a_prefix_of_its_own(
    redis_url: str, client: Redis, index: str
) -> None:
    await put(redis_url, index)
    row: Any = await client.execute_command("HGETALL", f"rerankd-store:{index}:north")  # type: ignore[no-untyped-call]
    fields = dict(zip(row[::2], row[1::2], strict=True)) if isinstance(row, list) else row
    assert fields[b"text"] == b"Where the needle points."
    assert json.loads(fields[b"metadata"]) == {"axis": "y", "n": 2}
    assert struct.unpack("<2f", fields[b"embedding"]) == (0.0, 3.0)
    server = RedisServer(redis_url, 10)
    shape = await shape_of(server, index)
    await server.close()
    assert (shape.is_ours, shape.vector_size) == (True, 2)


async def test_neighbours_come_nearest_first_with_the_cosine_as_score(
    redis_url: str, index: str
) -> None:
    await put(redis_url, index)
    candidates = await search(redis_url, index)
    assert [each.id for each in candidates] == ["east", "north", "west"]
    assert [each.score for each in candidates] == pytest.approx([1.0, 0.0, -1.0])


async def test_an_ingest_lists_more_keys_than_one_page(redis_url: str, index: str) -> None:
    many = [Candidate(f"i:{number}", "cats", {"n": number}) for number in range(2500)]
    held = await put(redis_url, index, many, [[1.0, number] for number in range(2500)])
    assert {chunk.id for chunk in held} == {chunk.id for chunk in many}


ODD = ["a b", "a,b", "a-b|{c}", 'quote"\\', "", "Ä", "ä", "x" * 4096, "*", "@text:{y}", "new\nline"]


async def test_a_filter_is_equality_whatever_the_value_holds(redis_url: str, index: str) -> None:
    passages = [Candidate(str(row), "t", {"v": value}) for row, value in enumerate(ODD)]
    await put(redis_url, index, passages, [EAST] * len(ODD))
    for row, value in enumerate(ODD):
        assert await ids(redis_url, index, v=value) == [str(row)]
    assert await ids(redis_url, index, v="a") == []


async def test_an_old_version_of_a_chunk_leaves_nothing(redis_url: str, index: str) -> None:
    await put(redis_url, index, [Candidate("x", "old", {"v": 1})], [EAST])
    await put(redis_url, index, [Candidate("x", "new", {"w": 2})], [NORTH])
    (candidate,) = await search(redis_url, index)
    assert (candidate.text, candidate.metadata) == ("new", {"w": 2})
    assert candidate.score == pytest.approx(0.0)
    assert await ids(redis_url, index, v=1) == []


async def make_hashes(client: Redis, index: str) -> None:
    """As LangChain and RedisVL make them: fields of their own, some of them in the index."""
    await client.execute_command(  # type: ignore[no-untyped-call]
        *("FT.CREATE", index, "ON", "HASH", "PREFIX", 1, f"{index}:", "SCHEMA", "body", "TEXT"),
        *("lang", "TAG", "n", "NUMERIC", "tag", "TAG", "emb", "VECTOR", "FLAT", 6),
        *("TYPE", "FLOAT32", "DIM", 2, "DISTANCE_METRIC", "COSINE"),
    )
    rows = [("near", EAST, "de", 1, "a.b c"), ("far", NORTH, "en", 2.5, "true")]
    for name, vector, lang, number, tag in rows:
        fields: dict[Any, Any] = {"body": name, "lang": lang, "n": number, "tag": tag}
        fields["emb"] = struct.pack("<2f", *vector)
        await client.hset(f"{index}:{name}", mapping=fields)


THEIRS = "?text=body&vector=emb"


async def test_an_index_of_another_program_is_searched_by_its_names(
    redis_url: str, client: Redis, index: str
) -> None:
    await make_hashes(client, index)
    near, far = await search(f"{redis_url}{THEIRS}", index)
    assert (near.id, near.text) == (f"{index}:near", "near")
    assert near.metadata == {"lang": "de", "n": "1", "tag": "a.b c"}
    assert far.id == f"{index}:far"
    url = f"{redis_url}{THEIRS}"
    assert await ids(url, index, lang="en", n=2.5) == [f"{index}:far"]
    assert await ids(url, index, tag="a.b c") == [f"{index}:near"]
    assert await ids(url, index, tag=True) == [f"{index}:far"]
    assert await ids(url, index, body="near") == []
    assert await ids(url, index, nowhere=1) == []


async def test_documents_of_json_are_searched_too(
    redis_url: str, client: Redis, index: str
) -> None:
    await client.execute_command(  # type: ignore[no-untyped-call]
        *("FT.CREATE", index, "ON", "JSON", "PREFIX", 1, f"{index}:", "SCHEMA"),
        *("$.facts.lang", "AS", "lang", "TAG", "$.emb", "AS", "emb", "VECTOR", "FLAT", 6),
        *("TYPE", "FLOAT32", "DIM", 2, "DISTANCE_METRIC", "COSINE"),
    )
    document = {"page": {"body": "near"}, "emb": EAST, "facts": {"lang": "de"}}
    await client.execute_command("JSON.SET", f"{index}:1", "$", json.dumps(document))  # type: ignore[no-untyped-call]
    (near,) = await search(f"{redis_url}?text=page.body&vector=emb&metadata=facts", index)
    assert (near.text, near.metadata) == ("near", {"lang": "de"})
    assert await ids(f"{redis_url}?text=page.body&vector=emb", index, lang="en") == []


async def test_an_index_of_another_program_is_never_written(
    redis_url: str, client: Redis, index: str
) -> None:
    await make_hashes(client, index)
    with pytest.raises(UpstreamFailed, match="another program made"):
        await put(redis_url, index)
    assert await client.keys(f"rerankd-store:{index}:*") == []


async def test_a_wrong_field_says_how_to_name_the_right_one(
    redis_url: str, client: Redis, index: str
) -> None:
    await make_hashes(client, index)
    with pytest.raises(UpstreamFailed, match=r"no vectors in that field: .* \?vector="):
        await search(redis_url, index)


async def test_a_query_of_another_embedder_is_refused(redis_url: str, index: str) -> None:
    await put(redis_url, index)
    with pytest.raises(UpstreamFailed, match="vectors of another embedder"):
        await search(redis_url, index, [1.0, 0.0, 0.0])


# --- Faults: what is down, slow, junk or too large -----------------------------------------


async def test_a_server_without_search_says_what_is_needed(tmp_path: Path) -> None:
    """Debian's Redis 7.0."""
    process = RedisProcess(tmp_path)
    try:
        with pytest.raises(UpstreamFailed, match="redis has no search: it needs Redis 8"):
            await search(f"redis://127.0.0.1:{process.port}", "docs")
        process.stall()
        with pytest.raises(UpstreamTimeout, match="redis did not answer within 200 ms"):
            await search(f"redis://127.0.0.1:{process.port}", "docs", seconds=0.2)
    finally:
        process.kill()
    with pytest.raises(UpstreamFailed, match="redis cannot be reached"):
        await search(f"redis://127.0.0.1:{process.port}", "docs")


async def test_a_wrong_password_names_the_setting_and_is_not_shown(tmp_path: Path) -> None:
    process = RedisProcess(tmp_path, "--requirepass", "right")
    try:
        for login in ("", ":hunter2@"):
            with pytest.raises(UpstreamFailed, match="refuses the login") as caught:
                await search(f"redis://{login}127.0.0.1:{process.port}", "docs")
            assert "hunter2" not in str(caught.value)
    finally:
        process.kill()


@pytest.mark.parametrize("junk", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"+OK\r\n", b"*1\r\n:7\r\n"])
async def test_junk_is_an_error(junk: bytes) -> None:
    def answer(connection: socket.socket) -> None:
        while connection.recv(65536):
            connection.sendall(junk)

    with replying(answer) as port, pytest.raises(UpstreamFailed, match="redis "):
        await search(f"redis://127.0.0.1:{port}", "docs", seconds=0.5)


async def test_an_answer_that_is_too_large_is_not_kept(
    redis_url: str, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(redis_url, index)
    monkeypatch.setattr(redis_index, "MAX_ANSWER_BYTES", 50)
    with pytest.raises(UpstreamFailed, match="answered more than 50 bytes"):
        await search(redis_url, index)


@pytest.mark.parametrize("field", [("metadata", "junk"), ("metadata", "[1]"), ("text", b"\xff")])
async def test_a_passage_that_cannot_be_read_is_an_error(
    redis_url: str, client: Redis, index: str, field: tuple[str, Any]
) -> None:
    await put(redis_url, index)
    await client.hset(f"rerankd-store:{index}:east", *field)
    with pytest.raises(UpstreamFailed, match="JSON that is not what was asked for"):
        await search(redis_url, index)


# --- Addresses -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["redis://host/one", "redis://host:port", "redis://host?colour=red", "redis://h?db=x"]
)
async def test_an_address_that_cannot_be_used_is_refused_at_start(url: str) -> None:
    with pytest.raises(LoadFailed, match="setting store: "):
        async with open_retriever(stage_of([url], embedder=EMBEDDER)):
            pass


async def test_a_missing_library_is_named_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("redis_index", "redis_server"):
        monkeypatch.delitem(sys.modules, f"app.retrieval.stores.{name}")
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(LoadFailed, match=r"needs pip install 'rerankd\[redis\]'"):
        async with open_retriever(stage_of(["redis://host"], embedder=EMBEDDER)):
            pass
