"""The input of a run as other processes of this machine read it, and what passes between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.bulk.corpus import open_corpus
from app.bulk.run import Fields, ReadRow, Rendered, Rows
from app.bulk.scan import Blocks, Ids, Source
from app.errors import ServiceError
from app.rerank.query import Query

IDS = "ids.sqlite"

ReadBlock = Sequence[ReadRow | Rendered]


@dataclass(frozen=True)
class StoredRows:
    """The rows; their ids are sealed in the folder `work`, and the corpus is copied there."""

    source: Source
    blocks: Blocks
    work: Path
    unit: str
    parse: Callable[[Fields], Query]

    def read(self, todo: frozenset[int]) -> Iterator[tuple[int, ReadBlock | ServiceError]]:
        """The blocks of `todo`, in order; an error is the last item."""
        try:
            with self._opened() as rows:
                for block in range(len(self.blocks)):
                    raw = rows.next_block()
                    if block in todo:
                        yield block, rows.read_all(raw)
        except ServiceError as error:
            yield -1, error

    @contextmanager
    def _opened(self) -> Iterator[Rows]:
        with (
            closing(Ids(self.work / IDS, self.unit, sealed=True)) as ids,
            open_corpus(self.source, self.work) as corpus,
        ):
            yield Rows(self.source, self.blocks, ids, corpus, self.parse)
