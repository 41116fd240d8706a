"""`rerankd batch`: rank all rows of a file."""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from app import logs
from app.bulk.calling import ServiceBlocks, open_service
from app.bulk.corpus import open_corpus
from app.bulk.folder import FAILED, FORMATS, Folder, opened
from app.bulk.problems import RunFailed, Unusable
from app.bulk.progress import Progress
from app.bulk.rows import is_parquet, unit_of
from app.bulk.run import RanksBlocks, Record, Rows, Run
from app.bulk.scan import BLOCK_PAIRS, Blocks, Ids, Source, scan
from app.bulk.stored import IDS, StoredRows
from app.commands.batch_rows import RowFormat, add_row_flags
from app.commands.flags import add_flags, add_url_flag, settings_from, stop
from app.commands.measuring import positive
from app.commands.rerank import MODEL_SETTINGS
from app.compose.bulk import open_blocks
from app.errors import ServiceError
from app.settings import Settings, is_remote

if TYPE_CHECKING:
    from app.bulk.cluster import Cluster

Complete = Callable[[], Awaitable[Mapping[str, Any]]]

LIMITS = ("max_documents", "max_document_chars", "max_query_chars", "max_body_bytes")
EXTRAS = {"pyarrow": "batch", "ray": "ray"}
DONE, ENDED_EARLY, WRONG_USE, SOME_ROWS_FAILED = 0, 1, 2, 3


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "input",
        type=Path,
        metavar="IN",
        help="file of rows with query and documents, or query and candidates: .jsonl, also with "
        ".gz or .xz, or .parquet",
    )
    parser.add_argument("output", type=Path, metavar="OUT", help="folder for the results")
    parser.add_argument(
        "--corpus",
        type=Path,
        metavar="FILE",
        help="file of rows with id and text, which candidates refer to; formats as IN",
    )
    parser.add_argument("--format", choices=FORMATS, help="format of the results [that of IN]")
    add_row_flags(parser)
    parser.add_argument(
        "--block-pairs",
        type=positive,
        default=BLOCK_PAIRS,
        metavar="N",
        help="pairs that are sorted by length together and written as one file; a kill loses at "
        f"most two blocks [{BLOCK_PAIRS}]",
    )
    parser.add_argument(
        "--restart", action="store_true", help="discard what an earlier run wrote to OUT"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    add_ranker_flags(parser)
    add_flags(parser, [name for name in (*MODEL_SETTINGS, *LIMITS) if name != "upstream_url"])


def add_ranker_flags(parser: argparse.ArgumentParser) -> None:
    """Who ranks, if it is not a model in this process."""
    add_url_flag(parser)
    parser.add_argument(
        "--concurrency",
        type=positive,
        default=8,
        metavar="N",
        help="requests to the URL at the same time [8]",
    )
    parser.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="rank on a Ray cluster, with a pool of actors that have --threads CPUs each [1]; "
        "without an address: that of RAY_ADDRESS, a cluster of this machine, or a new one",
    )
    parser.add_argument(
        "--ray-actors", type=positive, metavar="N", help="maximum actors [as many as have room]"
    )


def run(arguments: argparse.Namespace) -> int:
    settings = settings_from(arguments)
    logs.configure("warning", settings.log_format)
    refuse_contradictions(arguments, settings)
    with plainly():
        summary = asyncio.run(batch(arguments, settings))
    print(
        to_json(summary, indent=2).decode()
        if arguments.json
        else as_text(summary, arguments.output)
    )
    return SOME_ROWS_FAILED if summary["failed"] else DONE


def refuse_contradictions(arguments: argparse.Namespace, settings: Settings) -> None:
    if arguments.ray is None and arguments.ray_actors is not None:
        stop("--ray-actors needs --ray", WRONG_USE)
    if arguments.url is not None:
        if arguments.ray is not None:
            stop("--url and --ray: choose one of the two", WRONG_USE)
        return
    if is_remote(settings.model):
        stop("model names a service: use a local model, or --url for a running rerankd", WRONG_USE)
    if arguments.score == "calibrated" and settings.calibration is None:
        stop("--score calibrated needs --calibration", WRONG_USE)


