"""A model is opened by the backend that was chosen for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from app.engines import LoadedModel, processors
from app.engines.backend import Converter
from app.engines.backends import AUTO, BACKENDS, REFERENCE
from app.engines.benchmark import Result
from app.engines.converted_model import TOKENIZER, Card, encoder_of, names_of, verify
from app.engines.spec import ModelSpec
from app.errors import InvalidSetting, LoadFailed

MAX_REASON_CHARS = 300


def open_reference(spec: ModelSpec) -> LoadedModel:
    """A model that nothing but the reference can run."""
    if spec.dtype not in (AUTO, *REFERENCE.all_dtypes):
        raise InvalidSetting(
            f"dtype {spec.dtype} is not available for {spec.label}: "
            f"only engine {REFERENCE.name} can run it, with {', '.join(REFERENCE.all_dtypes)}"
        )
    return REFERENCE.load(replace(spec, engine=REFERENCE.name))


def open_result(spec: ModelSpec, folder: Path, card: Card, best: Result) -> LoadedModel:
    backend = BACKENDS[best.engine]
    if not isinstance(backend, Converter):
        return REFERENCE.load(replace(spec, engine=REFERENCE.name, dtype=best.dtype))
    verify(folder, card, [TOKENIZER, *names_of(card, backend, best.dtype)])
    if spec.max_length > card.max_tokens:
        raise InvalidSetting(
            f"max_length {spec.max_length} exceeds the {card.max_tokens} tokens "
            f"that {spec.label} can take"
        )
    choice = best.choice(spec.threads or processors.available())
    try:
        engine = backend.open(folder / backend.name, card.layout, choice)
    except (RuntimeError, MemoryError) as error:
        reason = " ".join(str(error).split())[:MAX_REASON_CHARS]
        raise LoadFailed(
            f"model {spec.label} cannot be opened by {backend.name}: {reason}"
        ) from error
    return LoadedModel(
        name=spec.label,
        revision=spec.revision,
        architecture=card.architecture,
        engine=engine,
        encoder=encoder_of(folder, card, spec.max_length),
        seconds=0.0,
    )
