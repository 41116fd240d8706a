from __future__ import annotations

import sys
from pathlib import Path

import pytest

from app.compose.answer import first_stage
from app.errors import LoadFailed
from app.retrieval.address import read_address
from app.retrieval.opening import open_retriever, open_writer
from app.retrieval.stores.pgvector import dsn
from app.settings import Settings
from tests.answer.upstreams import EMBEDDER
from tests.retrieval.stage import stage_of

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("text", "scheme", "base", "path"),
    [
        ("sqlite:a.db", "sqlite", "", "a.db"),
        ("sqlite:///data/a.db", "sqlite", "", "/data/a.db"),
        ("chroma://host", "chroma", "http://host:8000", ""),
        ("chroma+https://host/acme/docs", "chroma", "https://host:8000", "acme/docs"),
        ("qdrant://[::1]:7000", "qdrant", "http://[::1]:7000", ""),
        ("opensearch+https://host:443/", "opensearch", "https://host:443", ""),
    ],
)
def test_an_address_says_where_a_store_is(text: str, scheme: str, base: str, path: str) -> None:
    address = read_address(text)
    assert (address.scheme, address.base, address.path) == (scheme, base, path)


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ("", ""),
        ("?table=a.b&text=", ""),
        (
            "?options=-c%20search_path%3Da+b&table=c&sslmode=&",
            "?options=-c%20search_path%3Da+b&sslmode=",
        ),
    ],
)
def test_options_of_postgresql_are_passed_to_it_unchanged(options: str, kept: str) -> None:
    assert dsn(read_address(f"postgres://u:p%40w@host/db{options}")) == (
        f"postgresql://u:p%40w@host/db{kept}"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "begins with one of sqlite, chroma"),
        ("couchdb://host", "begins with one of sqlite, chroma"),
        ("chroma+ftp://host", "begins with one of"),
        ("chroma://", "names no host"),
        ("chroma://host:hunter2", "not a URL"),
        ("sqlite:", "names no file"),
    ],
)
async def test_an_address_that_cannot_be_used_is_refused_at_start(text: str, reason: str) -> None:
    with pytest.raises(LoadFailed, match=reason) as caught:
        async with open_retriever(stage_of([text])):
            pass
    assert "hunter2" not in str(caught.value)


async def test_a_store_of_vectors_without_an_embedder_is_refused_at_start() -> None:
    stage = stage_of(["qdrant://host"])
    with pytest.raises(LoadFailed, match="setting embedder: store qdrant reads vectors"):
        async with open_retriever(stage):
            pass
    for url in ("chroma://host", "qdrant://host", "elasticsearch://host?vector=embedding"):
        with pytest.raises(LoadFailed, match=r"setting embedder: store \w+ holds vectors"):
            async with open_writer(stage_of([url])):
                pass


@pytest.mark.parametrize(
    ("stores", "reason"),
    [
        (["template:a.json"], "template is searched but not written"),
        (["qdrant://host?text=doc.body"], "name different fields, and no paths"),
        (["elasticsearch://host?vector=text"], "name different fields, and no paths"),
        (["opensearch://host?text="], "name different fields, and no paths"),
        (["sqlite:a.db", "sqlite:b.db"], "names several stores: choose one with --store"),
    ],
)
async def test_what_cannot_be_written_is_refused(stores: list[str], reason: str) -> None:
    with pytest.raises(LoadFailed, match=reason):
        async with open_writer(stage_of(stores, embedder=EMBEDDER)):
            pass


async def test_a_start_contacts_no_store(tmp_path: Path) -> None:
    stores = ["chroma://127.0.0.1:1", f"sqlite:{tmp_path / 'none.db'}", "postgresql://127.0.0.1:1"]
    async with open_retriever(stage_of(stores, embedder=EMBEDDER)):
        pass
    assert not (tmp_path / "none.db").exists()


def test_settings_become_a_first_stage_that_shows_no_secret() -> None:
    url = "postgresql://u:hunter2@host/db"
    stage = first_stage(
        Settings(
            store=f"{url}, sqlite:a.db",
            store_api_key="hunter3",
            embedder_api_key="hunter4",
            store_timeout_ms=250,
        )
    )
    assert list(stage.stores) == [url, "sqlite:a.db"]
    assert (stage.store_key, stage.embedder_key, stage.store_seconds) == (
        "hunter3",
        "hunter4",
        0.25,
    )
    assert "hunter" not in repr(stage) + repr(read_address(url)) + repr(Settings(store=url))
    assert list(first_stage(Settings()).stores) == ["sqlite:rerankd.db"]


async def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "app.retrieval.stores.pgvector_table", raising=False)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    stage = stage_of(["postgresql://host/db"], embedder=EMBEDDER)
    with pytest.raises(LoadFailed, match=r"needs pip install 'rerankd\[postgres\]'"):
        async with open_retriever(stage):
            pass
