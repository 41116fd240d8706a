"""A run: each block that has no shard yet is read, ranked and written. Two are under way at once,
so that one is read while the other is computed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
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
            return self.failure(raw.number, name, error)

    def failure(self, number: int, name: Id | None, error: ServiceError) -> Rendered:
        field = error.field if isinstance(error, InvalidRequest) else None
        return {self.unit: number, "id": name, "field": field, "reason": str(error)}

    def _with_documents(self, fields: dict[str, Any]) -> Fields:
        if "candidates" not in fields:
            return fields
        if self._corpus is None:
            raise BadRow("candidates: a row with candidates needs --corpus", "candidates")
        return {**fields, "documents": self._corpus.resolve(fields)}


class Run:
    def __init__(
        self,
        rows: Rows,
        folder: Folder,
        ranker: RanksBlocks,
        render: Callable[[Ranking], Rendered],
        progress: Progress,
    ) -> None:
        self._rows = rows
        self._folder = folder
        self._ranker = ranker
        self._render = render
        self._progress = progress

    async def complete(self) -> dict[str, int]:
        """Rank the blocks that are not done, and write the summary."""
        documents = self._rows.blocks.documents
        todo = [block for block in range(len(documents)) if not self._folder.is_done(block)]
        before = sum(documents) - sum(documents[block] for block in todo)
        self._progress.start(sum(documents), before)
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._start_each(tasks)
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        self._rows.source.refuse_change()
        if todo:
            self._progress.finish(self._ranker.figures())
        return self._folder.finish(self._rows.blocks.rows)

    async def _start_each(self, tasks: asyncio.TaskGroup) -> None:
        room = asyncio.Semaphore(BLOCKS_AT_ONCE)
        for block in range(len(self._rows.blocks)):
            raw = await asyncio.to_thread(self._rows.next_block)
            if self._folder.is_done(block):
                continue
            await room.acquire()
            read = await asyncio.to_thread(self._rows.read_all, raw)
            task = tasks.create_task(self._rank(block, read))
            task.add_done_callback(lambda _: room.release())

    async def _rank(self, block: int, read: Sequence[ReadRow | Rendered]) -> None:
        rows = [row for row in read if isinstance(row, ReadRow)]
        failures = [row for row in read if not isinstance(row, ReadRow)]
        rankings = await self._ranker.rank_all([row.query for row in rows])
        refuse_broken_engine(rankings)
        results = []
        for row, ranking in zip(rows, rankings, strict=True):
            if isinstance(ranking, Ranking):
                results.append({"id": row.id, **self._render(ranking)})
            else:
                failures.append(self._rows.failure(row.number, row.id, ranking))
        failures.sort(key=itemgetter(self._rows.unit))
        await asyncio.to_thread(self._folder.write, block, results, failures)
        self._progress.end_block(self._rows.blocks.documents[block])


def refuse_broken_engine(rankings: Sequence[Ranking | ServiceError]) -> None:
    """Rows that fail one by one are results; an engine that fails all of them is not."""
    last = rankings[-1] if rankings else None
    broken = all(isinstance(ranking, ScoringFailed) for ranking in rankings)
    if broken and len(rankings) >= MIN_ROWS_OF_A_VERDICT:
        raise RunFailed(f"no row of a block could be scored: {last}")
