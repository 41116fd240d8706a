"""What holds for every store that `rerankd ingest` fills.

SQLite, Chroma, FAISS, LanceDB, PostgreSQL and Redis are real; servers of our own replace the
others.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from app.errors import UpstreamFailed
from app.ingest.chunking import Chunking
from app.ingest.syncing import Sync
from app.retrieval.opening import FirstStage, open_retriever, open_writer
from app.retrieval.retriever import Retriever
from app.retrieval.store import Candidate
from app.retrieval.writer import Held
from tests.retrieval.stage import stage_of
from tests.retrieval.stand_ins.filling import MAKERS, with_vectors
from tests.retrieval.stand_ins.mongodb import MongoDB
from tests.retrieval.stand_ins.serving import serving
from tests.retrieval.stores import MINILM, PASSAGES, fill, filled, ids

pytestmark = pytest.mark.anyio

REAL_SERVERS = {"postgresql": "postgres_url", "redis": "redis_url"}

Stage = Callable[[], FirstStage]


@pytest.fixture(
    scope="module",
    params=["sqlite", "chroma", "faiss", "lancedb", "postgresql", "redis", "mongodb", *MAKERS],
)
def fresh(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """A stage with a collection that does not exist yet."""
    folder: Path = tmp_path_factory.mktemp("stores")
    with ExitStack() as stack:
        match request.param:
            case "sqlite":
                url = f"sqlite:{folder}/NAME.db"
            case "faiss" | "lancedb":
                url = f"{request.param}:{folder}"
            case "chroma":
                url = f"chroma://127.0.0.1:{request.getfixturevalue('chroma_port')}"
            case "postgresql" | "redis":
                url = request.getfixturevalue(
                    {"postgresql": "postgres_url", "redis": "redis_url"}[request.param]
                )
            case "mongodb":
                url = f"mongodb://127.0.0.1:{stack.enter_context(MongoDB().serving())}/test"
            case kind:
                port = stack.enter_context(serving(MAKERS[kind]()))
                url = with_vectors(f"{kind}://127.0.0.1:{port}")
                # Each index of Pinecone has a host and a size of vectors of its own.
                url += "/i-NAME" * (kind == "pinecone")

        def stage() -> FirstStage:
            name = f"c{uuid4().hex}"
            return stage_of([url.replace("NAME", name)], collection=name, embedder=MINILM)

        yield stage


@pytest.fixture(scope="module")
async def retriever(fresh: Stage) -> AsyncIterator[Retriever]:
    async with filled(fresh()) as opened:
        yield opened


async def test_meaning_finds_what_shares_no_word(retriever: Retriever) -> None:
    assert await ids(retriever, "monetary policy and rising prices", k=1) == ["3"]
    assert await ids(retriever, "lava and eruptions", k=1) == ["2"]


async def test_a_candidate_is_returned_whole(retriever: Retriever) -> None:
    result = await retriever.retrieve(["content cats"], k=1, filters={}, collection=None)
    (cat,) = result.candidates
    assert (cat.id, cat.text) == ("0", PASSAGES[0].text)
    assert cat.metadata == PASSAGES[0].metadata
    assert isinstance(cat.score, float)


async def test_scores_fall_from_the_first_to_the_last(retriever: Retriever) -> None:
    result = await retriever.retrieve(["happy animals"], k=4, filters={}, collection=None)
    scores = [candidate.score or 0.0 for candidate in result.candidates]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 4


async def test_filters_require_equal_values(retriever: Retriever) -> None:
    assert set(await ids(retriever, "cats", k=4, topic="pets")) == {"0", "1"}
    assert await ids(retriever, "cats", k=4, topic="pets", year=2021) == ["1"]
    assert await ids(retriever, "cats", k=4, topic="none") == []


async def test_more_than_forty_candidates_come_from_a_filled_index(fresh: Stage) -> None:
    stage = fresh()
    many = [Candidate(str(number), f"Note number {number}", {"n": number}) for number in range(120)]
    async with filled(stage, many) as retriever:
        assert len(await ids(retriever, "a note", k=100)) == 100


async def test_the_error_for_a_missing_collection_says_what_to_do(fresh: Stage) -> None:
    async with open_retriever(fresh()) as retriever:
        with pytest.raises(UpstreamFailed, match="`rerankd ingest`"):
            await ids(retriever, "cats")


async def test_what_is_written_is_held_can_be_replaced_and_removed(fresh: Stage) -> None:
    async with open_writer(fresh()) as (writer, embedder):
        assert embedder is not None
        assert await writer.held() == []
        facts = {"source": "a.md", "parent_doc_id": "p"}
        for text in ("old", "new"):
            chunk = Candidate("x", text, facts)
            await writer.put([chunk], await embedder.embed_passages([text]))
            assert await writer.held() == [Held("x", "a.md", "p")]
        await writer.remove(["x"])
        assert await writer.held() == []


async def test_vectors_of_another_length_are_refused_with_a_reason(fresh: Stage) -> None:
    async with open_writer(fresh()) as (writer, embedder):
        assert embedder is not None
        await writer.held()
        await writer.put([Candidate("x", "text", {"n": 1})], [[1.0, 0.0]])
        with pytest.raises(UpstreamFailed, match="another embedder"):
            await writer.put([Candidate("y", "text", {"n": 1})], [[1.0, 0.0, 0.0]])


async def test_a_collection_that_was_dropped_and_created_again_is_searched(fresh: Stage) -> None:
    """Chroma gives it another id, PostgreSQL's prepared statements lose their table."""
    stage = fresh()
    async with filled(stage) as retriever:
        assert await ids(retriever, "cats", k=1) == ["0"]
        await drop(stage)
        await fill(stage, [Candidate("new", "cats", {"n": 1})])
        assert await ids(retriever, "cats", k=1) == ["new"]


