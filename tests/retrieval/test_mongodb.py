"""MongoDB: the driver against a server that knows what the manual shows, and broken ones."""

from __future__ import annotations

import gc
import socket
import struct
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId
from bson.binary import Binary

from app.errors import LoadFailed, UpstreamFailed, UpstreamTimeout
from app.retrieval.opening import open_retriever, open_store_writer, open_stores, opening_of
from app.retrieval.store import Candidate, Search
from app.retrieval.stores import mongodb_collection
from app.retrieval.writer import Held
from tests.answer.upstreams import EMBEDDER
from tests.retrieval.directions import EAST, PASSAGES, VECTORS
from tests.retrieval.servers import replying
from tests.retrieval.stage import stage_of
from tests.retrieval.stand_ins.mongodb import Definition, MongoDB, SearchIndex
from tests.retrieval.stand_ins.mongodb_wire import Command, speaking

pytestmark = pytest.mark.anyio


@pytest.fixture
def server() -> Iterator[MongoDB]:
    stand_in = MongoDB()
    with stand_in.serving():
        yield stand_in


def url_of(server: MongoDB, options: str = "") -> str:
    return f"mongodb://{server.address}/test{options}"


async def search(
    url: str, vector: Sequence[float] = EAST, k: int = 5, seconds: float = 10, **filters: Any
) -> list[Candidate]:
    stage = stage_of([url], collection="docs", embedder=EMBEDDER)
    (store,) = open_stores(opening_of(stage, url, seconds, None))
    try:
        return await store.search(Search("a direction", k, vector, filters))
    finally:
        await store.close()


async def put(
    url: str,
    passages: Sequence[Candidate] = PASSAGES,
    vectors: Sequence[Sequence[float]] = VECTORS,
) -> list[Held]:
    stage = stage_of([url], collection="docs", embedder=EMBEDDER)
    writer = open_store_writer(opening_of(stage, url, 10, None))
    try:
        await writer.put(passages, vectors)
        return await writer.held()
    finally:
        await writer.close()


async def test_a_collection_is_made_with_an_index_of_vectors_and_filters(server: MongoDB) -> None:
    held = await put(url_of(server))
    assert {chunk.id for chunk in held} == {"east", "north", "west"}
    assert server.indexes["docs"]["rerankd"].definition.model_dump(by_alias=True) == {
        "fields": [
            {"type": "vector", "path": "embedding", "numDimensions": 2, "similarity": "cosine"},
            {"type": "filter", "path": "rerankd_labels"},
        ]
    }
    first, *_, last = await search(url_of(server))
    assert (first.id, first.text) == ("east", "Where the sun rises.")
    assert first.metadata == {"axis": "x", "n": 1}
    assert last.id == "west"
    assert [first.score, last.score] == pytest.approx([1.0, 0.0])


async def test_filters_are_part_of_the_search_for_neighbours(server: MongoDB) -> None:
    await put(url_of(server))
    assert [each.id for each in await search(url_of(server), k=1, axis="y")] == ["north"]
    assert [each.id for each in await search(url_of(server), axis="x", n=3)] == ["west"]
    assert await search(url_of(server), n="3") == []
    assert await search(url_of(server), n=True) == []


async def test_more_than_one_batch_of_a_cursor_is_read(server: MongoDB) -> None:
    many = [Candidate(str(number), "cats", {"n": number}) for number in range(250)]
    held = await put(url_of(server), many, [[1.0, number] for number in range(250)])
    assert len(held) == 250
    assert len(await search(url_of(server), k=240)) == 240
    assert "getMore" in server.commands


async def test_metadata_may_be_what_bson_cannot_hold(server: MongoDB) -> None:
    odd: dict[str, Any] = {"a.b": 1, "$c": None, "big": 2**70, "deep": {"x": [1, {"y": "z"}]}}
    await put(url_of(server), [Candidate("x", "text\0", odd)], [EAST])
    (candidate,) = await search(url_of(server), EAST, 5, 10, **{"a.b": 1})
    assert (candidate.text, candidate.metadata) == ("text\0", odd)


