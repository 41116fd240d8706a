"""`rerankd batch --ray`: an actor is killed, then the whole command, and nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.deploy.processes import until
from tests.deploy.ray.environment import environ
from tests.deploy.ray.proofs import Unexpected
from tests.reliability.bulk.rows import differences, every_line_once, write_rows
from tests.reliability.bulk.runs import EXPECTED_CODE, Command, shards_in

ACTOR = "MapWorker"
ACTORS = 2
END_SECONDS = 600.0


def prove_bulk(model: Path, folder: Path, pairs: int = 20_000, block_pairs: int = 512) -> str:
    source, flags = folder / "in.jsonl", flags_of(model, block_pairs)
    write_rows(source, pairs, seed=1)
    Command(source, flags).run(folder / "local")
    killed = run_without_actor(source, folder / "actor", flags)
    continued = run_without_command(source, folder / "command", flags)
    for out in (folder / "local", folder / "actor", folder / "command"):
        if problems := every_line_once(source, out):
            raise Unexpected("; ".join(problems[:5]))
    for name in ("actor", "command"):
        if unequal := differences(folder / "local", folder / name):
            raise Unexpected(f"not equal to the local run: {', '.join(unequal)}")
    same = all(
        part.read_bytes() == (folder / "actor" / part.name).read_bytes()
        for part in (folder / "local").glob("part-*")
    )
    return (
        f"{pairs} pairs in {shards_in(folder / 'local')} blocks by {ACTORS} actors: an actor was "
        f"killed after {killed} blocks, the command after {continued}; every row once, equal to "
        f"the local run{' to the last bit' if same else ''}"
    )


def flags_of(model: Path, block_pairs: int) -> list[str]:
    return [
        *("--model", str(model), "--engine", "onnxruntime", "--dtype", "float32"),
        *("--device", "cpu", "--threads", "1", "--block-pairs", str(block_pairs)),
    ]


def run_without_actor(source: Path, out: Path, flags: Sequence[str]) -> int:
    """How many blocks there were when one of the actors was killed."""
    with on_ray(source, out, flags) as process:
        until(lambda: shards_in(out) >= 2, "two blocks are written", END_SECONDS)
        before = shards_in(out)
        next(actors_of(process)).send_signal(signal.SIGKILL)
        code = process.wait(END_SECONDS)
    if code != EXPECTED_CODE:
        raise Unexpected(f"exit code {code}")
    return before


def run_without_command(source: Path, out: Path, flags: Sequence[str]) -> int:
    with on_ray(source, out, flags) as process:
        until(lambda: shards_in(out) >= 3, "three blocks are written", END_SECONDS)
        process.kill()
        process.wait()
    before = shards_in(out)
    with on_ray(source, out, flags) as process:
        code = process.wait(END_SECONDS)
    if code != EXPECTED_CODE:
        raise Unexpected(f"exit code {code} of the run that continues")
    return before


@contextmanager
def on_ray(source: Path, out: Path, flags: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """With a cluster that the command starts; what it prints goes to a file."""
    words = [sys.executable, "-m", "app.cli", "batch", str(source), str(out), *flags]
    with (out.parent / f"{out.name}.log").open("ab") as log:
        process = subprocess.Popen(
            [*words, "--ray", "--ray-actors", str(ACTORS)],
            env=environ(),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def actors_of(process: subprocess.Popen[bytes]) -> Iterator[psutil.Process]:
    for child in psutil.Process(process.pid).children(recursive=True):
        if any(ACTOR in word for word in child.cmdline()):
            yield child
