"""Opens what ranks the blocks of a bulk run: the model of this process, or a running service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

from app.bulk.gathering import Gathering
from app.compose.loading import spec_of
from app.compose.model import (
    TOKENIZER_THREADS,
    card_of,
    limits_of,
    load_calibration,
    threads,
)
from app.engines import LoadedModel, Pair
from app.errors import ServiceError
from app.events import BatchDone, Event, ignore
from app.rerank.batcher import Batcher
from app.rerank.cache import Cache
from app.rerank.query import WINDOWS, Query, Ranking
from app.rerank.reranker import Reranker
from app.rerank.warmup import warm_up
from app.settings import Settings

# No row is ever late.
UNLIMITED_SECONDS = 1e9
# A block is never too much, and all rows have one caller.
OF_A_RUN = {"max_queue_tokens": 2**40, "share_cache": True}
FACTS = ("model", "revision", "architecture", "engine", "device", "dtype", "max_length")


class LocalBlocks:
    """`facts` says which model ranks, and on what its scores depend beside the rows."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self.facts: Mapping[str, Any] = {}
        self.gathering: Gathering
        self.reranker: Reranker
        self._advance = advance
        self._tokens = self._padding = 0

    async def rank_all(self, queries: Sequence[Query]) -> list[Ranking | ServiceError]:
        return await self.gathering.rank_all(self.reranker, queries)

    def observe(self, event: Event) -> None:
        if isinstance(event, BatchDone):
            self._tokens += event.tokens
            self._padding += event.padding
            self._advance(event.pairs - event.failed)

    def figures(self) -> str:
        computed = self._tokens + self._padding
        return f"padding {self._padding / computed:.1%} of the tokens" if computed else ""


@asynccontextmanager
async def open_blocks(
    settings: Settings, advance: Callable[[int], None], step: Callable[[str], None]
) -> AsyncIterator[LocalBlocks]:
    """The engine is chosen first, so that all blocks have the same; `step` says what that does.

    `advance` is called with the number of pairs of each batch.
    """
    loop = asyncio.get_running_loop()
    settings = settings.model_copy(update=OF_A_RUN)
    blocks = LocalBlocks(advance)
    with (
        threads(2, "engine") as engine_threads,
        threads(TOKENIZER_THREADS, "tokenizer") as tokenizer_threads,
    ):
        model = await loop.run_in_executor(engine_threads, load, settings, step)
        model.engine.slicing = model.engine.slicing.for_any_widths()

        async def score(pairs: Sequence[Pair]) -> Sequence[float]:
            return await loop.run_in_executor(engine_threads, model.engine.score, pairs)

        limits = limits_of(settings, model)
        async with Batcher(score, limits, ignore, model.engine.slicing.cost) as warm:
            await warm_up(model.encoder, warm)
        async with Batcher(score, limits, blocks.observe, model.engine.slicing.cost) as batcher:
            blocks.gathering = Gathering(batcher)
            blocks.reranker = reranker_of(model, blocks.gathering, tokenizer_threads, settings)
            card = card_of(model, limits, calibrated=bool(settings.calibration), is_open=False)
            blocks.facts = {name: getattr(card, name) for name in FACTS} | facts_of(settings)
            yield blocks


def reranker_of(
    model: LoadedModel, gathering: Gathering, tokenizer_threads: Executor, settings: Settings
) -> Reranker:
    """As the service has it, without a cache and without limits on time."""
    return Reranker(
        model.name,
        model.encoder,
        gathering,
        Cache(0, 1.0, asyncio.get_running_loop().time),
        tokenizer_threads,
        timeout=UNLIMITED_SECONDS,
        calibration=load_calibration(settings, model),
        windows=WINDOWS[settings.long_documents],
        tokenizers=TOKENIZER_THREADS,
    )


def load(settings: Settings, step: Callable[[str], None]) -> LoadedModel:
    from app.engines.loading import load  # noqa: PLC0415 (tokenizers takes a while)

    return load(spec_of(settings), step)


def facts_of(settings: Settings) -> dict[str, Any]:
    """`files` is a digest of the model's files and of the packages that run it."""
    from app.engines.converted_model import converted_folder  # noqa: PLC0415 (as above)

    folder, curve = converted_folder(spec_of(settings)), settings.calibration
    return {
        "files": folder.name.rpartition("-")[2] if folder else None,
        "long_documents": settings.long_documents,
        "calibration": sha256(curve.read_bytes()).hexdigest() if curve else None,
    }