def add_their_collection(server: MongoDB) -> None:
    """As LangChain makes it, with types that JSON does not have."""
    fields: list[Any] = [
        {"type": "vector", "path": "emb", "numDimensions": 2, "similarity": "cosine"},
        {"type": "filter", "path": "lang"},
    ]
    definition = Definition.model_validate({"fields": fields})
    index = SearchIndex(name="theirs", type="vectorSearch", definition=definition)
    server.indexes["docs"] = {"theirs": index}
    server.collections["docs"] = {
        ObjectId("6524096020da840844a4c4a7"): {
            "_id": ObjectId("6524096020da840844a4c4a7"),
            "body": "near",
            "emb": [1.0, 0.0],
            "lang": "en",
            "made": datetime(2026, 11, 27, tzinfo=UTC),
            "raw": Binary(b"x"),
        },
        2: {"_id": 2, "body": "far", "emb": [0.0, 1.0], "lang": "de"},
    }


THEIRS = "?index=theirs&text=body&vector=emb"


async def test_a_collection_of_another_program_is_searched_by_its_names(server: MongoDB) -> None:
    add_their_collection(server)
    near, far = await search(url_of(server, THEIRS))
    assert (near.id, near.text) == ("6524096020da840844a4c4a7", "near")
    assert near.metadata == {"lang": "en", "made": "2026-11-27T00:00:00+00:00", "raw": None}
    assert (far.id, far.metadata) == ("2", {"lang": "de"})
    assert [each.id for each in await search(url_of(server, THEIRS), lang="de")] == ["2"]
    with pytest.raises(
        UpstreamFailed, match=r"no filter of that name .*: add the path topic to it"
    ):
        await search(url_of(server, THEIRS), topic="pets")


async def test_metadata_of_another_program_may_have_a_field_of_their_own(server: MongoDB) -> None:
    add_their_collection(server)
    for row in server.collections["docs"].values():
        row["facts"] = {"lang": row["lang"]}
    (near, _) = await search(url_of(server, f"{THEIRS}&metadata=facts"))
    assert near.metadata == {"lang": "en"}


async def test_a_collection_of_another_program_is_never_written(server: MongoDB) -> None:
    add_their_collection(server)
    with pytest.raises(UpstreamFailed, match="another program filled"):
        await put(url_of(server))
    assert len(server.collections["docs"]) == 2


async def test_an_index_that_is_being_built_says_so() -> None:
    server = MongoDB(queryable=False)
    with server.serving():
        await put(url_of(server))
        with pytest.raises(UpstreamFailed, match="still building the index"):
            await search(url_of(server))


async def test_a_collection_that_lost_its_index_is_not_an_empty_result(server: MongoDB) -> None:
    await put(url_of(server))
    stage = stage_of([url_of(server)], collection="docs", embedder=EMBEDDER)
    (store,) = open_stores(opening_of(stage, url_of(server), 10, None))
    query = Search("a direction", 5, EAST)
    assert len(await store.search(query)) == 3
    del server.indexes["docs"]
    with pytest.raises(UpstreamFailed, match="`rerankd ingest` makes both"):
        await store.search(query)
    await store.close()


async def test_a_query_of_another_embedder_is_refused(server: MongoDB) -> None:
    await put(url_of(server))
    with pytest.raises(UpstreamFailed, match="vectors of another embedder"):
        await search(url_of(server), [1.0, 0.0, 0.0])


# --- Faults: what is down, slow, junk or too large -----------------------------------------


async def test_a_server_that_is_down_cannot_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UpstreamFailed, match="mongodb cannot be reached"):
        await search(f"mongodb://127.0.0.1:{port}/test", seconds=1)


JUNK = [b"HTTP/1.1 400 Bad Request\r\n\r\n", struct.pack("<iiii", 3, 0, 0, 9)]


