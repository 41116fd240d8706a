from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import UpstreamFailed, UpstreamTimeout
from app.retrieval.opening import FirstStage, open_retriever, open_writer
from app.retrieval.store import Candidate, Search
from app.retrieval.stores.sqlite import SqliteStore, SqliteWriter, match_any
from app.retrieval.stores.sqlite_file import TABLES, Database
from tests.retrieval.stage import stage_of
from tests.retrieval.stores import MINILM, PASSAGES, fill, filled, ids

pytestmark = pytest.mark.anyio


def words_only(folder: Path, **more: object) -> FirstStage:
    return stage_of([f"sqlite:{folder / 'a.db'}"], **more)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


async def test_a_question_finds_passages_that_share_its_words(tmp_path: Path) -> None:
    async with filled(words_only(tmp_path)) as retriever:
        assert await ids(retriever, "Which volcanoes erupted near a town?", k=1) == ["2"]
        result = await retriever.retrieve(["cats"], k=5, filters={}, collection=None)
    (cat,) = result.candidates
    assert cat.text == PASSAGES[0].text
    assert cat.metadata == PASSAGES[0].metadata
    assert cat.score is not None
    assert cat.score > 0


async def test_filters_require_equal_values_of_any_type(tmp_path: Path) -> None:
    async with filled(words_only(tmp_path)) as retriever:
        assert await ids(retriever, "when", topic="pets", year=2021) == ["1"]
        assert await ids(retriever, "when", topic="money") == ["3"]
        injected: dict[str, Any] = {"x' or 1=1": "pets"}
        assert await ids(retriever, "when", 5, **injected) == []


ROWS = {
    "metadata that is not JSON": "metadata = 'no json'",
    "metadata that is a list": "metadata = '[1]'",
    "metadata that is not UTF-8": "metadata = x'ff'",
    "metadata nested too deep to be read": f"metadata = '{'[' * 5000}{']' * 5000}'",
    "metadata nested too deep to be written": f"metadata = '{{\"a\": {'[' * 400}{']' * 400}}}'",
    "a number of 5000 digits": f"metadata = '{{\"a\": {'9' * 5000}}}'",
    "a text that is not UTF-8": "text = cast(x'ff41' as text)",
    "bytes for a text": "text = x'ff'",
    "bytes for an id": "id = x'00'",
}


@pytest.mark.parametrize("row", ROWS)
async def test_a_passage_that_no_ingest_could_have_written_is_an_error_with_a_reason(
    tmp_path: Path, row: str
) -> None:
    await fill(words_only(tmp_path))
    with closing(apsw.Connection(str(tmp_path / "a.db"))) as file:
        file.execute(f"update passages set {ROWS[row]} where id = '0'")
    async with open_retriever(words_only(tmp_path)) as retriever:
        with pytest.raises(UpstreamFailed, match="sqlite holds a passage that cannot be read"):
            await ids(retriever, "cats purr")
        if row.startswith("metadata"):
            assert await ids(retriever, "cats purr when a dog wags", 5, topic="pets") == ["1"]


async def test_half_a_character_in_metadata_is_replaced(tmp_path: Path) -> None:
    await fill(words_only(tmp_path))
    with closing(apsw.Connection(str(tmp_path / "a.db"))) as file:
        file.execute(r"""update passages set metadata = '{"\ud83d": "\ud83d"}' where id = '0'""")
    async with open_retriever(words_only(tmp_path)) as retriever:
        result = await retriever.retrieve(["cats"], k=5, filters={}, collection=None)
    assert result.candidates[0].metadata == {"?": "?"}


async def test_collections_of_a_file_are_separate(tmp_path: Path) -> None:
    await fill(words_only(tmp_path, collection="other"), [Candidate("9", "cats of another writer")])
    async with filled(words_only(tmp_path)) as retriever:
        assert await ids(retriever, "cats") == ["0"]
        result = await retriever.retrieve(["cats"], k=5, filters={}, collection="other")
    assert [candidate.id for candidate in result.candidates] == ["9"]


async def test_a_passage_written_again_is_replaced_and_a_removed_one_is_gone(
    tmp_path: Path,
) -> None:
    stage = words_only(tmp_path)
    await fill(stage)
    async with open_writer(stage) as (writer, _):
        await writer.put([Candidate("0", "Horses neigh.")], [])
        await writer.remove(["2"])
        assert sorted(held.id for held in await writer.held()) == ["0", "1", "3"]
    async with open_retriever(stage) as retriever:
        assert await ids(retriever, "cats volcano") == []
        assert await ids(retriever, "horse") == ["0"]


async def test_with_an_embedder_meaning_finds_what_shares_no_word(tmp_path: Path) -> None:
    stage = words_only(tmp_path, embedder=MINILM)
    async with filled(stage) as retriever:
        assert await ids(retriever, "monetary policy and rising prices", k=1) == ["3"]
        assert await ids(retriever, "feline noises", k=1, topic="earth") == ["2"]
    async with open_writer(stage) as (writer, _):
        assert len(await writer.held()) == 4
        await writer.remove(["3"])
    async with open_retriever(stage) as retriever:
        assert "3" not in await ids(retriever, "monetary policy", k=4)


