"""Shared parts of `eval`, `sweep` and `calibrate`: the data, the first stage, the scorer."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from app import logs
from app.commands.flags import add_flags, add_url_flag, stop
from app.commands.rerank import MODEL_SETTINGS
from app.compose.model import open_model
from app.errors import INSTALL_TORCH, ServiceError
from app.evaluation.problems import BadInput, Problem
from app.settings import Settings

if TYPE_CHECKING:
    from app.evaluation.data.judged import Judged, Orders
    from app.evaluation.scoring import Scorer

DAY_MS = 86_400_000
EXTRA = (
    "accelerate",
    "bm25s",
    "datasets",
    "ir_measures",
    "matplotlib",
    "sklearn",
    "Stemmer",
    "tqdm",
)


# What a slim installation lacks.
TORCH = ("torch", "transformers", "sentence_transformers")


class Task(NamedTuple):
    judged: Judged
    orders: Orders


def add_data_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data",
        type=Path,
        help="BEIR folder (corpus.jsonl, queries.jsonl, qrels/test.tsv or qrels.tsv), or file of "
        "JSON lines with query, documents and relevant; also .xz and .gz",
    )
    parser.add_argument("--split", default="test", help="name of the qrels in a BEIR folder [test]")
    parser.add_argument(
        "--first-stage",
        choices=("auto", "bm25", "given"),
        default="auto",
        help="first ranking of the candidates: bm25, or given, the order in the JSON lines; "
        "auto: given if the data contains an order, otherwise bm25",
    )
    parser.add_argument(
        "--run", type=Path, metavar="FILE", help="your own first ranking, as a TREC run"
    )
    parser.add_argument(
        "--language",
        default="english",
        help="language of the BM25 stemmer; none: no stemming [english]",
    )
    parser.add_argument(
        "--sample",
        type=count,
        default=0,
        metavar="N",
        help="number of random queries to measure; 0: all [0]",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of all random choices [0]")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")


def add_scorer_flags(parser: argparse.ArgumentParser, *, without: str = "") -> None:
    add_url_flag(parser)
    parser.add_argument(
        "--concurrency",
        type=positive,
        default=1,
        metavar="N",
        help="queries sent at the same time [1]",
    )
    add_flags(parser, [name for name in MODEL_SETTINGS if name != without])


def count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return number


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def read_task(arguments: argparse.Namespace, depth: int) -> Task:
    """The sampled queries, and the first stage's best `depth` for each."""
    from app.evaluation.data.sources import read_judged  # noqa: PLC0415
    from app.evaluation.first_stage import candidates, read_run  # noqa: PLC0415 (the extra)

    judged = read_judged(arguments.data, arguments.split)
    judged = judged.sample(arguments.sample, arguments.seed)
    if arguments.run is not None:
        return Task(judged, read_run(arguments.run, judged, depth))
    ranked = arguments.first_stage == "given" or (arguments.first_stage == "auto" and judged.ranked)
    return Task(judged, candidates(judged, depth, arguments.language, own_ranks=ranked))


@asynccontextmanager
async def open_scorer(settings: Settings, url: str | None) -> AsyncIterator[Scorer]:
    """The service at the URL, or the local engine without the cache, which would hide latency."""
    from app.evaluation.local import LocalScorer  # noqa: PLC0415
    from app.evaluation.remote import open_remote  # noqa: PLC0415

    if url is not None:
        key = settings.api_keys[0].get_secret_value() if settings.api_keys else None
        async with open_remote(url, key) as remote:
            yield remote
        return
    unhurried = {"cache_mb": 0, "timeout_ms": DAY_MS, "calibration": None}
    async with open_model(settings.model_copy(update=unhurried)) as served:
        yield LocalScorer(served.card.model, served.reranker)


@contextmanager
def plainly(settings: Settings, extra: str = "eval") -> Iterator[None]:
    """Prints a failure that a user can correct as one sentence; `extra`: the missing packages."""
    logs.configure("warning", settings.log_format)
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in TORCH:
            stop(f"{package} is missing: {INSTALL_TORCH}", 1)
        if package not in EXTRA:
            raise
        stop(f"{error.name} is missing: pip install 'rerankd[{extra}]'", 1)
    except BadInput as error:
        stop(str(error), 2)
    except (Problem, ServiceError) as error:
        stop(str(error), 1)
    except KeyboardInterrupt:
        stop("interrupted", 130)
