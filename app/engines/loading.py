"""From a model's name to an encoder and the engine that runs it fastest here.

Torch is imported only where it is needed: a model that was converted before starts without it.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from app.engines import LoadedModel, processors
from app.engines.contest import Result, winner
from app.engines.folder import (
    TOKENIZER,
    Card,
    Damaged,
    encoder_of,
    fingerprint,
    read_card,
    read_results,
    verify,
)
from app.engines.spec import ModelSpec
from app.errors import LoadFailed

logger = logging.getLogger(__name__)

ACCELERATORS = tuple(map(Path, ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")))
FILES = {"int8": "int8", "bfloat16": "float", "float32": "float"}  # by precision
Step = Callable[[str], None]


def load(spec: ModelSpec, step: Step = logger.info, *, again: bool = False) -> LoadedModel:
    """`step` is told what is being done where that takes a while: converting, and the contest.

    What was converted before is used, unless it is to be made `again`.
    """
    started = time.perf_counter()
    refuse_contradictions(spec)
    if not may_be_converted(spec):
        return load_torch(spec)
    folder = None if again else converted(spec)
    if folder is not None and (model := reopen(spec, folder)) is not None:
        return replace(model, seconds=time.perf_counter() - started)
    from app.engines.making import make  # noqa: PLC0415 (torch takes seconds)

    model = make(spec, step, again=again)
    return replace(model, seconds=time.perf_counter() - started)


def may_be_converted(spec: ModelSpec) -> bool:
    """Code that ships with a model is run as it is, unless openvino is asked for by name."""
    foreign = spec.trust_remote_code and spec.engine == "auto"
    return on_cpu(spec) and not foreign and spec.engine != "torch" and spec.dtype != "float16"


def refuse_contradictions(spec: ModelSpec) -> None:
    if spec.engine == "torch" and spec.dtype == "int8":
        raise LoadFailed("dtype int8 is openvino's: set engine to openvino or auto")
    if on_cpu(spec):
        return
    for name, value, foreign in (
        ("engine", spec.engine, "openvino"),
        ("dtype", spec.dtype, "int8"),
    ):
        if value == foreign:
            raise LoadFailed(f"{name} {value} is for a CPU: set device to cpu as well")


def contest(spec: ModelSpec) -> list[Result]:
    """What was found when the model was converted; nothing where that was not kept."""
    folder = converted(spec)
    return (read_results(folder, processors.kind()) if folder else None) or []


def load_torch(spec: ModelSpec) -> LoadedModel:
    from app.engines.torch.reference import load_reference  # noqa: PLC0415 (torch takes seconds)

    return load_reference(spec)


def on_cpu(spec: ModelSpec) -> bool:
    """Without torch, which would know for certain: a GPU has a device file."""
    if spec.device == "auto":
        return sys.platform != "darwin" and not any(file.exists() for file in ACCELERATORS)
    return spec.device == "cpu"


def converted(spec: ModelSpec) -> Path | None:
    """Where the converted model is, or would be; None as long as the model itself is not here."""
    source = Path(spec.source) if spec.is_folder else snapshot(spec)
    if source is None or spec.engines is None or spec.trust_remote_code:
        return None
    name = spec.name.replace("/", "--") if not spec.is_folder else Path(spec.source).resolve().name
    return spec.engines / f"{name}-{fingerprint(source)}"


def snapshot(spec: ModelSpec) -> Path | None:
    """A hub model as it was fetched before."""
    if spec.source.startswith(("/", ".")):
        return None
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415 (takes a while)

    found = try_to_load_from_cache(spec.source, "config.json", revision=spec.revision or None)
    return Path(found).parent if isinstance(found, str) else None


def reopen(spec: ModelSpec, folder: Path) -> LoadedModel | None:
    """What was made before, if it is there, whole, and was tried on such a processor."""
    try:
        card = read_card(folder)
        results = read_results(folder, processors.kind())
        if card is None or results is None:
            return None
        best = choose(spec, results)
        if best.engine == "torch":
            return load_torch(replace(spec, engine="torch", dtype=best.dtype))
        return open_converted(spec, folder, card, best)
    except Damaged as error:
        logger.warning("the converted model in %s is damaged (%s): making it anew", folder, error)
        return None


def choose(spec: ModelSpec, results: list[Result]) -> Result:
    """The fastest of those that were asked for and rank as the reference does.

    What is asked for by name is taken as it is.
    """
    wanted = [
        one
        for one in results
        if spec.engine in ("auto", one.engine) and spec.dtype in ("auto", one.dtype)
    ]
    if not wanted:
        have = ", ".join(f"{one.engine} {one.dtype}" for one in results)
        raise LoadFailed(
            f"engine {spec.engine} with dtype {spec.dtype} is not to be had for "
            f"{spec.label} on this machine, which has: {have}"
        )
    named = "auto" not in (spec.engine, spec.dtype)
    return wanted[0] if named or len(wanted) == 1 else winner(wanted)


def open_converted(spec: ModelSpec, folder: Path, card: Card, best: Result) -> LoadedModel:
    from app.engines.openvino.engine import OpenVinoEngine  # noqa: PLC0415 (may be missing)

    stem = FILES[best.dtype]
    verify(folder, card, [TOKENIZER, *(n for n in card.digests if n.startswith((stem, "tail")))])
    if spec.max_length > card.max_tokens:
        raise LoadFailed(
            f"max_length {spec.max_length} exceeds the {card.max_tokens} tokens "
            f"that {spec.label} can take"
        )
    threads = spec.threads or processors.available()
    try:
        engine = OpenVinoEngine(
            folder,
            stem,
            best.dtype,
            card.layout,
            tokens=best.tokens,
            streams=min(best.streams, threads),
            threads=threads,
        )
    except (RuntimeError, MemoryError) as error:
        reason = " ".join(str(error).split())[:300]
        raise LoadFailed(f"model {spec.label} cannot be opened by openvino: {reason}") from error
    return LoadedModel(
        name=spec.label,
        revision=spec.revision,
        architecture=card.architecture,
        engine=engine,
        encoder=encoder_of(folder, card, spec.max_length),
        seconds=0.0,
    )
