"""`rerankd calibrate`: fit calibrated probabilities on labelled data."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic_core import to_json

from app.commands.flags import settings_from
from app.commands.measuring import (
    Task,
    add_data_flags,
    add_scorer_flags,
    open_scorer,
    plainly,
    positive,
    read_task,
)
from app.settings import Settings

if TYPE_CHECKING:
    from app.evaluation.fitting import Fit, Labelled


def configure(parser: argparse.ArgumentParser) -> None:
    add_data_flags(parser)
    parser.add_argument(
        "--initial-k",
        type=positive,
        default=50,
        metavar="N",
        help="candidates per query, as many as in production [50]",
    )
    parser.add_argument(
        "--method",
        choices=("auto", "platt", "isotonic"),
        default="auto",
        help="method of the fit; auto: the better one on unseen queries",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("calibration.json"),
        metavar="FILE",
        help="output file for RERANKD_CALIBRATION; a chart is written next to it "
        "[calibration.json]",
    )
    add_scorer_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    settings = settings_from(arguments)
    with plainly(settings):
        task = read_task(arguments, arguments.initial_k)
        labelled, fitted = asyncio.run(measure(arguments, settings, task))
        picture = arguments.out.with_suffix(".png")
        write(arguments.out, picture, labelled, fitted)
        if arguments.json:
            facts = fitted.calibration.model_dump()
            print(to_json({**facts, "file": arguments.out, "picture": picture}, indent=2).decode())
        else:
            print(as_text(fitted))
            print(f"\nTo use it: RERANKD_CALIBRATION={arguments.out}\nThe chart: {picture}")
    return 0


async def measure(
    arguments: argparse.Namespace, settings: Settings, task: Task
) -> tuple[Labelled, Fit]:
    from app.evaluation.fitting import collect, fit  # noqa: PLC0415 (needs the extra)
    from app.evaluation.scoring import score_all  # noqa: PLC0415

    judged, orders = task
    async with open_scorer(settings, arguments.url) as scorer:
        answers = await score_all(scorer, judged, orders, arguments.concurrency)
        name = scorer.name
    labelled = collect(judged, orders, answers)
    method = None if arguments.method == "auto" else arguments.method
    return labelled, fit(labelled, method, name, arguments.seed)


def write(file: Path, picture: Path, labelled: Labelled, fitted: Fit) -> None:
    from app.evaluation.measures.reliability import bins_of  # noqa: PLC0415
    from app.evaluation.reports.pictures import draw_reliability  # noqa: PLC0415
    from app.evaluation.writing import write_bytes, write_json  # noqa: PLC0415

    curves = {
        "probability": bins_of(fitted.before, labelled.labels),
        "calibrated": bins_of(fitted.after, labelled.labels),
    }
    write_bytes(picture, draw_reliability(curves))
    write_json(file, fitted.calibration.model_dump())


def as_text(fitted: Fit) -> str:
    calibration = fitted.calibration
    return (
        f"model: {calibration.model}; curve: {calibration.kind}\n"
        f"pairs: {calibration.pairs} of {calibration.queries} queries, "
        f"{calibration.relevant} relevant\n"
        f"expected calibration error on unseen queries: "
        f"{calibration.error_before:.4f} before, {calibration.error_after:.4f} after"
    )
