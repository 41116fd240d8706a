"""A model is converted by each backend that can do so, measured with each, and opened."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from app.engines import LoadedModel, Pair, processors
from app.engines.backend import Adapter, Converter, GraphReader, reason_of
from app.engines.backends import AUTO, REFERENCE
from app.engines.benchmark import Result, logits, measure_reference
from app.engines.contest import Step, contest, entrants, usable
from app.engines.converted_model import (
    TOKENIZER,
    Card,
    converted_folder,
    open_result,
    read_card,
    take_over,
    write_card,
    write_results,
    written_aside,
)
from app.engines.encoders import SplitEncoder
from app.engines.graphs import first_existing
from app.engines.layout import Arrays
from app.engines.original import Original, load_original
from app.engines.probe import lists
from app.engines.published import Published
from app.engines.rounding import ROUNDED
from app.engines.select import choose, open_reference
from app.engines.spec import ModelSpec
from app.errors import InvalidSetting, LoadFailed

if TYPE_CHECKING:
    from app.engines.torch.model import TorchModel

logger = logging.getLogger(__name__)

# A converter that traces the model follows so many pairs.
EXAMPLE_PAIRS = 3


def convert_and_open(spec: ModelSpec, step: Step, *, again: bool) -> LoadedModel:
    """What was converted on another kind of processor is taken over, unless `again` is set."""
    unchanged = replace(spec, engine=REFERENCE.name, dtype="float32", max_length=0, device="cpu")
    step("loading the model")
    original = load_original(unchanged)
    if not isinstance(original.model.encoder, SplitEncoder):
        if spec.engine != AUTO:
            raise InvalidSetting(
                f"engine {spec.engine} cannot run {spec.label}, which renders a chat template: "
                f"set engine to {REFERENCE.name} or {AUTO}"
            )
        return open_reference(spec)
    kept = converted_folder(spec)
    try:
        with home(kept) as folder:
            if kept is not None and not again:
                take_over(kept, folder)
            card, results = convert_and_measure(
                unchanged, original, original.model.encoder, folder, step
            )
            best = choose(spec, results)
            step(f"opening {best.engine} {best.dtype}")
            return open_result(spec, folder, card, best)
    except OSError as error:  # nothing is kept: the next start tries again
        reason = error.strerror or str(error)
        if spec.engine != AUTO or spec.dtype not in (AUTO, *REFERENCE.all_dtypes):
            raise LoadFailed(f"model {spec.label} cannot be converted: {reason}") from error
        fields = {"model": spec.label, "reason": reason}
        logger.warning("model_not_converted", extra={"fields": fields})
        return open_reference(spec)


@contextmanager
def home(folder: Path | None) -> Iterator[Path]:
    """A new folder: the converted model's own, or a temporary one where none can be kept."""
    if folder is not None and writable(folder.parent):
        with written_aside(folder) as aside:
            yield aside
        return
    if folder is not None:
        fields = {"folder": str(folder.parent)}
        logger.warning("converted_model_not_kept", extra={"fields": fields})
    with tempfile.TemporaryDirectory(prefix="rerankd-") as temporary:
        yield Path(temporary)


def writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def convert_and_measure(
    unchanged: ModelSpec, original: Original, encoder: SplitEncoder, folder: Path, step: Step
) -> tuple[Card, list[Result]]:
    """`folder` then holds the converted model, its card and the results."""
    pairs = lists(encoder)
    engine, published = original.model.engine, original.published
    step(f"measuring {engine.name} {engine.dtype}")
    reference = logits(engine, pairs)
    results = [measure_reference(engine, pairs)] if original.torch else []
    card = read_card(folder)
    if card is None:
        convert_all(unchanged, original, pairs[0][:EXAMPLE_PAIRS], folder, step)
        (folder / TOKENIZER).write_text(encoder.tokenizer.to_str())
        card = write_card(
            folder,
            architecture=original.model.architecture,
            encoder=encoder,
            layout=original.layout,
            files=sorted(file for file in folder.rglob("*") if file.is_file()),
        )
    taking_part = entrants(unchanged, published, folder)
    results += contest(unchanged, taking_part, card.layout, pairs, reference, step)
    write_results(folder, processors.kind(), results)
    return card, results


def convert_all(
    unchanged: ModelSpec, original: Original, examples: Sequence[Pair], folder: Path, step: Step
) -> None:
    """Each backend writes every file or none, from graphs where the model came with them."""
    arrays = original.layout.arrays(examples, max(pair.tokens for pair in examples))
    models = fresh_models(unchanged, original)
    for backend in usable(unchanged):
        own = folder / backend.name
        adapting = adaptation(backend, original.published, arrays)
        step(f"converting for {backend.name}")
        if adapting is not None and written(adapting, backend, own):
            continue
        if original.torch is not None:
            model = next(models)
            written(partial(backend.convert, model, examples), backend, own)


def fresh_models(unchanged: ModelSpec, original: Original) -> Iterator[TorchModel]:
    """A backend may change its model: the next has another."""
    if original.torch is not None:
        yield original.torch
    while True:
        yield REFERENCE.load(unchanged)


def adaptation(
    backend: Converter, published: Published | None, examples: Arrays
) -> Callable[[Path], None] | None:
    """What makes a backend's files from the graphs of the model, if it can read such graphs.

    Files that the model came with are not made again, except those in eight bits: what others
    rounded may rank differently.
    """
    if published is None or not isinstance(backend, Adapter):
        return None
    graphs = backend.readable(published.folder)
    if graphs is None:
        return None
    publishable = backend.publishable() if isinstance(backend, GraphReader) else {}
    there = first_existing(published.folder, publishable).keys() - {ROUNDED}
    dtypes = [dtype for dtype in backend.all_dtypes if dtype not in there]
    return lambda folder: backend.adapt(graphs, examples, folder, dtypes)


def written(write: Callable[[Path], None], backend: Converter, folder: Path) -> bool:
    folder.mkdir()
    try:
        write(folder)
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 (a model's own code, traced, may raise anything)
        fields = {"backend": backend.name, "reason": reason_of(error)}
        logger.warning("conversion_failed", extra={"fields": fields})
        shutil.rmtree(folder)
        return False
    return True
