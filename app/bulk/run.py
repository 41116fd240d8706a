"""A run: each block that has no shard yet is read, ranked and written. In this process, two are in
work at once, so that one is read while the other is computed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Protocol

from app.bulk.corpus import Corpus
from app.bulk.folder import Folder
from app.bulk.problems import RunFailed
from app.bulk.progress import Progress
from app.bulk.rows import BadRow, Id, RawRow, id_of, read_rows, unit_of
from app.bulk.scan import Blocks, Ids, Source, blocks_of
from app.errors import InvalidRequest, ScoringFailed, ServiceError
from app.rerank.query import Query, Ranking

BLOCKS_AT_ONCE = 2
# So many rows that all fail say more of the engine than of the rows.
MIN_ROWS_OF_A_VERDICT = 8

Fields = Mapping[str, Any]
Rendered = dict[str, Any]


class RanksBlocks(Protocol):
    """`facts` says which model ranks; `figures` is for the last line of the progress."""

    @property
    def facts(self) -> Mapping[str, Any]: ...

    def figures(self) -> str: ...

    async def rank_all(self, queries: Sequence[Query]) -> list[Ranking | ServiceError]: ...


@dataclass(frozen=True, slots=True)
class ReadRow:
    number: int
    id: Id
    query: Query


class Rows:
    """The input, as it was scanned."""

    def __init__(
        self,
        source: Source,
        blocks: Blocks,
        ids: Ids,
        corpus: Corpus | None,
        parse: Callable[[Fields], Query],
    ) -> None:
        self.source = source
        self.blocks = blocks
        self._ids = ids
        self._corpus = corpus
        self._parse = parse
        self.unit = unit_of(source.path)
        self._raw = blocks_of(read_rows(source.path, source.max_bytes), blocks)

    def next_block(self) -> list[RawRow]:
        return next(self._raw)

    def read_all(self, raw: Sequence[RawRow]) -> list[ReadRow | Rendered]:
        return [self.read(row) for row in raw]

    def read(self, raw: RawRow) -> ReadRow | Rendered:
        """The row, or why it cannot be ranked."""
        name: Id | None = None
        try:
            fields = raw.fields()
            name = id_of(fields, raw.number)
            self._ids.refuse_repeated(name, raw.number)
            return ReadRow(raw.number, name, self._parse(self._with_documents(fields)))
        except InvalidRequest as error:
            return failure(self.unit, raw.number, name, error)

    def _with_documents(self, fields: dict[str, Any]) -> Fields:
        if "candidates" not in fields:
            return fields
        if self._corpus is None:
            raise BadRow("candidates: a row with candidates needs --corpus", "candidates")
        return {**fields, "documents": self._corpus.resolve(fields)}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a block gives: a result for each row that could be ranked, a reason for each other."""

    results: Sequence[Rendered]
    failures: Sequence[Rendered]


class Record:
    """Which blocks are done; the same wherever they are ranked."""

    def __init__(self, source: Source, blocks: Blocks, folder: Folder, progress: Progress) -> None:
        self._source = source
        self._blocks = blocks
        self._folder = folder
        self._progress = progress

    def todo(self) -> list[int]:
        return [block for block in range(len(self._blocks)) if not self._folder.is_done(block)]

    async def write(self, block: int, outcome: Outcome) -> None:
        await asyncio.to_thread(self._folder.write, block, outcome.results, outcome.failures)
        self._progress.end_block(self._blocks.documents[block])

    async def complete(
        self, rank: Callable[[Sequence[int]], Awaitable[None]], figures: Callable[[], str]
    ) -> dict[str, int]:
        """`rank` the blocks that are not done, and write the summary."""
        todo, documents = self.todo(), self._blocks.documents
        before = sum(documents) - sum(documents[block] for block in todo)
        self._progress.start(sum(documents), before)
        if todo:
            await rank(todo)
        self._source.refuse_change()
        if todo:
            self._progress.finish(figures())
        return self._folder.finish(self._blocks.rows)


class Run:
    """All blocks by one ranker of this process."""

    def __init__(
        self,
        rows: Rows,
        folder: Folder,
        ranker: RanksBlocks,
        render: Callable[[Ranking], Rendered],
        progress: Progress,
    ) -> None:
        self._rows = rows
        self._ranker = ranker
        self._render = render
        self._record = Record(rows.source, rows.blocks, folder, progress)

    async def complete(self) -> dict[str, int]:
        return await self._record.complete(self._rank_all, self._ranker.figures)

    async def _rank_all(self, todo: Sequence[int]) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._start_each(tasks, frozenset(todo))
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _start_each(self, tasks: asyncio.TaskGroup, todo: frozenset[int]) -> None:
        room = asyncio.Semaphore(BLOCKS_AT_ONCE)
        for block in range(len(self._rows.blocks)):
            raw = await asyncio.to_thread(self._rows.next_block)
            if block not in todo:
                continue
            await room.acquire()
            read = await asyncio.to_thread(self._rows.read_all, raw)
            task = tasks.create_task(self._rank(block, read))
            task.add_done_callback(lambda _: room.release())

    async def _rank(self, block: int, read: Sequence[ReadRow | Rendered]) -> None:
        outcome = await rank_block(self._ranker, read, self._rows.unit, self._render)
        await self._record.write(block, outcome)


async def rank_block(
    ranker: RanksBlocks,
    read: Sequence[ReadRow | Rendered],
    unit: str,
    render: Callable[[Ranking], Rendered],
) -> Outcome:
    """Rows in the order of the input; `unit` is what their numbers count."""
    rows = [row for row in read if isinstance(row, ReadRow)]
    failures = [row for row in read if not isinstance(row, ReadRow)]
    rankings = await ranker.rank_all([row.query for row in rows])
    refuse_broken_engine(rankings)
    results = []
    for row, ranking in zip(rows, rankings, strict=True):
        if isinstance(ranking, Ranking):
            results.append({"id": row.id, **render(ranking)})
        else:
            failures.append(failure(unit, row.number, row.id, ranking))
    failures.sort(key=itemgetter(unit))
    return Outcome(results, failures)


def failure(unit: str, number: int, name: Id | None, error: ServiceError) -> Rendered:
    field = error.field if isinstance(error, InvalidRequest) else None
    return {unit: number, "id": name, "field": field, "reason": str(error)}


def refuse_broken_engine(rankings: Sequence[Ranking | ServiceError]) -> None:
    """Rows that fail one by one are results; an engine that fails all of them is not."""
    last = rankings[-1] if rankings else None
    broken = all(isinstance(ranking, ScoringFailed) for ranking in rankings)
    if broken and len(rankings) >= MIN_ROWS_OF_A_VERDICT:
        raise RunFailed(f"no row of a block could be scored: {last}")
