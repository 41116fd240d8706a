"""From a model's name to the model itself, run by torch, or to one clear sentence about why not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from sentence_transformers import CrossEncoder
from transformers.utils.logging import disable_progress_bar

import app.engines.torch.duet  # noqa: F401 (teaches transformers the bundled architecture)
from app.engines import Encoder, LoadedModel, processors
from app.engines.chat import chat_encoder
from app.engines.encoders import (
    MIN_ROOM,
    SplitEncoder,
    Template,
    bare_tokenizer,
    default_prompt,
)
from app.engines.spec import BUNDLED, ModelSpec
from app.engines.torch.engine import TorchEngine, is_out_of_memory
from app.errors import LoadFailed

HALF = {"cuda": "bfloat16", "mps": "float16"}
UNLIMITED = 1_000_000  # tokenizers without a limit claim an astronomical one


def load_reference(spec: ModelSpec) -> LoadedModel:
    started = time.perf_counter()
    torch.set_num_threads(spec.threads or processors.available())
    device = pick_device(spec.device)
    with explained(spec):
        model = _cross_encoder(spec, device)
        encoder = _encoder(model, spec)
        engine = TorchEngine(model)
    return LoadedModel(
        name=spec.label,
        revision=spec.revision,
        architecture=type(model[0].model).__name__,
        engine=engine,
        encoder=encoder,
        seconds=time.perf_counter() - started,
    )


def open_original(spec: ModelSpec, device: str) -> CrossEncoder:
    """The model as sentence-transformers has it, checked to be a reranker."""
    with explained(spec):
        return _cross_encoder(spec, device)


@contextmanager
def explained(spec: ModelSpec) -> Iterator[None]:
    """Whatever goes wrong, in one sentence."""
    try:
        yield
    except LoadFailed:
        raise
    except Exception as error:
        raise LoadFailed(_explain(error, spec)) from error


def pick_device(wanted: str) -> str:
    found = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.mps.is_available(),
    }
    if wanted == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if found[name])
    if not found[wanted]:
        have = ", ".join(name for name, there in found.items() if there)
        raise LoadFailed(f"device {wanted} is not available on this machine, which has: {have}")
    return wanted


def _cross_encoder(spec: ModelSpec, device: str) -> CrossEncoder:
    if not spec.is_folder and (spec.name == BUNDLED or spec.source.startswith(("/", "./", "../"))):
        raise LoadFailed(f"model folder {spec.source} does not exist")
    dtype = HALF.get(device, "float32") if spec.dtype == "auto" else spec.dtype
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
    if architecture.endswith("Model"):
        raise LoadFailed(
            f"model {spec.label} is an encoder without a ranking head ({architecture}), "
            "not a reranker"
        )
    if model.num_labels != 1:
        raise LoadFailed(
            f"model {spec.label} gives {model.num_labels} labels a pair; a reranker gives one score"
        )
    return model


def _encoder(model: CrossEncoder, spec: ModelSpec) -> Encoder:
    limit = _token_limit(model, spec)
    model.max_seq_length = limit
    if "message" in getattr(model[0], "modality_config", {}):
        return chat_encoder(model, limit)
    backend = bare_tokenizer(model)
    template = Template.of(backend)
    if template is None:
        raise LoadFailed(f"model {spec.label} joins query and document in a way not known here")
    if limit < template.specials + MIN_ROOM:
        raise LoadFailed(f"max_length {limit} leaves no room beside {template.specials} markers")
    encoder = SplitEncoder(backend, template, limit, default_prompt(model))
    _verify(encoder, model)
    return encoder


def _token_limit(model: CrossEncoder, spec: ModelSpec) -> int:
    own = min(model.max_seq_length or UNLIMITED, _positions(model))
    if not spec.max_length:
        return own
    if spec.max_length > own:
        raise LoadFailed(
            f"max_length {spec.max_length} exceeds the {own} tokens that {spec.label} can take"
        )
    return spec.max_length


def _positions(model: CrossEncoder) -> int:
    """How long a sequence the weights allow; the RoBERTa family counts from behind its padding."""
    positions = int(getattr(model.config, "max_position_embeddings", UNLIMITED))
    for module in model.modules():
        table, padding = getattr(module, "position_embeddings", None), None
        if isinstance(table, torch.nn.Embedding):
            padding = getattr(module, "padding_idx", None)
        if isinstance(padding, int):
            return positions - padding - 1
    return positions


def _verify(encoder: SplitEncoder, model: CrossEncoder) -> None:
    """Joined ids must be the very ids that sentence-transformers would make."""
    pairs = [
        ("A question?", "Its answer, in 12 words."),
        ("naïve 東京", "  x\n" + "long text " * 999),
    ]
    for query, document in pairs:
        ours = encoder.encode(query, [document], instruction=None, cut="right")[0].pair.ids
        theirs = model.preprocess([(query, document)])["input_ids"][0].numpy()
        if not np.array_equal(ours, theirs):
            raise LoadFailed("the tokenizer splits a pair otherwise than its two parts")


def _explain(error: Exception, spec: ModelSpec) -> str:
    if is_out_of_memory(error):
        return f"too little memory to load model {spec.label}"
    if isinstance(error, OSError) and not spec.is_folder:
        where = (
            "in the local cache (offline)" if spec.offline else "as a folder or on the model hub"
        )
        return f"model {spec.name} was not found {where}"
    reason = " ".join(str(error).split())[:300]
    return f"model {spec.label} cannot be loaded: {reason}"