# The driver drops the socket of a connection attempt that `close` cancels, and leaves it to the
# collector of garbage.
@pytest.mark.filterwarnings("ignore:.*socket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("junk", JUNK)
async def test_what_is_not_its_protocol_is_an_error(junk: bytes) -> None:
    with (
        replying(lambda connection: connection.sendall(junk)) as port,
        pytest.raises(UpstreamFailed, match="mongodb "),
    ):
        await search(f"mongodb://127.0.0.1:{port}/test", seconds=0.5)
    gc.collect()


async def test_a_server_that_does_not_answer_is_given_up(server: MongoDB) -> None:
    await put(url_of(server))
    released = threading.Event()
    answer = server.answer

    def late(command: Command) -> Mapping[str, Any]:
        if "aggregate" in command:
            released.wait(10)
        return answer(command)

    with speaking(late) as port:
        server.address = f"127.0.0.1:{port}"
        with pytest.raises(UpstreamTimeout, match="mongodb did not answer within 300 ms"):
            await search(url_of(server), seconds=0.3)
        released.set()


CODES = {
    13: "does not let this user do that",
    18: "refuses the login",
    31082: "has no vector search: it needs Atlas",
    40324: "has no vector search: it needs Atlas",
    96: "failed with code 96",
}


@pytest.mark.parametrize(("code", "reason"), CODES.items())
async def test_a_refusal_has_a_reason_and_not_the_text_of_the_server(
    server: MongoDB, code: int, reason: str
) -> None:
    answer = server.answer

    def refuse(command: Command) -> Mapping[str, Any]:
        refused = {"ok": 0.0, "code": code, "errmsg": "secret words"}
        return refused if "aggregate" in command else answer(command)

    with speaking(refuse) as port:
        server.address = f"127.0.0.1:{port}"
        with pytest.raises(UpstreamFailed, match=f"mongodb {reason}") as caught:
            await search(url_of(server))
    assert "secret" not in str(caught.value)


async def test_an_answer_that_is_too_large_is_not_kept(
    server: MongoDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(url_of(server))
    monkeypatch.setattr(mongodb_collection, "MAX_ANSWER_BYTES", 300)
    with pytest.raises(UpstreamFailed, match="answered more than 300 bytes"):
        await search(url_of(server))


@pytest.mark.parametrize("row", [{"metadata": "junk"}, {"text": 7}, {"metadata": "[1]"}])
async def test_a_passage_that_cannot_be_read_is_an_error(
    server: MongoDB, row: dict[str, Any]
) -> None:
    await put(url_of(server))
    server.collections["docs"]["east"] |= row
    with pytest.raises(UpstreamFailed, match="JSON that is not what was asked for"):
        await search(url_of(server))


# --- Addresses -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mongodb://host", "names no database"),
        ("mongodb://host/db?tls=perhaps", "no valid address or options"),
        ("mongodb://user:p@ss:word@host/db", "no valid address or options"),
        ("mongodb+http://host/db", "no valid address or options"),
    ],
)
async def test_an_address_that_cannot_be_used_is_refused_at_start(url: str, reason: str) -> None:
    with pytest.raises(LoadFailed, match=reason) as caught:
        async with open_retriever(stage_of([url], embedder=EMBEDDER)):
            pass
    assert "word" not in str(caught.value)


async def test_a_start_contacts_no_server_and_looks_up_no_name() -> None:
    url = "mongodb+srv://user:hunter2@cluster.nowhere.test/db?retryWrites=true&w=majority"
    async with open_retriever(stage_of([url], embedder=EMBEDDER)):
        pass


async def test_a_missing_driver_is_named_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mongodb_collection", "mongodb_driver"):
        monkeypatch.delitem(sys.modules, f"app.retrieval.stores.{name}")
    monkeypatch.setitem(sys.modules, "pymongo", None)
    with pytest.raises(LoadFailed, match=r"needs pip install 'rerankd\[mongodb\]'"):
        async with open_retriever(stage_of(["mongodb://host/db"], embedder=EMBEDDER)):
            pass
