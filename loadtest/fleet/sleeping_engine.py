"""The service with an engine that sleeps as long as the measured one computes.

    LOADTEST_PER_BATCH=0.002 LOADTEST_PER_TOKEN=1e-4 python -m loadtest.fleet.sleeping_engine serve

So three processes on two cores do not slow each other down. HTTP, queue and answers are real; of
the texts of the load tests, each word is one token.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence

from app import cli
from app.compose import loading
from app.engines import Encoded, LoadedModel, Pair
from app.engines.slices import WHOLE
from app.text import Side
from loadtest.fleet.service_times import ServiceTimes
from loadtest.fleet.work import MAX_TOKENS, pair_of
from loadtest.workload import MARKERS

PER_BATCH, PER_TOKEN = "LOADTEST_PER_BATCH", "LOADTEST_PER_TOKEN"


def environment(times: ServiceTimes) -> dict[str, str]:
    """What `times_of` reads."""
    return {PER_BATCH: repr(times.per_batch), PER_TOKEN: repr(times.per_token)}


def times_of(environ: Mapping[str, str]) -> ServiceTimes:
    return ServiceTimes(float(environ[PER_BATCH]), float(environ[PER_TOKEN]))


class WordEncoder:
    max_tokens = MAX_TOKENS
    takes_instruction = False
    repeats_query = False

    def encode(
        self,
        query: str,
        documents: Sequence[str],
        *,
        instruction: str | None,  # noqa: ARG002 (it takes none)
        cut: Side,  # noqa: ARG002 (a token says nothing)
        document_tokens: int = 0,  # noqa: ARG002 (likewise)
        clip: bool = False,  # noqa: ARG002 (likewise)
    ) -> list[Encoded]:
        around = MARKERS + len(query.split())
        return [encoded(around, len(text.split())) for text in documents]


def encoded(around: int, words: int) -> Encoded:
    pair = pair_of(around + words)
    return Encoded(pair, around + words, words, max(0, pair.tokens - around))


class SleepingEngine:
    name, device, dtype = "sleeping", "cpu", "float32"
    slicing = WHOLE
    state_cache = None

    def __init__(self, times: ServiceTimes) -> None:
        self._times = times

    def score(self, batch: Sequence[Pair]) -> list[float]:
        time.sleep(self._times.batch(batch))
        return [float(pair.tokens) for pair in batch]

    def memory(self) -> int:
        return 0


def serve() -> None:
    engine = SleepingEngine(times_of(os.environ))
    loaded = LoadedModel("sleeping", "", "sleeping", engine, WordEncoder(), 0.0)
    loading.load_soon = lambda settings, *, at_once=False: (loaded, False)


if __name__ == "__main__":
    serve()
    sys.exit(cli.main())
