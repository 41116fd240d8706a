"""Pairs as the arrays that a model reads: ids, mask, and whose token each is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.engines import Pair

Arrays = dict[str, NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Layout:
    """`pad` is the id that fills up a row: on the `left`, as causal models need it, or the right.

    A model that is `typed` reads whose token each is.
    """

    pad: int
    pad_type: int
    left: bool
    typed: bool

    @property
    def names(self) -> list[str]:
        return ["input_ids", "attention_mask", *(["token_type_ids"] if self.typed else [])]

    def arrays(self, pairs: Sequence[Pair], width: int) -> Arrays:
        ids = np.full((len(pairs), width), self.pad, dtype=np.int64)
        mask = np.zeros((len(pairs), width), dtype=np.int64)
        types = np.full((len(pairs), width), self.pad_type, dtype=np.int64)
        for row, pair in enumerate(pairs):
            start = width - pair.tokens if self.left else 0
            end = start + pair.tokens
            ids[row, start:end] = pair.ids
            mask[row, start:end] = 1
            types[row, start : start + pair.split] = 0
            types[row, start + pair.split : end] = 1
        arrays = {"input_ids": ids, "attention_mask": mask}
        return {**arrays, "token_type_ids": types} if self.typed else arrays