@contextmanager
def plainly() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        extra = EXTRAS.get(error.name or "")
        if extra is None:
            raise
        stop(f"{error.name} is missing: pip install 'rerankd[{extra}]'", ENDED_EARLY)
    except Unusable as error:
        stop(str(error), WRONG_USE)
    except RunFailed as error:
        stop(f"{error}; the same command continues from here", ENDED_EARLY)
    except ServiceError as error:
        stop(str(error), ENDED_EARLY)
    except (OSError, sqlite3.Error) as error:  # most likely the disk is full
        stop(f"{error}; the same command continues from here", ENDED_EARLY)
    except KeyboardInterrupt:
        stop("interrupted; the same command continues from here", 130)


async def batch(arguments: argparse.Namespace, settings: Settings) -> Mapping[str, Any]:
    """The summary, of this run or of one that was finished before."""
    progress, form = Progress(sys.stderr), RowFormat.of(arguments, settings)
    kind = arguments.format or ("parquet" if is_parquet(arguments.input) else "jsonl")
    source = Source.opened(
        arguments.input, arguments.corpus, settings.max_body_bytes, arguments.block_pairs
    )
    with opened(arguments.output, kind) as folder:
        if arguments.restart:
            folder.clear()
        folder.prepare()
        with closing(Ids(folder.work / IDS, unit_of(source.path))) as ids:
            manifest = {"format": kind, **form.fingerprint(), **source.fingerprint()}
            job = Job(source, scan(source, ids), ids, folder, form, progress)
            async with open_run(arguments, settings, job) as (facts, complete):
                folder.begin_or_continue({**manifest, "model": facts})
                summary = folder.summary() or await complete()
        folder.tidy()
        return summary


@dataclass(frozen=True)
class Job:
    """What is the same wherever the rows are ranked."""

    source: Source
    blocks: Blocks
    ids: Ids
    folder: Folder
    form: RowFormat
    progress: Progress

    async def complete_here(self, ranker: RanksBlocks) -> Mapping[str, Any]:
        with open_corpus(self.source, self.folder.work) as corpus:
            rows = Rows(self.source, self.blocks, self.ids, corpus, self.form.parse)
            run = Run(rows, self.folder, ranker, self.form.render, self.progress)
            return await run.complete()

    async def complete_on(self, cluster: Cluster) -> Mapping[str, Any]:
        from app.bulk.cluster import ClusterRun  # noqa: PLC0415 (the extra)

        self.ids.seal()
        with open_corpus(self.source, self.folder.work):  # copied before other processes open it
            unit = unit_of(self.source.path)
            stored = StoredRows(self.source, self.blocks, self.folder.work, unit, self.form.parse)
            record = Record(self.source, self.blocks, self.folder, self.progress)
            return await ClusterRun(stored, cluster, self.form.render, record).complete()


@asynccontextmanager
async def open_run(
    arguments: argparse.Namespace, settings: Settings, job: Job
) -> AsyncIterator[tuple[Mapping[str, Any], Complete]]:
    """The facts of the model, and what completes the run."""
    if arguments.ray is None:
        async with open_ranker(arguments, settings, job.progress) as ranker:
            yield ranker.facts, lambda: job.complete_here(ranker)
        return
    with open_cluster(arguments, settings) as cluster:
        yield cluster.facts, lambda: job.complete_on(cluster)


@contextmanager
def open_cluster(arguments: argparse.Namespace, settings: Settings) -> Iterator[Cluster]:
    from app.bulk.cluster import Share, connected  # noqa: PLC0415 (the extra)

    share = Share(cpus=settings.threads or 1, gpus=int(settings.device == "cuda"))
    settings = settings.model_copy(update={"threads": share.cpus})
    opens = partial(open_blocks, settings, ignore_pairs, ignore_step)
    with connected(arguments.ray, opens, share, arguments.ray_actors) as cluster:
        yield cluster


def ignore_pairs(pairs: int) -> None:
    """Only whole blocks come back from a cluster."""


def ignore_step(step: str) -> None:
    """An actor has nobody to say it to."""


@asynccontextmanager
async def open_ranker(
    arguments: argparse.Namespace, settings: Settings, progress: Progress
) -> AsyncIterator[RanksBlocks]:
    if arguments.url is None:
        async with open_blocks(settings, progress.advance, progress.say) as blocks:
            yield blocks
        return
    key = settings.api_keys[0].get_secret_value() if settings.api_keys else None
    async with open_service(arguments.url, key, arguments.concurrency) as service:
        yield ServiceBlocks(service, progress.advance)


def as_text(summary: Mapping[str, Any], folder: Path) -> str:
    failed = f"; {summary['failed']:,} failed: {folder / FAILED}" if summary["failed"] else ""
    return f"{summary['ranked']:,} of {summary['rows']:,} rows ranked in {folder}{failed}"
