"""`rerankd optimize`: convert a model in advance, and show which engine is the fastest."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pydantic_core import to_json

from app import logs
from app.commands.flags import add_flags, settings_from, stop
from app.compose.loading import spec_of
from app.engines.benchmark import MIN_AGREEMENT, Result
from app.errors import LoadFailed

SETTINGS = (
    "revision",
    "engine",
    "dtype",
    "engines",
    "threads",
    "offline",
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", nargs="?", default=argparse.SUPPRESS, help="model, as in RERANKD_MODEL [bundled]"
    )
    parser.add_argument(
        "--again",
        action="store_true",
        help="convert and measure again, even if this was done before",
    )
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    add_flags(parser, SETTINGS)


def run(arguments: argparse.Namespace) -> int:
    if hasattr(arguments, "model"):
        arguments.setting_model = arguments.model
    arguments.setting_device = "cpu"
    settings = settings_from(arguments)
    logs.configure("warning", settings.log_format)
    from app.engines.loading import benchmark_results, load  # noqa: PLC0415
    from app.engines.select import choose  # noqa: PLC0415

    spec = spec_of(settings)
    progress = Progress()
    try:
        model = load(spec, progress, again=arguments.again)
        results = benchmark_results(spec)
        progress.close()
    except LoadFailed as error:
        stop(str(error), 1)
    if not results:
        stop(
            f"{model.name} runs on {model.engine.name} without a conversion: "
            "there is nothing to convert or store",
            1,
        )
    if arguments.json:
        print(to_json([result._asdict() for result in results], indent=2).decode())
    else:
        print(table(results, choose(spec, results)))
    return 0


# For a model that all engines can run.
MAX_STEPS = 8


class Progress:
    """One line that is overwritten; nothing without a terminal."""

    def __init__(self) -> None:
        self._done = 0

    def __call__(self, step: str) -> None:
        self._done += 1
        if sys.stderr.isatty():
            bar = "█" * self._done + "░" * max(0, MAX_STEPS - self._done)
            print(f"\r\x1b[K{bar} {step}", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._done and sys.stderr.isatty():
            print(file=sys.stderr)


def table(results: Sequence[Result], best: Result) -> str:
    rows = [f"{'engine':<10} {'dtype':<10} {'pairs/s':>8} {'ratio':>6} {'tau':>7}"]
    slowest = results[0].pairs_per_second
    for result in results:
        note = f" {result.file}" if result.file else ""
        if result == best:
            note += " chosen"
        elif not result.faithful:
            note += f" tau below {MIN_AGREEMENT}"
        rows.append(
            f"{result.engine:<10} {result.dtype:<10} {result.pairs_per_second:8.1f} "
            f"{result.pairs_per_second / slowest:6.2f} {result.agreement:7.4f}{note}"
        )
    return "\n".join(rows)
