"""A store that is listed is opened, searched, filled and named, with no other line changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import pytest
from pydantic import ValidationError

from app.errors import LoadFailed
from app.retrieval.address import read_address
from app.retrieval.opening import open_retriever, open_writer
from app.retrieval.store import Candidate, Search, Store
from app.retrieval.stores import STORES, by_scheme
from app.retrieval.stores.kind import Opening, StoreKind
from app.retrieval.writer import Held, StoreWriter
from app.settings import Settings
from tests.docs.reference import stores
from tests.retrieval.stage import stage_of

pytestmark = pytest.mark.anyio


class Shelf:
    """A store and its writer: passages by their id, all of which match every search."""

    name = "shelf"
    reads: Literal["words", "vector"] = "words"
    wants_vectors = False

    def __init__(self) -> None:
        self.passages: dict[str, Candidate] = {}
        self.opening: Opening | None = None

    def open_stores(self, opening: Opening) -> Sequence[Store]:
        self.opening = opening
        return [self]

    def open_writer(self, opening: Opening) -> StoreWriter:
        self.opening = opening
        return self

    async def search(self, search: Search) -> list[Candidate]:
        return list(self.passages.values())[: search.k]

    async def held(self) -> list[Held]:
        return [Held(passage_id, None, None) for passage_id in self.passages]

    async def put(self, chunks: Sequence[Candidate], vectors: Sequence[Sequence[float]]) -> None:
        self.passages |= {chunk.id: chunk for chunk in chunks}

    async def remove(self, ids: Sequence[str]) -> None:
        for passage_id in ids:
            del self.passages[passage_id]

    async def close(self) -> None:
        """Nothing."""


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def shelf_kind(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> StoreKind:
    kind = StoreKind(
        title="Shelf",
        schemes=("shelf", "rack"),
        examples=("shelf://host:77",),
        reads="words",
        tested_against="itself",
        open_stores=shelf.open_stores,
        open_writer=shelf.open_writer,
        default_port=77,
    )
    for scheme in kind.schemes:
        monkeypatch.setitem(STORES, scheme, kind)
    return kind


async def test_a_listed_store_is_filled_and_searched(shelf: Shelf, shelf_kind: StoreKind) -> None:
    stage = stage_of(["rack+https://host/top"], collection="docs", store_key="s3cret")
    async with open_writer(stage) as (writer, _):
        await writer.put([Candidate("x", "Cats purr.")], [])
    async with open_retriever(stage) as retriever:
        result = await retriever.retrieve(["cats"], k=1, filters={}, collection=None)
    assert [candidate.id for candidate in result.candidates] == ["x"]
    assert shelf.opening is not None
    assert shelf.opening.address.base == "https://host:77"
    assert (shelf.opening.collection, shelf.opening.key) == ("docs", "s3cret")
    assert "s3cret" not in repr(shelf.opening)


@pytest.mark.usefixtures("shelf_kind")
def test_a_listed_store_is_a_valid_setting() -> None:
    assert Settings(store="shelf://host").store[0].get_secret_value() == "shelf://host"
    with pytest.raises(ValidationError, match="shelf:// names no host"):
        Settings(store="shelf://")


@pytest.mark.usefixtures("shelf_kind")
def test_an_unknown_store_is_refused_with_all_that_are_listed() -> None:
    with pytest.raises(ValidationError, match=r"a URL begins with one of sqlite, .*shelf, rack"):
        Settings(store="sqlite:a.db, couchdb://host")
    with pytest.raises(ValueError, match=r"a URL begins with one of sqlite, .*shelf, rack"):
        read_address("couchdb://host")


@pytest.mark.usefixtures("shelf_kind")
def test_a_listed_store_has_a_row_in_the_table_of_the_docs() -> None:
    row = "| [Shelf](#shelf) | `shelf://host:77` | words | yes | | itself |"
    assert stores().splitlines()[-1] == row


async def test_a_store_that_cannot_be_filled_gives_its_reason(
    shelf_kind: StoreKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = replace(shelf_kind, open_writer="shelf is full")
    monkeypatch.setitem(STORES, "shelf", closed)
    with pytest.raises(LoadFailed, match="setting store: shelf is full"):
        async with open_writer(stage_of(["shelf://host"])):
            pass
    assert "| words | no |" in stores()


async def test_a_missing_library_names_its_extra_and_other_import_errors_stay(
    shelf_kind: StoreKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(opening: Opening) -> Sequence[Store]:
        raise ModuleNotFoundError("No module named 'wood'", name="wood")

    broken = replace(shelf_kind, open_stores=fail)
    stage = stage_of(["shelf://host"])
    for extra, error, reason in (
        ("wood", LoadFailed, r"needs pip install 'rerankd\[wood\]'"),
        ("", ModuleNotFoundError, "No module named 'wood'"),
    ):
        monkeypatch.setitem(STORES, "shelf", replace(broken, extra=extra))
        with pytest.raises(error, match=reason):
            async with open_retriever(stage):
                pass


def test_no_scheme_is_listed_twice() -> None:
    kinds = list(dict.fromkeys(STORES.values()))
    assert by_scheme(*kinds) == STORES
    assert sum(len(kind.schemes) for kind in kinds) == len(STORES)
