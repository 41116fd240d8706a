"""From a model's name to an encoder and the engine that runs it fastest here."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path

from app.engines import LoadedModel, processors
from app.engines.backends import AUTO, REFERENCE
from app.engines.benchmark import Result
from app.engines.contest import Step
from app.engines.converted_model import (
    Damaged,
    converted_folder,
    open_result,
    read_card,
    read_results,
)
from app.engines.converting import convert_and_open
from app.engines.encoders import SplitEncoder
from app.engines.original import warn_of_graphs
from app.engines.published import Unusable, find_published, open_published
from app.engines.select import (
    choose,
    converters_for,
    open_reference,
    refuse_contradictions,
)
from app.engines.spec import ModelSpec

logger = logging.getLogger(__name__)


def log_step(text: str) -> None:
    logger.info("preparing_model", extra={"fields": {"step": text}})


def load(spec: ModelSpec, step: Step = log_step, *, again: bool = False) -> LoadedModel:
    """`step` is called with what is being done where that takes a while.

    A model that was converted before is used, unless it is to be converted `again`.
    """
    started = time.perf_counter()
    spec.refuse_missing_folder()
    refuse_contradictions(spec)
    if not converters_for(spec):
        return open_reference(spec)
    folder = None if again else converted_folder(spec)
    model = reopen(spec, folder) if folder else None
    model = model or convert_and_open(spec, step, again=again)
    return replace(model, seconds=time.perf_counter() - started)


def load_soon(
    spec: ModelSpec, step: Step = log_step, *, at_once: bool = False
) -> tuple[LoadedModel, bool]:
    """As `load`, but before anything is measured if the model comes ready to run.

    The second value says so: then the engine is not chosen yet. With `at_once`, the reference runs
    a model that does not come ready to run.
    """
    started = time.perf_counter()
    spec.refuse_missing_folder()
    refuse_contradictions(spec)
    if (spec.engine, spec.dtype) != (AUTO, AUTO) or not converters_for(spec):
        return load(spec, step), False
    folder = converted_folder(spec)
    kept = reopen(spec, folder) if folder else None
    model = kept or open_as_it_came(spec)
    if model is None and at_once and REFERENCE.refuses(spec) is None:
        model = open_reference(spec)
        if not isinstance(model.encoder, SplitEncoder):  # nothing else can run it
            return model, False
    if model is None:
        return load(spec, step), False
    return replace(model, seconds=time.perf_counter() - started), kept is None


def open_as_it_came(spec: ModelSpec) -> LoadedModel | None:
    """With the graphs that are beside its weights, if there are any and they are whole."""
    try:
        published = find_published(spec)
        return open_published(spec, published) if published else None
    except Damaged as error:
        warn_of_damage(spec.label, error)
    except Unusable as error:
        warn_of_graphs(spec, str(error))
    return None


def reopen(spec: ModelSpec, folder: Path) -> LoadedModel | None:
    """What was converted before, if it is there, whole, and was measured on such a processor."""
    try:
        card = read_card(folder)
        results = read_results(folder, processors.kind())
        if card is None or results is None:
            return None
        return open_result(spec, folder, card, choose(spec, results))
    except Damaged as error:
        warn_of_damage(str(folder), error)
        return None


def warn_of_damage(folder: str, error: Damaged) -> None:
    fields = {"folder": folder, "reason": str(error)}
    logger.warning("converted_model_damaged", extra={"fields": fields})


def benchmark_results(spec: ModelSpec) -> list[Result]:
    """What was measured when the model was converted; nothing where that was not kept."""
    folder = converted_folder(spec)
    return (read_results(folder, processors.kind()) if folder else None) or []
