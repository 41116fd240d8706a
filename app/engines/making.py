"""A model is converted, and every engine that can run it is tried."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from app.engines import LoadedModel, Pair, processors
from app.engines.contest import SIZES, Result, enter, logits, pace, ways
from app.engines.encoders import SplitEncoder
from app.engines.folder import (
    read_card,
    take_over,
    write_card,
    write_results,
    written_aside,
)
from app.engines.loading import FILES, Step, choose, converted, load_torch, open_converted
from app.engines.openvino.conversion import convert, to_eight_bits
from app.engines.openvino.engine import OpenVinoEngine, can_bfloat16
from app.engines.probe import lists
from app.engines.spec import ModelSpec
from app.engines.torch.engine import TorchEngine
from app.engines.torch.reference import load_reference
from app.errors import LoadFailed

logger = logging.getLogger(__name__)

EXAMPLES = 3  # pairs that the tracer follows


def make(spec: ModelSpec, step: Step, *, again: bool) -> LoadedModel:
    """Convert the model, hold the contest, and open what was asked for.

    What was converted on another kind of processor is taken over, unless it is to be made `again`.
    """
    original = replace(spec, engine="torch", dtype="float32", max_length=0, device="cpu")
    step("loading the model")
    model = load_reference(original)
    encoder = model.encoder
    if not isinstance(encoder, SplitEncoder) or not isinstance(model.engine, TorchEngine):
        if spec.engine == "openvino":
            raise LoadFailed(f"model {spec.label} renders a chat template: torch has to run it")
        return load_torch(replace(spec, engine="torch"))
    try:
        return compete(spec, original, model.engine, encoder, step, again=again)
    except OSError as error:  # nothing of it is kept: the next start tries again
        reason = error.strerror or str(error)
        if spec.engine == "openvino" or spec.dtype == "int8":
            raise LoadFailed(f"model {spec.label} cannot be converted: {reason}") from error
        logger.warning("the model cannot be converted: %s", reason)
        return load_torch(replace(spec, engine="torch"))


def compete(
    spec: ModelSpec,
    original: ModelSpec,
    engine: TorchEngine,
    encoder: SplitEncoder,
    step: Step,
    *,
    again: bool,
) -> LoadedModel:
    kept = converted(spec)
    with home(kept) as folder:
        if kept is not None and not again:
            take_over(kept, folder)
        results = hold(original, engine, encoder, folder, step)
        card = read_card(folder)
        best = choose(spec, results)
        step(f"opening {best.engine} {best.dtype}")
        if card is None or best.engine == "torch":
            return load_torch(replace(spec, engine="torch", dtype=best.dtype))
        return open_converted(spec, folder, card, best)


@contextmanager
def home(folder: Path | None) -> Iterator[Path]:
    """A new folder: the converted model's own, or one for this time, if none can be kept."""
    if folder is not None and writable(folder.parent):
        with written_aside(folder) as aside:
            yield aside
        return
    if folder is not None:
        logger.warning("%s cannot be written: what is converted now is not kept", folder.parent)
    with tempfile.TemporaryDirectory(prefix="rerankd-") as made:
        yield Path(made)


def writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def hold(
    original: ModelSpec, engine: TorchEngine, encoder: SplitEncoder, folder: Path, step: Step
) -> list[Result]:
    """The contest; `folder` then has the converted model, its card and the results."""
    questions = lists(encoder)
    step("measuring torch float32")
    reference = logits(engine, questions)
    speed = pace(engine, questions)
    results = [Result("torch", "float32", 1, engine.slicing.tokens, speed, 1.0)]
    layout = engine.layout
    if read_card(folder) is None:
        architecture = type(engine.model[0].model).__name__
        convert_all(engine, questions[0][:EXAMPLES], folder, step)
        write_card(folder, architecture=architecture, encoder=encoder, layout=layout)
    del engine  # its weights may be eight-bit by now
    threads = original.threads or processors.available()
    halves = ("bfloat16",) if can_bfloat16() else ()
    for dtype in ("float32", *halves, "int8"):
        if (folder / f"{FILES[dtype]}.xml").exists():
            step(f"measuring openvino {dtype}")
            entrants = (
                OpenVinoEngine(
                    folder,
                    FILES[dtype],
                    dtype,
                    layout,
                    tokens=SIZES[-1],
                    streams=streams,
                    threads=threads,
                )
                for streams in ways(threads)
            )
            results.append(enter(entrants, questions, reference))
    for dtype in halves:
        step(f"measuring torch {dtype}")
        half = load_reference(replace(original, dtype=dtype)).engine
        results.append(enter([half], questions, reference))
    write_results(folder, processors.kind(), results)
    return results


def convert_all(engine: TorchEngine, examples: Sequence[Pair], folder: Path, step: Step) -> None:
    """Every file or none. The model's weights are eight-bit afterwards."""
    try:
        for stem, change in (("float", None), ("int8", to_eight_bits)):
            step(f"converting to {stem}")
            if change is not None:
                change(engine.model)
            convert(engine, examples, folder, stem)
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 (a model's own code, traced, may raise anything)
        logger.warning("the model cannot be converted: %s", " ".join(str(error).split())[:300])
        for file in folder.iterdir():
            file.unlink()
