"""`rerankd finetune`: train a model further on labelled pairs, and measure the effect."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic_core import to_json

from app.commands.flags import add_flags, settings_from
from app.commands.measuring import Task, open_scorer, plainly, positive
from app.commands.rerank import MODEL_SETTINGS
from app.compose.loading import spec_of
from app.settings import Settings

if TYPE_CHECKING:
    from app.evaluation.study import Study
    from app.training.finetune.mining import Split

K = 10


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data",
        type=Path,
        help="JSON lines with query and positive (and negative), with query, document and label, "
        "or with query, documents and relevant; or a BEIR folder",
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="new output folder, for RERANKD_MODEL"
    )
    parser.add_argument(
        "--split", default="train", help="name of the qrels in a BEIR folder [train]"
    )
    add_training_flags(parser)
    parser.add_argument(
        "--validation", type=share, default=0.15, help="share of queries for validation [0.15]"
    )
    parser.add_argument(
        "--test", type=share, default=0.15, help="share of queries for the test [0.15]"
    )
    parser.add_argument(
        "--language", default="english", help="language of the BM25 stemmer [english]"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of all random choices [0]")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    add_flags(parser, [name for name in MODEL_SETTINGS if not name.startswith("engine")])


def add_training_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--epochs", type=float, default=2.0, help="passes over the data [2]")
    parser.add_argument("--batch", type=positive, default=8, help="queries per step [8]")
    parser.add_argument(
        "--learning-rate", type=float, default=2e-5, help="highest learning rate [2e-5]"
    )
    parser.add_argument("--negatives", type=positive, default=7, help="negatives per positive [7]")
    parser.add_argument(
        "--initial-k",
        type=positive,
        default=30,
        help="BM25 candidates per query, for mining and reranking [30]",
    )
    parser.add_argument(
        "--guard",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="exclude mined negatives that the model ranks above all positives [yes]",
    )
    parser.add_argument(
        "--patience",
        type=positive,
        default=3,
        help="validation runs without a gain before training stops [3]",
    )


def share(text: str) -> float:
    number = float(text)
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError("must be between 0 and 1")
    return number


def run(arguments: argparse.Namespace) -> int:
    settings = settings_from(arguments).model_copy(update={"engine": "torch"})
    with plainly(settings, extra="train"):
        from app.evaluation.writing import write_json  # noqa: PLC0415
        from app.training.finetune import tuned  # noqa: PLC0415 (needs the extra)
        from app.training.finetune.mining import split  # noqa: PLC0415
        from app.training.finetune.pairs import read_labelled  # noqa: PLC0415

        judged = read_labelled(arguments.data, arguments.split)
        parts = split(judged, arguments.validation, arguments.test, arguments.seed)
        before, after, checks = tune_and_measure(arguments, settings, parts)
        report = tuned.as_json(before, after, checks, arguments.seed)
        write_json(arguments.out / "finetune.json", report)
        if arguments.json:
            print(to_json(report, indent=2).decode())
        else:
            print(tuned.as_text(before, after, arguments.seed))
            print(f"\nTo use it: RERANKD_MODEL={arguments.out}")
    return 0


def tune_and_measure(
    arguments: argparse.Namespace, settings: Settings, parts: Split
) -> tuple[Study, Study, list[float]]:
    """Both measurements use the engine of the service, so the service can load the result.

    The second one uses the complete model in `--out`, which stays there if the measurement fails.
    """
    from app.evaluation.first_stage import candidates  # noqa: PLC0415
    from app.evaluation.writing import new_folder  # noqa: PLC0415

    with new_folder(arguments.out) as aside:
        train, validation, test = (
            Task(
                part,
                candidates(part, arguments.initial_k, arguments.language, own_ranks=part.ranked),
            )
            for part in (parts.train, parts.validation, parts.test)
        )
        before = asyncio.run(measure(settings, test, arguments))
        checks = tune(arguments, settings, train, validation, aside)
    out: Path = arguments.out.resolve()
    served = settings.model_copy(update={"model": str(out), "model_name": out.name, "revision": ""})
    return before, asyncio.run(measure(served, test, arguments)), checks


def tune(
    arguments: argparse.Namespace,
    settings: Settings,
    train: Task,
    validation: Task,
    folder: Path,
) -> list[float]:
    from app.training.finetune.mining import mine  # noqa: PLC0415
    from app.training.finetune.tuning import Recipe, Tuner  # noqa: PLC0415

    recipe = Recipe(
        epochs=arguments.epochs,
        batch=arguments.batch,
        rate=arguments.learning_rate,
        patience=arguments.patience,
        length=settings.max_length,
        seed=arguments.seed,
    )
    tuner = Tuner(spec_of(settings), recipe)
    score = tuner.score if arguments.guard else None
    groups = mine(train.judged, train.orders, arguments.negatives, arguments.seed, score)
    return tuner.tune(groups, validation.judged, validation.orders, folder)


async def measure(settings: Settings, task: Task, arguments: argparse.Namespace) -> Study:
    from app.evaluation.scoring import score_all  # noqa: PLC0415
    from app.evaluation.study import compare  # noqa: PLC0415

    async with open_scorer(settings, None) as scorer:
        answers = await score_all(scorer, task.judged, task.orders)
        return compare(
            task.judged,
            task.orders,
            answers,
            model=scorer.name,
            k=K,
            initial_k=arguments.initial_k,
            seed=arguments.seed,
        )