async def test_passages_written_without_vectors_are_not_held_once_vectors_are_wanted(
    tmp_path: Path,
) -> None:
    await fill(words_only(tmp_path))
    database = Database(tmp_path / "a.db", 5, writes=True)
    writer = SqliteWriter(database, "rerankd", wants_vectors=True)
    assert await writer.held() == []
    await writer.put(PASSAGES[:1], [[1.0, 0.0]])
    assert [held.id for held in await writer.held()] == ["0"]
    await writer.close()


async def test_the_error_names_what_is_wrong_with_the_file(tmp_path: Path) -> None:
    search = Search("cats", 5)
    nothing = SqliteStore(Database(tmp_path / "none.db", 5), "rerankd", "words")
    with pytest.raises(UpstreamFailed, match=r"no none\.db yet: `rerankd ingest` makes it"):
        await nothing.search(search)
    (tmp_path / "junk.db").write_bytes(b"no database" * 1000)
    junk = SqliteStore(Database(tmp_path / "junk.db", 5), "rerankd", "words")
    with pytest.raises(UpstreamFailed, match=r"junk.db is damaged, or not an SQLite database"):
        await junk.search(search)
    apsw.Connection(str(tmp_path / "foreign.db")).execute("create table x (y)")
    foreign = SqliteStore(Database(tmp_path / "foreign.db", 5), "rerankd", "words")
    with pytest.raises(UpstreamFailed, match="was not made by `rerankd ingest`"):
        await foreign.search(search)
    for store in (nothing, junk, foreign):
        await store.close()


async def test_a_running_service_searches_what_is_written_meanwhile(tmp_path: Path) -> None:
    stage = words_only(tmp_path)
    async with open_retriever(stage) as retriever:
        with pytest.raises(UpstreamFailed, match=r"no a\.db yet"):
            await ids(retriever, "cats")
        await fill(stage, PASSAGES[:1])
        assert await ids(retriever, "cats volcano") == ["0"]
        await fill(stage)
        assert set(await ids(retriever, "cats volcano")) == {"0", "2"}


async def test_a_file_that_replaces_the_old_file_is_searched(tmp_path: Path) -> None:
    stage = words_only(tmp_path)
    async with filled(stage) as retriever:
        assert await ids(retriever, "cats") == ["0"]
        (tmp_path / "a.db").unlink()
        with pytest.raises(UpstreamFailed, match=r"no a\.db yet"):
            await ids(retriever, "cats")
        await fill(stage, [Candidate("new", "Cats hiss.")])
        assert await ids(retriever, "cats") == ["new"]
        (tmp_path / "aside").mkdir()
        await fill(words_only(tmp_path / "aside"), [Candidate("newer", "Cats hide.")])
        (tmp_path / "aside/a.db").rename(tmp_path / "a.db")
        assert await ids(retriever, "cats") == ["newer"]


async def test_searching_writes_nothing(tmp_path: Path) -> None:
    stage = words_only(tmp_path)
    await fill(stage)
    before = contents(tmp_path)
    async with open_retriever(stage) as retriever:
        assert await ids(retriever, "cats") == ["0"]
        assert before == contents(tmp_path)


async def test_vectors_of_another_embedder_are_refused(tmp_path: Path) -> None:
    database = Database(tmp_path / "a.db", 5, writes=True)
    store = SqliteStore(database, "rerankd", "vector")
    writer = SqliteWriter(database, "rerankd", wants_vectors=True)
    await database.run(lambda file: file.execute(TABLES))
    with pytest.raises(UpstreamFailed, match="has no vectors: run `rerankd ingest`"):
        await store.search(Search("cats", 5, [1.0, 2.0]))
    await writer.put(PASSAGES[:1], [[1.0, 0.0, 0.0]])
    for failing in (
        store.search(Search("cats", 5, [1.0, 2.0])),
        writer.put(PASSAGES[1:2], [[1.0, 0.0]]),
    ):
        with pytest.raises(UpstreamFailed, match="has vectors of another embedder"):
            await failing
    assert [held.id for held in await writer.held()] == ["0"]
    await store.close()


async def test_a_search_past_its_time_is_interrupted_and_the_next_is_answered() -> None:
    database = Database(Path(":memory:"), 0.05, writes=True)
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n"
    with pytest.raises(UpstreamTimeout, match="sqlite did not answer within 50 ms"):
        await database.run(lambda file: file.execute(endless).fetchall())
    assert await database.run(lambda file: file.execute("select 7").fetchall()) == [(7,)]
    await database.close()


async def test_many_searches_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    async with filled(words_only(tmp_path)) as retriever:
        result = await asyncio.gather(*(ids(retriever, "cats") for _ in range(50)))
    assert result == [["0"]] * 50


FTS = apsw.Connection(":memory:")
FTS.execute(TABLES)


@given(st.text(max_size=200) | st.from_regex(r'[a-z"*^:(){}+\-]{0,20} (AND|OR|NOT|NEAR) ".*'))
@settings(max_examples=300, deadline=None)
def test_no_question_is_a_syntax_error(question: str) -> None:
    words = match_any(question)
    if words:
        FTS.execute("select * from words where words match ?", [words]).fetchall()


def test_words_of_any_script_are_looked_up() -> None:
    assert (
        match_any("Où est Zürich? 東京 NEAR/2")
        == '"où" OR "est" OR "zürich" OR "東京" OR "near" OR "2"'
    )
