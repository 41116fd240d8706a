"""`rerankd sweep`: which model, which initial_k, which final_k?"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic_core import to_json

from app.commands.flags import settings_from, stop
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
    from app.evaluation.scoring import Scorer
    from app.evaluation.sweep import Point


def configure(parser: argparse.ArgumentParser) -> None:
    add_data_flags(parser)
    parser.add_argument(
        "--models",
        type=lambda text: [part.strip() for part in text.split(",") if part.strip()],
        default=[],
        metavar="A,B,…",
        help="models to compare, each as in RERANKD_MODEL [the model of RERANKD_MODEL]",
    )
    for name, default, text in (
        ("--initial-k", [10, 25, 50, 100], "candidates per query to rerank"),
        ("--final-k", [3, 5, 10], "results per query that are used"),
    ):
        shown = ",".join(str(number) for number in default)
        parser.add_argument(
            name, type=numbers, default=default, metavar="N,M,…", help=f"{text} [{shown}]"
        )
    parser.add_argument(
        "--prefilter",
        type=numbers,
        default=[],
        metavar="N,M,…",
        help="compare also with scoring only so many of the candidates, chosen by their words",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("rerankd-sweep"),
        metavar="FOLDER",
        help="output folder for sweep.json, sweep.png and sweep.html [rerankd-sweep]",
    )
    add_scorer_flags(parser, without="model")


def numbers(text: str) -> list[int]:
    return sorted({positive(part) for part in text.split(",")})


def run(arguments: argparse.Namespace) -> int:
    if arguments.url and arguments.models:
        stop("--url and --models exclude each other: a service has its own model", 2)
    settings = settings_from(arguments)
    with plainly(settings):
        from app.evaluation.reports import table  # noqa: PLC0415 (needs the extra)
        from app.evaluation.sweep import advise, by_final_k  # noqa: PLC0415

        task = read_task(arguments, max(arguments.initial_k))
        groups = by_final_k(asyncio.run(measure(arguments, settings, task)))
        points = [point for group in groups.values() for point in group]
        advice = [advise(group, arguments.seed) for group in groups.values()]
        write(arguments.out, task, points, advice)
        if arguments.json:
            print(to_json(as_json(task, points, advice), indent=2).decode())
        else:
            print(table.as_text(points), *advice, sep="\n\n")
            print(f"\nThe chart: {arguments.out / 'sweep.html'}")
    return 0


async def measure(arguments: argparse.Namespace, settings: Settings, task: Task) -> list[Point]:
    from app.evaluation.sweep import first_points  # noqa: PLC0415

    points = first_points(*task, arguments.final_k, arguments.seed)
    for model in arguments.models or [settings.model]:
        chosen = settings.model_copy(update={"model": model})
        async with open_scorer(chosen, arguments.url) as scorer:
            points += await measure_scorer(arguments, scorer, task, arguments.initial_k)
            for most in arguments.prefilter:
                prefiltered = scorer.with_prefilter(most)
                # What is left out depends on all candidates: each initial_k is scored by itself.
                for initial_k in arguments.initial_k:
                    if initial_k > most:
                        points += await measure_scorer(arguments, prefiltered, task, [initial_k])
    return points


async def measure_scorer(
    arguments: argparse.Namespace, scorer: Scorer, task: Task, initial_ks: Sequence[int]
) -> list[Point]:
    from app.evaluation.sweep import measure_model, model_points  # noqa: PLC0415

    answers, latencies = await measure_model(scorer, *task, initial_ks, arguments.concurrency)
    return model_points(scorer.name, *task, answers, latencies, arguments.final_k, arguments.seed)


def as_json(task: Task, points: Sequence[Point], advice: Sequence[str]) -> dict[str, object]:
    from app.evaluation.reports import table  # noqa: PLC0415

    judged = task.judged
    return {
        "data": judged.name,
        "queries": len(judged.queries),
        "advice": advice,
        "points": table.as_json(points),
    }


def write(folder: Path, task: Task, points: Sequence[Point], advice: Sequence[str]) -> None:
    from app.evaluation.reports.page import sweep_page  # noqa: PLC0415
    from app.evaluation.reports.pictures import draw_sweep  # noqa: PLC0415
    from app.evaluation.writing import write_bytes, write_json  # noqa: PLC0415

    judged = task.judged
    picture = draw_sweep(points)
    page = sweep_page(judged.name, len(judged.queries), advice, points, picture)
    write_bytes(folder / "sweep.png", picture)
    write_bytes(folder / "sweep.html", page.encode())
    write_json(folder / "sweep.json", as_json(task, points, advice))
