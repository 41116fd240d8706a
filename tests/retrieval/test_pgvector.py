"""What only PostgreSQL has: tables of the user, and connections that break."""

from __future__ import annotations

import asyncio
import socket
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from app.errors import UpstreamFailed
from app.retrieval.opening import open_retriever
from app.retrieval.store import Candidate
from app.retrieval.stores.pgvector_table import MAX_CONNECTIONS, Postgres
from tests.answer.upstreams import EMBEDDER, answering
from tests.retrieval.stage import stage_of
from tests.retrieval.stores import ids

pytestmark = pytest.mark.anyio

ARTICLES = """
create extension if not exists vector;
create schema {name};
create table {name}.articles (no int primary key, body text, tags jsonb, "My Vector" vector(2));
insert into {name}.articles values
    (1, 'near', '{{"lang": "en"}}', '[0.1, 0.2]'),
    (2, 'far', '{{"lang": "de"}}', '[-1, 0.2]'),
    (3, null, null, '[0.1, 0.2]'),
    (4, 'untagged', null, '[0.1, 0.1]');
"""


@pytest.fixture(scope="module")
async def schema(postgres_url: str) -> str:
    name = f"s{uuid4().hex}"
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        await connection.execute(ARTICLES.format(name=name).encode())
    return name


async def search(url: str, **filters: str) -> list[Candidate]:
    stage = stage_of([url], embedder=EMBEDDER)
    transport = httpx.MockTransport(answering({}))
    async with open_retriever(stage, transport=transport) as retriever:
        result = await retriever.retrieve(["q"], k=5, filters=filters, collection=None)
    return list(result.candidates)


def options(url: str, **named: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}" + "&".join(
        f"{name}={value}" for name, value in named.items()
    )


COLUMNS = {"id": "no", "text": "body", "vector": "My%20Vector", "metadata": "tags"}


async def test_a_table_of_the_user_is_searched_by_its_columns(
    postgres_url: str, schema: str
) -> None:
    url = options(postgres_url, table=f"{schema}.articles", **COLUMNS)
    candidates = await search(url)
    assert [(candidate.id, candidate.text, candidate.metadata) for candidate in candidates] == [
        ("1", "near", {"lang": "en"}),
        ("4", "untagged", {}),
        ("2", "far", {"lang": "de"}),
    ]
    assert candidates[0].score == pytest.approx(1.0)
    assert [candidate.id for candidate in await search(url, lang="de")] == ["2"]


async def test_its_own_options_reach_postgresql(postgres_url: str, schema: str) -> None:
    path = {"options": f"-c%20search_path%3D{schema},public"}
    assert len(await search(options(postgres_url, table="articles", **path, **COLUMNS))) == 3


async def test_a_few_connections_serve_many_searches(postgres_url: str) -> None:
    server, seen = Postgres(postgres_url, 30.0), set[int]()

    async def work(connection: psycopg.AsyncConnection[Any]) -> None:
        await connection.execute("select 1")
        seen.add(connection.info.backend_pid)

    try:
        await asyncio.gather(*(server.run(work) for _ in range(5 * MAX_CONNECTIONS)))
    finally:
        await server.close()
    assert len(seen) == MAX_CONNECTIONS


async def test_without_metadata_there_are_no_filters(postgres_url: str, schema: str) -> None:
    url = options(postgres_url, table=f"{schema}.articles", **(COLUMNS | {"metadata": ""}))
    assert [candidate.metadata for candidate in await search(url)] == [{}, {}, {}]
    with pytest.raises(UpstreamFailed, match="filters need a column of metadata"):
        await search(url, lang="de")


async def test_a_wrong_column_says_how_to_name_the_right_one(
    postgres_url: str, schema: str
) -> None:
    with pytest.raises(UpstreamFailed, match=r"no such column: name yours with \?id="):
        await search(options(postgres_url, table=f"{schema}.articles"))


ODD = """
create table {name}.odd (id text primary key, text text, metadata jsonb, embedding vector(2));
insert into {name}.odd values
    ('good', 'near', '{{}}', '[0.1, 0.2]'),
    ('zero', 'nowhere', '{{}}', '[0, 0]');
"""


async def test_a_vector_of_zeros_has_no_score_and_metadata_are_an_object(
    postgres_url: str, schema: str
) -> None:
    url = options(postgres_url, table=f"{schema}.odd")
    connect = psycopg.AsyncConnection.connect
    async with await connect(postgres_url, autocommit=True) as connection:
        await connection.execute(ODD.format(name=schema).encode())
        assert [(candidate.id, candidate.score) for candidate in await search(url)] == [
            ("good", 1.0),
            ("zero", None),
        ]
        await connection.execute(f"update {schema}.odd set metadata = '[1]'".encode())
        with pytest.raises(UpstreamFailed, match="JSON that is not what was asked for"):
            await search(url)


@pytest.mark.parametrize("name", ["x; drop table y", 'a"b', "a' or 1=1", "pg_class where 1=1 --"])
async def test_a_name_is_never_more_than_a_name(postgres_url: str, name: str) -> None:
    with pytest.raises(UpstreamFailed, match="no such table"):
        await search(options(postgres_url, table=name.replace(" ", "%20").replace(";", "%3B")))


async def test_a_connection_that_broke_while_idle_is_replaced(
    postgres_url: str, schema: str
) -> None:
    url = options(postgres_url, table=f"{schema}.articles", **COLUMNS)
    stage = stage_of([url], embedder=EMBEDDER)
    transport = httpx.MockTransport(answering({}))
    async with open_retriever(stage, transport=transport) as retriever:
        assert len(await ids(retriever, "q", k=5)) == 3
        connect = psycopg.AsyncConnection.connect
        async with await connect(postgres_url, autocommit=True) as connection:
            await connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where pid <> pg_backend_pid() and backend_type = 'client backend'"
            )
        assert len(await ids(retriever, "q", k=5)) == 3


async def test_postgresql_that_is_down_refuses_or_hangs_is_named(postgres_url: str) -> None:
    embedder = httpx.MockTransport(answering({}))
    common = {"embedder": EMBEDDER, "collection": "nowhere"}

    async def reason(url: str, seconds: float = 5.0) -> str:
        stage = stage_of([url], store_seconds=seconds, **common)
        async with open_retriever(stage, transport=embedder) as retriever:
            with pytest.raises(UpstreamFailed) as caught:
                await ids(retriever, "cats")
            return str(caught.value)

    down = "postgresql://user:hunter2@127.0.0.1:1/db"
    assert await reason(down) == "postgresql cannot be reached, or broke the connection"
    assert "has no such table" in await reason(postgres_url)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hanging = f"postgresql://user:hunter2@127.0.0.1:{silent.getsockname()[1]}/db"
        assert await reason(hanging, 0.1) == "postgresql did not answer within 100 ms"
