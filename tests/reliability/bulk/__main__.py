"""`python -m tests.reliability.bulk --pairs 200000 --kills 5`: a bulk run that is killed again and
again gives what one gives that is left alone, and its memory does not grow with its input.

It prints one line for docs/explanation/reliability.md. `--small` takes a small random model, for a
machine on which the bundled one would take too long.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.reliability.bulk.rows import differences, every_line_once, write_rows
from tests.reliability.bulk.runs import Command, Ended, Unexpected

MEBIBYTE = 2**20
# Of a run with a tenth of the pairs: what a process takes by itself varies by more.
MAX_GROWTH = 1.1
MIN_SHARDS = 3


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m tests.reliability.bulk", description=__doc__)
    parser.add_argument("--pairs", type=int, default=200_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--block-pairs", type=int, default=8_192)
    parser.add_argument("--small", action="store_true", help="a small random model")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="rerankd-bulk-") as folder:
        flags = [*model_flags(arguments, Path(folder)), "--block-pairs", str(arguments.block_pairs)]
        try:
            text = check(Path(folder), arguments.pairs, arguments.kills, arguments.seed, flags)
        except Unexpected as error:
            sys.stdout.write(f"bulk: FAILED: {error}\n")
            return 1
    sys.stdout.write(f"bulk: seed {arguments.seed}, {text}\n")
    return 0


def model_flags(arguments: argparse.Namespace, folder: Path) -> list[str]:
    if not arguments.small:
        return []
    from tests import models  # noqa: PLC0415 (imports torch)

    return ["--model", str(models.bert(folder / "model")), "--engine", "torch", "--device", "cpu"]


def check(folder: Path, pairs: int, kills: int, seed: int, flags: Sequence[str]) -> str:
    """Leave a tenth and the whole alone, then kill the whole; raises Unexpected."""
    tenth = alone(folder, "tenth", pairs // 10, seed, flags)
    whole = alone(folder, "whole", pairs, seed, flags)
    command = Command(folder / "whole.jsonl", flags)
    runs = command.run_killed(folder / "killed", kills, whole, seed)
    for out in (folder / "whole", folder / "killed"):
        if problems := every_line_once(command.source, out):
            raise Unexpected("; ".join(problems[:5]))
    if unequal := differences(folder / "whole", folder / "killed"):
        raise Unexpected(f"not equal to the run that was left alone: {', '.join(unequal)}")
    # Fewer blocks are not in memory at once, as those of the whole are.
    if tenth.shards >= MIN_SHARDS and whole.peak > MAX_GROWTH * tenth.peak:
        raise Unexpected(f"memory grows: {mebibytes(tenth)}, then {mebibytes(whole)} MiB")
    return (
        f"{pairs} pairs, kills {sum(run.killed for run in runs)}, rows lost 0, twice 0, "
        f"different 0, {whole.seconds:.0f} s alone and {sum(r.seconds for r in runs):.0f} s "
        f"killed, memory {mebibytes(tenth)} MiB with a tenth and {mebibytes(whole)} MiB with all"
    )


def alone(folder: Path, name: str, pairs: int, seed: int, flags: Sequence[str]) -> Ended:
    source = folder / f"{name}.jsonl"
    write_rows(source, pairs, seed)
    ended = Command(source, flags).run(folder / name)
    sys.stderr.write(f"{name}: {pairs} pairs, {ended.seconds:.0f} s, {mebibytes(ended)} MiB\n")
    return ended


def mebibytes(ended: Ended) -> str:
    return f"{ended.peak / MEBIBYTE:.0f}"


if __name__ == "__main__":
    sys.exit(main())
