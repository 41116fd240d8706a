"""Do probabilities mean what they say?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.evaluation.measures.measures import Values

BINS = 10

Labels = NDArray[np.bool_]


class Bin(NamedTuple):
    said: float  # the mean probability
    so: float  # the share that is relevant
    pairs: int


def bins_of(probabilities: Values, labels: Labels, bins: int = BINS) -> list[Bin]:
    """Bins of equal width, the empty ones too."""
    places = np.minimum((probabilities * bins).astype(int), bins - 1)
    found = []
    for place in range(bins):
        inside = places == place
        pairs = int(inside.sum())
        said = float(probabilities[inside].mean()) if pairs else 0.0
        so = float(labels[inside].mean()) if pairs else 0.0
        found.append(Bin(said, so, pairs))
    return found


def calibration_error(probabilities: Values, labels: Labels, bins: int = BINS) -> float:
    """The expected calibration error: how far off a probability is, averaged over pairs."""
    found = bins_of(probabilities, labels, bins)
    return sum(abs(one.said - one.so) * one.pairs for one in found) / len(labels)


def brier(probabilities: Values, labels: Labels) -> float:
    return float(np.mean((probabilities - labels) ** 2))
