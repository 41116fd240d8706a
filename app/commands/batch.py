"""`rerankd batch`: rank all rows of a file."""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from app import logs
from app.bulk.calling import ServiceBlocks, open_service
from app.bulk.corpus import open_corpus
from app.bulk.folder import FAILED, FORMATS, opened
from app.bulk.problems import RunFailed, Unusable
from app.bulk.progress import Progress
from app.bulk.rows import is_parquet, unit_of
from app.bulk.run import RanksBlocks, Rows, Run
from app.bulk.scan import BLOCK_PAIRS, Ids, Source, scan
from app.commands.batch_rows import RowFormat, add_row_flags
from app.commands.flags import add_flags, add_url_flag, settings_from, stop
from app.commands.measuring import positive
from app.commands.rerank import MODEL_SETTINGS
from app.compose.bulk import open_blocks
from app.errors import ServiceError
from app.settings import Settings, is_remote

LIMITS = ("max_documents", "max_document_chars", "max_query_chars", "max_body_bytes")
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
    add_url_flag(parser)
    parser.add_argument(
        "--concurrency",
        type=positive,
        default=8,
        metavar="N",
        help="requests to the URL at the same time [8]",
    )
    add_flags(parser, [name for name in (*MODEL_SETTINGS, *LIMITS) if name != "upstream_url"])


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
    if arguments.url is not None:
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
        if error.name != "pyarrow":
            raise
        stop("pyarrow is missing: pip install 'rerankd[batch]'", ENDED_EARLY)
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
        with closing(Ids(folder.work / "ids.sqlite", unit_of(source.path))) as ids:
            manifest = {"format": kind, **form.fingerprint(), **source.fingerprint()}
            blocks = scan(source, ids)
            async with open_ranker(arguments, settings, progress) as ranker:
                folder.begin_or_continue({**manifest, "model": ranker.facts})
                summary = folder.summary()
                if summary is None:
                    with open_corpus(source, folder.work) as corpus:
                        rows = Rows(source, blocks, ids, corpus, form.parse)
                        run = Run(rows, folder, ranker, form.render, progress)
                        summary = await run.complete()
        folder.tidy()
        return summary


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
