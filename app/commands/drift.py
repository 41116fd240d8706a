"""`rerankd drift`: have the scores or the quality changed between two periods?"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic_core import to_json

from app.commands.flags import settings_from, stop
from app.commands.measuring import plainly, positive

if TYPE_CHECKING:
    from app.evaluation.drift.collecting import Windows
    from app.evaluation.drift.judging import Limits
    from app.evaluation.drift.study import DriftStudy

TIMES = "a date, a date with a time, a time before now (7d, 12h), or now; UTC without a zone"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        type=Path,
        nargs="*",
        metavar="FILE",
        help="log of the service as JSON lines, or its feedback file; also .xz and .gz. Without "
        "times, two files: the period before and the period after",
    )
    parser.add_argument("--at", metavar="TIME", help=f"time between the two periods: {TIMES}")
    for name in ("before", "after"):
        parser.add_argument(
            f"--{name}", metavar="FROM..TO", help=f"the period {name}; each end is as for --at"
        )
    parser.add_argument(
        "--block",
        default="1h",
        metavar="DURATION",
        help="requests of a block of this length count as dependent on each other [1h]",
    )
    parser.add_argument(
        "--route", default="", help="only log lines of this route, such as /answer [all]"
    )
    add_prometheus_flags(parser)
    add_limit_flags(parser)
    parser.add_argument("--seed", type=int, default=0, help="seed of all random choices [0]")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("rerankd-drift"),
        metavar="FOLDER",
        help="output folder for drift.json and drift.png [rerankd-drift]",
    )


def add_prometheus_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--prometheus",
        metavar="URL",
        help="Prometheus that scrapes the service; needs --before and --after",
    )
    parser.add_argument(
        "--prometheus-token-file",
        type=Path,
        metavar="FILE",
        help="file with the bearer token for Prometheus",
    )
    parser.add_argument(
        "--match",
        default="",
        metavar="LABELS",
        help='labels of the series in Prometheus, such as job="rerankd" [all]',
    )


def add_limit_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--k", type=positive, default=10, metavar="N", help="results that nDCG and MRR measure [10]"
    )
    parser.add_argument(
        "--alpha",
        type=share,
        default=0.01,
        metavar="SHARE",
        help="share of comparisons of equal periods that may give a false alarm [0.01]",
    )
    for name, default, text in (
        ("--min-shift", 0.1, "share of requests whose top score or gap must have moved"),
        ("--min-share", 0.05, "change of the shares of useful and of unknown answers"),
        ("--min-loss", 0.02, "change of nDCG"),
    ):
        parser.add_argument(
            name,
            type=share,
            default=default,
            metavar="SHARE",
            help=f"smallest change that matters: {text} [{default}]",
        )


def share(text: str) -> float:
    number = float(text)
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError("must be between 0 and 1")
    return number


def run(arguments: argparse.Namespace) -> int:
    settings = settings_from(arguments)
    with plainly(settings):
        from app.evaluation.drift import report  # noqa: PLC0415 (needs the extra)
        from app.evaluation.drift.judging import EXIT_CODES  # noqa: PLC0415

        study = compare(arguments)
        write(arguments.out, study)
        if arguments.json:
            print(to_json(report.as_json(study), indent=2).decode())
        else:
            print(report.as_text(study))
            print(f"\nThe chart: {arguments.out / 'drift.png'}")
        return EXIT_CODES[study.state]


def compare(arguments: argparse.Namespace) -> DriftStudy:
    from app.evaluation.drift.comparing import compare_periods  # noqa: PLC0415

    try:
        windows, block = read_times(arguments)
    except ValueError as error:
        stop(str(error), 2)
    return compare_periods(
        arguments.files,
        windows,
        block=block,
        route=arguments.route,
        k=arguments.k,
        limits=limits_of(arguments),
        seed=arguments.seed,
        prometheus=arguments.prometheus,
        token_file=arguments.prometheus_token_file,
        match=arguments.match,
    )


def read_times(arguments: argparse.Namespace) -> tuple[Windows | None, float]:
    """None: each file is a period. A ValueError says which flags do not go together."""
    from app.evaluation.drift.times import (  # noqa: PLC0415
        Window,
        parse_duration,
        parse_moment,
        parse_window,
    )

    now, block = time.time(), parse_duration(arguments.block)
    named = [arguments.before, arguments.after]
    if arguments.prometheus and not all(named):
        raise ValueError("--prometheus needs --before and --after")
    if not arguments.files and not arguments.prometheus:
        raise ValueError("name two files, or --prometheus")
    if all(named):
        if arguments.at:
            raise ValueError("--at and --before with --after exclude each other")
        before, after = (parse_window(text, now) for text in named)
        if before.start < after.end and after.start < before.end:
            raise ValueError("--before and --after overlap")
        return (before, after), block
    if any(named):
        raise ValueError("--before and --after need each other")
    if arguments.at:
        moment = parse_moment(arguments.at, now)
        return (Window(end=moment), Window(start=moment)), block
    if len(arguments.files) != 2:
        raise ValueError("without times, name two files: the period before and the period after")
    return None, block


def limits_of(arguments: argparse.Namespace) -> Limits:
    from app.evaluation.drift.judging import Limits  # noqa: PLC0415

    return Limits(arguments.alpha, arguments.min_shift, arguments.min_share, arguments.min_loss)


def write(folder: Path, study: DriftStudy) -> None:
    from app.evaluation.drift.picture import draw_drift  # noqa: PLC0415
    from app.evaluation.drift.report import as_json  # noqa: PLC0415
    from app.evaluation.writing import write_bytes, write_json  # noqa: PLC0415

    write_bytes(folder / "drift.png", draw_drift(study))
    write_json(folder / "drift.json", as_json(study))
