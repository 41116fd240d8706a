"""The reference engine: the sentence-transformers model itself, run by torch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch
from sentence_transformers import CrossEncoder
from torch import Tensor

from app.engines import OutOfMemory, Pair
from app.engines.layout import Layout
from app.engines.slices import Slicing

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

    def __init__(self, model: CrossEncoder, slicing: Slicing | None = None) -> None:
        self.model = model.eval()
        self.layout = layout_of(model)
        self.constants = self._constant_features()
        self.device = str(model.device)
        self.dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
        self.slicing = slicing or SLICING_BY_DEVICE[model.device.type]

    def score(self, batch: Sequence[Pair]) -> list[float]:
        """No slice waits for the scores of another: a GPU computes while the next is prepared."""
        slices = self.slicing.cut(batch)
        try:
            with torch.inference_mode():
                scores = [self._score([batch[index] for index in indexes]) for indexes in slices]
                in_order: list[float] = torch.cat(scores).tolist()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if self.device.startswith("cuda"):
                torch.cuda.empty_cache()
            raise OutOfMemory(f"{len(batch)} pairs did not fit") from error
        logits = [0.0] * len(batch)
        for index, score in zip(chain.from_iterable(slices), in_order, strict=True):
            logits[index] = score
        return logits

    def _score(self, pairs: Sequence[Pair]) -> Tensor:
        arrays = self.layout.arrays(pairs, self.slicing.width(pairs[0].tokens))
        device = self.model.device
        features = {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
        scores: Tensor = self.model({**features, **self.constants})["scores"]
        return scores.float().reshape(len(pairs))

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
