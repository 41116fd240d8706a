"""A model is converted by each backend that can do so, measured with each, and opened."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from app.engines import Engine, LoadedModel, Pair, processors
from app.engines.backend import Choice, Converter, reason_of
from app.engines.backends import AUTO, REFERENCE, converters
from app.engines.benchmark import (
    SLICE_TOKENS,
    Lists,
    Result,
    logits,
    measure,
    measure_reference,
    stream_counts,
)
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
from app.engines.layout import Layout
from app.engines.probe import lists
from app.engines.select import choose, open_reference
from app.engines.spec import ModelSpec
from app.errors import InvalidSetting, LoadFailed

if TYPE_CHECKING:
    from app.engines.torch.model import TorchModel

logger = logging.getLogger(__name__)

# A converter that traces the model follows so many pairs.
EXAMPLE_PAIRS = 3

Step = Callable[[str], None]


def convert_and_open(spec: ModelSpec, step: Step, *, again: bool) -> LoadedModel:
    """What was converted on another kind of processor is taken over, unless `again` is set."""
    original = replace(spec, engine=REFERENCE.name, dtype="float32", max_length=0, device="cpu")
    step("loading the model")
    model = REFERENCE.load(original)
    encoder = model.encoder
    if not isinstance(encoder, SplitEncoder):
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
            card, results = convert_and_measure(original, model, encoder, folder, step)
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
    original: ModelSpec, model: TorchModel, encoder: SplitEncoder, folder: Path, step: Step
) -> tuple[Card, list[Result]]:
    """`folder` then holds the converted model, its card and the results."""
    pairs = lists(encoder)
    step(f"measuring {REFERENCE.name} {original.dtype}")
    reference = logits(model.engine, pairs)
    results = [measure_reference(model.engine, pairs)]
    card = read_card(folder)
    if card is None:
        convert_all(original, model, pairs[0][:EXAMPLE_PAIRS], folder, step)
        (folder / TOKENIZER).write_text(encoder.tokenizer.to_str())
        card = write_card(
            folder,
            architecture=model.architecture,
            encoder=encoder,
            layout=model.layout,
            files=sorted(file for file in folder.rglob("*") if file.is_file()),
        )
    results += contest(original, card.layout, folder, step, pairs, reference)
    write_results(folder, processors.kind(), results)
    return card, results


def usable(original: ModelSpec) -> list[Converter]:
    return [backend for backend in converters() if backend.refuses(original) is None]


def convert_all(
    original: ModelSpec, model: TorchModel, examples: Sequence[Pair], folder: Path, step: Step
) -> None:
    """Each backend writes every file or none. It may change its model: the next loads another."""
    for number, backend in enumerate(usable(original)):
        step(f"converting for {backend.name}")
        own = REFERENCE.load(original) if number else model
        (folder / backend.name).mkdir()
        try:
            backend.convert(own, examples, folder / backend.name)
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 (a model's own code, traced, may raise anything)
            fields = {"backend": backend.name, "reason": reason_of(error)}
            logger.warning("conversion_failed", extra={"fields": fields})
            shutil.rmtree(folder / backend.name)


def contest(
    original: ModelSpec,
    layout: Layout,
    folder: Path,
    step: Step,
    pairs: Lists,
    reference: Sequence[Sequence[float]],
) -> Iterator[Result]:
    """All but the reference itself: each backend that has converted the model, in each dtype."""
    threads = original.threads or processors.available()
    for backend in usable(original):
        if not (folder / backend.name).is_dir():
            continue
        for dtype in backend.dtypes():
            step(f"measuring {backend.name} {dtype}")
            try:
                yield measure(
                    by_streams(backend, folder / backend.name, layout, dtype, threads),
                    pairs,
                    reference,
                )
            except Exception as error:  # noqa: BLE001 (a library may raise anything)
                fields = {"backend": backend.name, "dtype": dtype, "reason": reason_of(error)}
                logger.warning("measuring_failed", extra={"fields": fields})
    for dtype in REFERENCE.dtypes():
        if dtype != original.dtype:
            step(f"measuring {REFERENCE.name} {dtype}")
            yield measure([REFERENCE.load(replace(original, dtype=dtype)).engine], pairs, reference)


def by_streams(
    backend: Converter, folder: Path, layout: Layout, dtype: str, threads: int
) -> Iterator[Engine]:
    """The engine with each number of streams, opened one after the other."""
    for streams in stream_counts(threads):
        yield backend.open(folder, layout, Choice(dtype, SLICE_TOKENS[-1], streams, threads))
