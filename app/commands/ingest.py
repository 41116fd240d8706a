"""`rerankd ingest`: write files to a store, and keep it up to date."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from pydantic_core import to_json

from app import logs
from app.commands.flags import add_flags, settings_from, stop
from app.commands.measuring import count, positive
from app.commands.rerank import MODEL_SETTINGS
from app.compose.answer import first_stage
from app.compose.loading import load_encoder
from app.engines import Encoder
from app.errors import LoadFailed, ServiceError
from app.ingest.chunking import MAX_CHUNKS, Chunking
from app.ingest.finding import find_files
from app.ingest.reader_process import FileLimits, ReaderProcess
from app.ingest.readers import READERS
from app.ingest.reading import MAX_MB
from app.ingest.syncing import Report, Sync
from app.retrieval.opening import FirstStage, open_writer
from app.settings import Settings

EXTRA = ("pypdf", "selectolax", "tqdm")
STORE_SETTINGS = (
    "store",
    "store_api_key",
    "collection",
    "embedder",
    "embedder_model",
    "embedder_api_key",
    "embedder_timeout_ms",
)
# Reserved for the query next to a chunk; at most a quarter of the model's limit.
QUERY_TOKENS = 64


def configure(parser: argparse.ArgumentParser) -> None:
    suffixes = [reader.suffixes[0] for reader in READERS]
    parser.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="PATH",
        help=f"files and folders of {', '.join(suffixes)}; files removed from a folder are removed "
        "from the store",
    )
    parser.add_argument(
        "--chunk-tokens",
        type=positive,
        default=256,
        metavar="N",
        help="maximum tokens of a chunk [256]",
    )
    parser.add_argument(
        "--overlap",
        type=count,
        default=32,
        metavar="N",
        help="maximum tokens that a chunk repeats from the previous one [32]",
    )
    add_limits(parser)
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    add_flags(parser, STORE_SETTINGS)
    add_flags(parser, [name for name in MODEL_SETTINGS if name != "calibration"])


def add_limits(parser: argparse.ArgumentParser) -> None:
    for unit, default, subject in (
        ("mb", MAX_MB, "maximum size of a file, in megabytes"),
        ("seconds", FileLimits().seconds, "maximum time to read a file, in seconds"),
        ("chunks", MAX_CHUNKS, "maximum chunks of a file"),
    ):
        parser.add_argument(
            f"--max-file-{unit}",
            type=positive,
            default=default,
            metavar="N",
            help=f"{subject}; a file above it is reported and skipped [{default}]",
        )


def run(arguments: argparse.Namespace) -> int:
    settings = settings_from(arguments)
    logs.configure("warning", settings.log_format)
    missing = [str(path) for path in arguments.paths if not path.exists()]
    if missing:
        stop(f"{missing[0]}: no such file or folder", 2)
    if arguments.overlap > arguments.chunk_tokens // 2:
        stop(f"--overlap {arguments.overlap} is more than half of --chunk-tokens", 2)
    limits = FileLimits(arguments.max_file_mb, arguments.max_file_seconds)
    with plainly(), ReaderProcess(limits) as reader:
        chunking = make_chunking(settings, arguments.chunk_tokens, arguments.overlap)
        chunking = chunking._replace(max_chunks=arguments.max_file_chunks)
        report = asyncio.run(ingest(first_stage(settings), arguments.paths, chunking, reader))
    print(to_json(asdict(report), indent=2).decode() if arguments.json else as_text(report))
    return 1 if report.problems else 0


def make_chunking(settings: Settings, tokens: int, overlap: int) -> Chunking:
    """Counts the tokens of the model that will read the chunks."""
    encoder = load_encoder(settings)
    most = encoder.max_tokens - min(QUERY_TOKENS, encoder.max_tokens // 4)
    if tokens > most:
        stop(f"--chunk-tokens {tokens}: next to a query, the model accepts at most {most}", 2)
    return Chunking(lambda texts: lengths(encoder, texts), tokens, overlap)


def lengths(encoder: Encoder, texts: Sequence[str]) -> list[int]:
    frame, *wholes = (
        encoded.whole for encoded in encoder.encode("", ["", *texts], instruction=None, cut="right")
    )
    return [whole - frame for whole in wholes]


async def ingest(
    stage: FirstStage, paths: Sequence[Path], chunking: Chunking, reader: ReaderProcess
) -> Report:
    from app.evaluation.progress import bar  # noqa: PLC0415 (the extra)

    async with open_writer(stage) as (writer, embedder):
        with bar(len(find_files(paths).files), "files") as step:
            return await Sync(writer, embedder, chunking, reader.read).run(paths, step)


@contextmanager
def plainly() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRA:
            raise
        stop(f"{error.name} is missing: pip install 'rerankd[ingest]'", 1)
    except LoadFailed as error:
        stop(str(error), 1)
    except ServiceError as error:
        stop(
            f"{error}; written files stay in the store, and the same command continues from there",
            1,
        )
    except KeyboardInterrupt:
        stop("interrupted; the same command continues from there", 130)


def as_text(report: Report) -> str:
    files = (
        f"files: {report.new} new, {report.changed} changed, {report.unchanged} unchanged, "
        f"{report.removed} removed, {len(report.problems)} unreadable"
    )
    chunks = f"chunks: {report.chunks_written} written, {report.chunks_removed} removed"
    return "\n".join([files, chunks, *(f"! {problem}" for problem in report.problems)])
