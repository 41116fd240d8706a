"""`rerankd eval`: does reranking help on this data?"""

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
    from app.evaluation.study import Study


def configure(parser: argparse.ArgumentParser) -> None:
    add_data_flags(parser)
    parser.add_argument(
        "--initial-k",
        type=positive,
        default=100,
        metavar="N",
        help="candidates per query to rerank [100]",
    )
    parser.add_argument(
        "--k",
        type=positive,
        default=10,
        metavar="N",
        help="results per query that are measured [10]",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("rerankd-eval"),
        metavar="FOLDER",
        help="output folder for report.json, worse.md and the ranks [rerankd-eval]",
    )
    add_scorer_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    settings = settings_from(arguments)
    with plainly(settings):
        from app.evaluation.reports import report  # noqa: PLC0415 (needs the extra)

        task = read_task(arguments, arguments.initial_k)
        study = asyncio.run(measure(arguments, settings, task))
        report.write_report(arguments.out, task.judged, study)
        if arguments.json:
            print(to_json(report.as_json(study), indent=2).decode())
        else:
            print(report.as_text(study))
            print(f"\nQueries that became worse: {arguments.out / 'worse.md'}")
    return 0


async def measure(arguments: argparse.Namespace, settings: Settings, task: Task) -> Study:
    from app.evaluation.scoring import score_all  # noqa: PLC0415
    from app.evaluation.study import compare  # noqa: PLC0415

    async with open_scorer(settings, arguments.url) as scorer:
        answers = await score_all(scorer, task.judged, task.orders, arguments.concurrency)
        return compare(
            task.judged,
            task.orders,
            answers,
            model=scorer.name,
            k=arguments.k,
            initial_k=arguments.initial_k,
            seed=arguments.seed,
        )
