"""The reference engine: the sentence-transformers model itself, run by torch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from sentence_transformers import CrossEncoder
from torch import Tensor

from app.engines import OutOfMemory, Pair
from app.engines.backend import reason_of
from app.engines.layout import Layout
from app.engines.slices import Slicing
from app.engines.torch.prefixes import (
    MAX_PREFIXES_KEPT,
    NO_PREFIX,
    Group,
    Prefixes,
    grouped,
)

OUT_OF_MEMORY_TEXTS = (
    "not enough memory",
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
)
# A call costs a GPU as much time as tens of thousands of tokens: it waits for its kernels to be
# launched. So there are few slices, and padding is cheap.
SLICING_BY_DEVICE = {
    "cpu": Slicing(tokens=2_048, waste=64),
    "mps": Slicing(tokens=8_192, waste=1_024),
    "cuda": Slicing(tokens=131_072, waste=32_768),
}
# Relative and absolute: a sequence that is continued has its sums in another order.
TOLERANCES = {"float32": (1e-4, 1e-4), "bfloat16": (0.1, 0.25), "float16": (0.02, 0.05)}


class Unshared(Exception):
    """Pairs have to be computed whole."""


def can_bfloat16() -> bool:
    """Whether this CPU computes in it, and not only converts it."""
    has_onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return has_onednn and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(
        phrase in str(error).lower() for phrase in OUT_OF_MEMORY_TEXTS
    )


class TorchEngine:
    name = "torch"
    state_cache = None

    def __init__(self, model: CrossEncoder, slicing: Slicing | None = None) -> None:
        self.model = model.eval()
        self.layout = layout_of(model)
        self.constants = self._constant_features()
        self.device = str(model.device)
        self.dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
        self.slicing = slicing or SLICING_BY_DEVICE[model.device.type]
        self._prefixes: Prefixes | None = None

    def score(self, batch: Sequence[Pair]) -> list[float]:
        try:
            return self._logits(self._runs(batch, self.slicing.waste), len(batch))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if self.device.startswith("cuda"):
                torch.cuda.empty_cache()
            raise OutOfMemory(f"{len(batch)} pairs did not fit") from error

    def share_prefixes(self, probe: Sequence[Pair], kept: int = MAX_PREFIXES_KEPT) -> None:
        """Compute what stands before documents once, and keep the last ones.

        Raises Unshared where the scores of `probe` show that the model does not continue a
        sequence as it computes it whole.
        """
        whole = self._logits(self._runs(probe, 0), len(probe))
        self._prefixes = Prefixes(self.model, self.constants, kept)
        try:
            shared = self._logits(self._runs(probe, 0), len(probe))
        except Exception as error:  # a model may keep its state in any way
            self._prefixes = None
            raise Unshared(reason_of(error)) from error
        if not np.allclose(whole, shared, *TOLERANCES[self.dtype]):
            self._prefixes = None
            raise Unshared(f"scores {shared} where {whole} are right")

    def _runs(self, batch: Sequence[Pair], waste: int) -> list[Group]:
        """What one call of the model computes, each."""
        if self._prefixes:
            groups = grouped(batch, waste)
        else:
            groups = [Group(NO_PREFIX, range(len(batch)), batch)]
        return [
            Group(prefix, [indexes[i] for i in cut], [pairs[i] for i in cut])
            for prefix, indexes, pairs in groups
            for cut in self.slicing.cut(pairs)
        ]

    def _logits(self, runs: Sequence[Group], pairs: int) -> list[float]:
        """No run waits for the scores of another: a GPU computes while the next is prepared."""
        with torch.inference_mode():
            in_order: list[float] = torch.cat([self._score(run) for run in runs]).tolist()
        logits = [0.0] * pairs
        indexes = chain.from_iterable(run.indexes for run in runs)
        for index, score in zip(indexes, in_order, strict=True):
            logits[index] = score
        return logits

    def _score(self, run: Group) -> Tensor:
        arrays = self.layout.arrays(run.pairs, self.slicing.width(run.pairs[0].tokens))
        device = self.model.device
        features = {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
        if self._prefixes and len(run.prefix):
            scores = self._prefixes.score(run.prefix, features)
        else:
            scores = self.model({**features, **self.constants})["scores"]
        return scores.float().reshape(len(run.pairs))

    def memory(self) -> int:
        if not self.device.startswith("cuda"):
            return 0
        return int(torch.cuda.memory_reserved(self.model.device))

    def _constant_features(self) -> dict[str, Any]:
        """What `preprocess` returns beside tensors: the modality, and which logits to keep."""
        features = self.model.preprocess([("a", "b")])
        return {name: value for name, value in features.items() if not torch.is_tensor(value)}


def layout_of(model: CrossEncoder) -> Layout:
    tokenizer = model.tokenizer
    return Layout(
        pad=tokenizer.pad_token_id or 0,
        pad_type=getattr(tokenizer, "pad_token_type_id", 0),
        left=tokenizer.padding_side == "left",
        typed="token_type_ids" in tokenizer.model_input_names,
    )
