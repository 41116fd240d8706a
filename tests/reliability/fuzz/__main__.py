"""Hostile bodies and hostile bytes, by grammar and mutation.

    python -m tests.reliability.fuzz --seed 1 --count 1000000 --streams 200000 --answers 100000 \\
        --files 50000

Bodies go to every dialect, /score, /answer and feedback: each is answered with a documented status
and JSON, and holds the event loop for less than 200 ms. Raw byte streams go to a real socket: each
answer is HTTP, each connection ends, and descriptors are back at the end. Streams of language
models are cut at each byte, and changed; files for `rerankd ingest` are changed.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.desk import Desk
from tests.models import bert
from tests.reliability.fuzz import bodies, files, llm_streams, streams
from tests.reliability.fuzz.service import open_service

Outcome = bodies.Outcome | streams.Outcome | llm_streams.Outcome | files.Outcome

SLACK = 16  # descriptors: of the loop itself and of a scrape


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def run_bodies(folder: Path, seed: int, count: int) -> bodies.Outcome:
    async with open_service(folder) as app:
        return await bodies.fuzz_bodies(app, seed, count, show)


async def run_streams(folder: Path, seed: int, count: int) -> streams.Outcome:
    async with Desk(bert(folder / "model")).listening(log_level="error") as url:
        before = descriptors()
        outcome = await streams.fuzz_streams(int(url.rsplit(":", 1)[1]), seed, count, show)
        await asyncio.sleep(1)  # connections that the server still has to close
        if (after := descriptors()) > before + SLACK:
            outcome.problems.append(f"descriptors grew from {before} to {after}")
        return outcome


def show(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1_000_000, help="bodies")
    parser.add_argument("--streams", type=int, default=200_000, help="raw byte streams")
    parser.add_argument("--answers", type=int, default=100_000, help="of language models")
    parser.add_argument("--files", type=int, default=50_000, help="for `rerankd ingest`")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)  # uvicorn warns of each stream that is not HTTP
    problems: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        for outcome in outcomes(Path(name), options):
            print(outcome, flush=True)
            problems += outcome.problems
    for problem in problems[:20]:
        print(f"DEFECT (seed {options.seed}): {problem}")
    return 1 if problems else 0


def outcomes(folder: Path, options: argparse.Namespace) -> Iterator[Outcome]:
    seed = options.seed
    if options.count:
        yield asyncio.run(run_bodies(folder, seed, options.count))
    if options.streams:
        yield asyncio.run(run_streams(folder, seed, options.streams))
    if options.answers:
        yield asyncio.run(llm_streams.fuzz_llm_streams(seed, options.answers, show))
    if options.files:
        yield files.fuzz_files(folder, seed, options.files, show)


if __name__ == "__main__":
    sys.exit(main())
