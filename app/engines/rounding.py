"""Weights as whole numbers of eight bits: what all backends agree on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

ROUNDED = "int8"

# A thinner linear layer costs nothing, and may be the ranking head.
MIN_EIGHT_BIT_WIDTH = 64
MAX_EIGHT_BIT = 127
MIN_SCALE = 1e-8


def round_rows(weights: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Weights [out, in] as whole numbers, and a scale for each row."""
    largest = np.abs(weights).max(1, keepdims=True)
    scale = (largest.clip(min=MIN_SCALE * MAX_EIGHT_BIT) / MAX_EIGHT_BIT).astype(np.float32)
    return np.rint(weights / scale).astype(np.int8), scale
