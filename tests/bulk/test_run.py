from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.bulk.corpus import open_corpus
from app.bulk.folder import Folder, opened
from app.bulk.problems import RunFailed
from app.bulk.progress import Progress
from app.bulk.run import Rows, Run
from app.bulk.scan import Ids, Source, scan
from app.commands.batch_rows import RowFormat
from app.errors import ScoringFailed, ServiceError
from app.rerank.query import Query, Ranking
from tests.bulk.forms import row_format
from tests.fakes import OverlapReranker

pytestmark = pytest.mark.anyio


class Ended(Exception):
    """The process ended here."""


class Overlap:
    """Ranks by the words that query and document share; the process ends at a block."""

    facts: Mapping[str, Any] = {"model": "overlap"}

    def __init__(self, ends_before: int = -1) -> None:
        self.reranker = OverlapReranker()
        self.blocks: list[list[str]] = []
        self.broken = False
        self._ends_before = ends_before

    def figures(self) -> str:
        return "no figures"

    async def rank_all(self, queries: Sequence[Query]) -> list[Ranking | ServiceError]:
        if len(self.blocks) == self._ends_before:
            raise Ended
        self.blocks.append([query.text for query in queries])
        return [await self._rank(query) for query in queries]

    async def _rank(self, query: Query) -> Ranking | ServiceError:
        if self.broken or "poison" in query.text:
            return ScoringFailed("the model could not score any document")
        return await self.reranker.rank(query)


class Work:
    """An input and an output folder; each run is as a process of its own."""

    def __init__(self, folder: Path, *rows: dict[str, Any] | str, pairs: int = 2) -> None:
        self.out = folder / "out"
        self.source = Source(folder / "in.jsonl", None, 10_000, pairs)
        lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
        self.source.path.write_text("".join(f"{line}\n" for line in lines))
        self.form: RowFormat = row_format()

    def run(self, ranker: Overlap) -> dict[str, int]:
        with self._opened() as (folder, rows):
            run = Run(rows, folder, ranker, self.form.render, Progress(io.StringIO()))
            return asyncio.run(run.complete())

    @contextmanager
    def _opened(self) -> Iterator[tuple[Folder, Rows]]:
        with opened(self.out, "jsonl") as folder:
            folder.prepare()
            folder.begin_or_continue(self.source.fingerprint())
            with (
                closing(Ids(folder.work / "ids.sqlite", "line")) as ids,
                open_corpus(self.source, folder.work) as corpus,
            ):
                blocks = scan(self.source, ids)
                yield folder, Rows(self.source, blocks, ids, corpus, self.form.parse)

    def results(self) -> list[dict[str, Any]]:
        shards = sorted(self.out.glob("part-*.jsonl"))
        return [json.loads(line) for shard in shards for line in shard.read_text().splitlines()]

    def failed(self) -> list[dict[str, Any]]:
        lines = (self.out / "failed.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]


def row(name: str, query: str = "red fish", *documents: str) -> dict[str, Any]:
    return {"id": name, "query": query, "documents": documents or ["blue sky", "red fish"]}


def test_each_row_is_ranked_as_the_service_answers(tmp_path: Path) -> None:
    work = Work(tmp_path, row("a"), row("b", "sky"))
    assert work.run(Overlap()) == {"rows": 2, "ranked": 2, "failed": 0}
    first, second = work.results()
    assert first == {
        "id": "a",
        "results": [
            {"index": 1, "relevance_score": 1.0},
            {"index": 0, "relevance_score": 0.0},
        ],
        "usage": {"total_tokens": 0, "documents": 2, "truncated": 0},
    }
    assert [result["index"] for result in second["results"]] == [0, 1]


def test_a_run_that_ended_early_continues_with_the_blocks_that_are_not_done(
    tmp_path: Path,
) -> None:
    rows = [row(name, f"red {name}") for name in "abcdef"]
    work = Work(tmp_path, *rows)
    with pytest.raises(Ended):
        work.run(Overlap(ends_before=3))
    before = work.results()
    again = Overlap()
    assert work.run(again)["ranked"] == 6
    assert work.results()[: len(before)] == before
    assert [result["id"] for result in work.results()] == list("abcdef")
    ranked = [query for block in again.blocks for query in block]
    assert len(ranked) == 6 - len(before)


def test_a_row_that_cannot_be_ranked_is_named_with_its_line_and_field(tmp_path: Path) -> None:
    work = Work(
        tmp_path,
        row("a"),
        "{broken",
        {"id": "c", "documents": ["x"]},
        {"id": "d", "query": "q", "documents": []},
        row("a", "again"),
        {"id": "f", "query": "q", "documents": ["fine", {"id": 1}]},
        {"id": "g", "query": "q", "documents": ["x" * 300]},
        {"id": "h", "query": "q", "candidates": ["d1"]},
        row("i", "poison"),
        {"id": "j", "query": "q", "documents": ["x"] * 11},
        pairs=100,
    )
    assert work.run(Overlap()) == {"rows": 10, "ranked": 1, "failed": 9}
    assert [(each["line"], each["id"], each["field"]) for each in work.failed()] == [
        (2, None, "row"),
        (3, "c", "query"),
        (4, "d", "documents"),
        (5, "a", "id"),
        (6, "f", "documents[1].text"),
        (7, "g", "documents[0]"),
        (8, "h", "candidates"),
        (9, "i", None),
        (10, "j", "documents"),
    ]
    reasons = [each["reason"] for each in work.failed()]
    assert reasons[3] == "id: a occurs already in line 1"
    assert reasons[5] == "documents[0] holds 300 characters, more than the limit of 200"
    assert reasons[7] == "the model could not score any document"


def test_an_engine_that_scores_nothing_ends_the_run_and_the_block_is_done_again(
    tmp_path: Path,
) -> None:
    work = Work(tmp_path, *(row(str(number)) for number in range(10)), pairs=100)
    broken = Overlap()
    broken.broken = True
    with pytest.raises(RunFailed, match="no row of a block could be scored"):
        work.run(broken)
    assert work.run(Overlap()) == {"rows": 10, "ranked": 10, "failed": 0}


def test_candidates_of_a_corpus_are_ranked_under_their_ids(tmp_path: Path) -> None:
    work = Work(tmp_path, {"id": "a", "query": "red fish", "candidates": ["s", "f"]})
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text('{"id": "f", "text": "red fish"}\n{"id": "s", "text": "blue sky"}\n')
    work.source = Source(work.source.path, corpus, 10_000, 2)
    work.run(Overlap())
    (result,) = work.results()
    assert [document["id"] for document in result["results"]] == ["f", "s"]


def test_a_flag_gives_a_field_to_the_rows_that_do_not_have_it(tmp_path: Path) -> None:
    work = Work(tmp_path, row("a"), row("b") | {"top_n": 2})
    work.form = row_format(top_n=1, return_documents=True)
    work.run(Overlap())
    first, second = work.results()
    assert [len(first["results"]), len(second["results"])] == [1, 2]
    assert first["results"][0]["document"] == {"text": "red fish"}


def test_a_time_limit_of_a_row_is_of_no_account(tmp_path: Path) -> None:
    work, ranker = Work(tmp_path, row("a") | {"timeout_ms": 1, "priority": 3}), Overlap()
    work.run(ranker)
    (query,) = ranker.reranker.queries
    assert (query.timeout, query.priority) == (None, 0)