async def test_a_folder_is_ingested_and_kept_in_step(fresh: Stage, tmp_path: Path) -> None:
    first, second = tmp_path / "a.md", tmp_path / "b.jsonl"
    first.write_text("# Cats\nCats purr when they are content.")
    second.write_text('{"text": "Banks lend.", "metadata": {"year": 2020, "open": true}}')
    stage = fresh()

    async def sync() -> tuple[int, ...]:
        async with open_writer(stage) as (writer, embedder):
            chunking = Chunking(lambda texts: [len(text.split()) for text in texts], 50, 5)
            report = await Sync(writer, embedder, chunking).run([tmp_path])
        return report.new, report.changed, report.unchanged, report.removed

    assert await sync() == (2, 0, 0, 0)
    assert await sync() == (0, 0, 2, 0)
    first.write_text("# Cats\nCats hiss when they are angry.")
    second.unlink()
    assert await sync() == (0, 1, 0, 1)
    async with open_retriever(stage) as retriever:
        result = await retriever.retrieve(["cats"], k=5, filters={}, collection=None)
    (cats,) = result.candidates
    assert cats.text == "Cats\n\nCats hiss when they are angry."
    assert cats.metadata["source"] == first.as_posix()


async def drop(stage: FirstStage) -> None:
    url = stage.stores[0]
    if url.startswith("sqlite"):
        async with open_writer(stage) as (writer, _):
            await writer.remove([held.id for held in await writer.held()])
    elif url.startswith("faiss"):
        shutil.rmtree(Path(url.removeprefix("faiss:")) / stage.collection)
    elif url.startswith("lancedb"):
        shutil.rmtree(Path(url.removeprefix("lancedb:")) / f"{stage.collection}.lance")
    elif url.startswith("postgres"):
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            await connection.execute(f"drop table {stage.collection}")
    elif url.startswith("redis"):
        async with Redis.from_url(url) as server:
            await server.ft(stage.collection).dropindex(delete_documents=True)
    elif url.startswith("mongodb"):
        async with AsyncMongoClient[Any](url) as mongo:
            await mongo.get_default_database().drop_collection(stage.collection)
    else:
        kind, _, host = url.partition("?")[0].partition("://")
        async with httpx.AsyncClient(base_url=f"http://{host}") as client:
            if kind == "milvus":
                body = {"collectionName": stage.collection}
                response = await client.post("/v2/vectordb/collections/drop", json=body)
            else:
                name = stage.collection.capitalize() if kind == "weaviate" else stage.collection
                response = await client.delete(f"{PLACES.get(kind, '')}/{name}")
            response.raise_for_status()


PLACES = {
    "chroma": "/api/v2/tenants/default_tenant/databases/default_database/collections",
    "qdrant": "/collections",
    "weaviate": "/v1/schema",
    "pinecone": "/namespaces",
}
