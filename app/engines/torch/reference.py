"""From a model's name to the model itself, run by torch; or one clear sentence why it cannot be."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from sentence_transformers import CrossEncoder
from transformers.utils.logging import disable_progress_bar

import app.engines.torch.duet  # noqa: F401 (teaches transformers the bundled architecture)
from app.engines import processors
from app.engines.backend import reason_of
from app.engines.chat import ChatEncoder
from app.engines.kinds import refuse_other_kinds
from app.engines.probe import QUESTIONS, SENTENCES
from app.engines.spec import ModelSpec
from app.engines.torch.encoder import encoder_of
from app.engines.torch.engine import TorchEngine, Unshared, is_out_of_memory
from app.engines.torch.model import TorchModel
from app.engines.torch.prefixes import MAX_PREFIXES_KEPT
from app.errors import InvalidSetting, LoadFailed

logger = logging.getLogger(__name__)

HALF_PRECISION = {"cuda": "bfloat16", "mps": "float16"}


def load_reference(spec: ModelSpec) -> TorchModel:
    started = time.perf_counter()
    torch.set_num_threads(spec.threads or processors.available())
    device = pick_device(spec.device)
    with explained(spec):
        model = _cross_encoder(spec, device)
        encoder = encoder_of(model, spec)
        engine = TorchEngine(model)
        if isinstance(encoder, ChatEncoder):
            share_prefixes(engine, encoder, 0 if spec.callers_apart else MAX_PREFIXES_KEPT)
    return TorchModel(
        name=spec.label,
        revision=spec.revision,
        architecture=type(model[0].model).__name__,
        engine=engine,
        encoder=encoder,
        seconds=time.perf_counter() - started,
    )


def share_prefixes(engine: TorchEngine, encoder: ChatEncoder, kept: int) -> None:
    encoded = encoder.encode(" ".join(QUESTIONS), SENTENCES[:3], instruction=None, cut="right")
    try:
        engine.share_prefixes([each.pair for each in encoded], kept)
    except Unshared as error:
        logger.warning("prefixes_not_shared", extra={"fields": {"reason": str(error)}})


def open_original(spec: ModelSpec, device: str) -> CrossEncoder:
    """The model as sentence-transformers has it, checked to be a reranker."""
    with explained(spec):
        return _cross_encoder(spec, device)


@contextmanager
def explained(spec: ModelSpec) -> Iterator[None]:
    """Anything that goes wrong becomes one sentence."""
    try:
        yield
    except LoadFailed:
        raise
    except Exception as error:
        raise LoadFailed(_explain(error, spec)) from error


def pick_device(name: str) -> str:
    """A setting's device, or the fastest for `auto`."""
    here = {"cuda": torch.cuda.is_available(), "mps": torch.mps.is_available(), "cpu": True}
    available = [device for device, is_here in here.items() if is_here]
    if name == "auto":
        return available[0]
    if name not in available:
        raise InvalidSetting(
            f"device {name} is not available on this machine; available: {', '.join(available)}"
        )
    return name


def _cross_encoder(spec: ModelSpec, device: str) -> CrossEncoder:
    spec.refuse_missing_folder()
    refuse_other_kinds(spec)
    dtype = HALF_PRECISION.get(device, "float32") if spec.dtype == "auto" else spec.dtype
    disable_progress_bar()  # type: ignore[no-untyped-call]
    model: CrossEncoder = CrossEncoder(
        spec.source,
        device=device,
        revision=spec.revision or None,
        local_files_only=spec.offline or spec.is_folder,
        trust_remote_code=spec.trust_remote_code,
        model_kwargs={"dtype": getattr(torch, dtype)},
    )
    architecture = (getattr(model.config, "architectures", None) or [""])[0]
    # A backbone may have its head in the modules that follow it.
    if architecture.endswith("Model") and len(model) == 1:
        raise LoadFailed(
            f"model {spec.label} is an encoder without a ranking head ({architecture}), "
            "not a reranker"
        )
    if model.num_labels != 1:
        raise LoadFailed(
            f"model {spec.label} gives {model.num_labels} labels a pair; a reranker gives one score"
        )
    return model


def _explain(error: Exception, spec: ModelSpec) -> str:
    if is_out_of_memory(error):
        return f"too little memory to load model {spec.label}"
    if isinstance(error, OSError) and not spec.is_folder:
        where = (
            "in the local cache (offline)" if spec.offline else "as a folder or on the model hub"
        )
        return f"model {spec.name} was not found {where}"
    return f"model {spec.label} cannot be loaded: {reason_of(error)}"
