"""The reference engine: the sentence-transformers model itself, run by torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sentence_transformers import CrossEncoder

from app.rerank.engine import OutOfMemory, Pair

OUT_OF_MEMORY = (
    "not enough memory",
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
)


def is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(
        phrase in str(error).lower() for phrase in OUT_OF_MEMORY
    )


class TorchEngine:
    name = "torch"

    def __init__(self, model: CrossEncoder) -> None:
        tokenizer = model.tokenizer
        self._model = model.eval()
        self._pad = tokenizer.pad_token_id or 0
        self._pad_type = getattr(tokenizer, "pad_token_type_id", 0)
        self._left = tokenizer.padding_side == "left"
        self._typed = "token_type_ids" in tokenizer.model_input_names
        self._extra = self._constant_features()
        self.device = str(model.device)
        self.dtype = str(next(model.parameters()).dtype).removeprefix("torch.")

    def score(self, batch: Sequence[Pair]) -> list[float]:
        try:
            with torch.inference_mode():
                features = {**self._features(batch), **self._extra}
                scores = self._model(features)["scores"]
                return scores.float().reshape(len(batch)).tolist()  # type: ignore[no-any-return]
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if self.device.startswith("cuda"):
                torch.cuda.empty_cache()
            raise OutOfMemory(f"{len(batch)} pairs did not fit") from error

    def memory(self) -> int:
        if not self.device.startswith("cuda"):
            return 0
        return int(torch.cuda.memory_reserved(self._model.device))

    def _constant_features(self) -> dict[str, Any]:
        """What `preprocess` says beside tensors: the modality, and which logits to keep."""
        features = self._model.preprocess([("a", "b")])
        return {name: value for name, value in features.items() if not torch.is_tensor(value)}

    def _features(self, batch: Sequence[Pair]) -> dict[str, torch.Tensor]:
        width = max(pair.tokens for pair in batch)
        ids = np.full((len(batch), width), self._pad, dtype=np.int64)
        mask = np.zeros((len(batch), width), dtype=np.int64)
        types = np.full((len(batch), width), self._pad_type, dtype=np.int64)
        for row, pair in enumerate(batch):
            start = width - pair.tokens if self._left else 0
            end = start + pair.tokens
            ids[row, start:end] = pair.ids
            mask[row, start:end] = 1
            types[row, start : start + pair.split] = 0
            types[row, start + pair.split : end] = 1
        arrays = {"input_ids": ids, "attention_mask": mask}
        if self._typed:
            arrays["token_type_ids"] = types
        device = self._model.device
        return {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
