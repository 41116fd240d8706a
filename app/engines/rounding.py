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
# What comes in is unsigned: its zero is in the middle.
ZERO = 128
# Of two neighbouring weights, and one more for rounding: times 255, the greatest number that comes
# in, their sum fits into a word of 16 bits.
MAX_NEIGHBOURS = 127


def round_rows(weights: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Weights [out, in] as whole numbers, and a scale for each row."""
    largest = np.abs(weights).max(1, keepdims=True)
    scale = (largest.clip(min=MIN_SCALE * MAX_EIGHT_BIT) / MAX_EIGHT_BIT).astype(np.float32)
    return np.rint(weights / scale).astype(np.int8), scale


def round_columns(weights: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Weights [in, out] as whole numbers, and a scale for each column."""
    rows, scale = round_rows(np.ascontiguousarray(weights.T))
    return rows.T, scale[:, 0]


def round_neighbours(weights: Floats) -> tuple[NDArray[np.int8], Floats]:
    """As `round_columns`, for processors that add neighbouring products of a column in 16 bits."""
    largest = np.abs(weights).max(0) / MAX_EIGHT_BIT
    for part in (weights.clip(min=0), -weights.clip(max=0)):
        even, odd = part[0::2], part[1::2]
        neighbours = even[: len(odd)] + odd
        largest = np.maximum(largest, neighbours.max(0) / MAX_NEIGHBOURS)
    scale = largest.clip(min=1e-12).astype(np.float32)
    return np.rint(weights / scale).astype(np.int8), scale
