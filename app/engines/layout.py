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
        lengths = np.array([pair.tokens for pair in pairs])[:, None]
        starts = width - lengths if self.left else np.zeros_like(lengths)
        splits = starts + np.array([pair.split for pair in pairs])[:, None]
        columns = np.arange(width)
        used = (columns >= starts) & (columns < starts + lengths)
        ids = np.full(used.shape, self.pad, dtype=np.int64)
        ids[used] = np.concatenate([pair.ids for pair in pairs])
        mask = used.astype(np.int64)
        types = np.where(used, columns >= splits, self.pad_type).astype(np.int64)
        arrays = {"input_ids": ids, "attention_mask": mask}
        return {**arrays, "token_type_ids": types} if self.typed else arrays
