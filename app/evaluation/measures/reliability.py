"""Measures if probabilities are calibrated."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.evaluation.measures.measures import Values

BINS = 10

Labels = NDArray[np.bool_]


class Bin(NamedTuple):
    """The mean probability, the share of relevant pairs, and the number of pairs."""

    predicted: float
    observed: float
    pairs: int


def bins_of(probabilities: Values, labels: Labels, bins: int = BINS) -> list[Bin]:
    """Bins of equal width, empty bins included."""
    indexes = np.minimum((probabilities * bins).astype(int), bins - 1)
    counted = []
    for index in range(bins):
        inside = indexes == index
        pairs = int(inside.sum())
        predicted = float(probabilities[inside].mean()) if pairs else 0.0
        observed = float(labels[inside].mean()) if pairs else 0.0
        counted.append(Bin(predicted, observed, pairs))
    return counted


def calibration_error(probabilities: Values, labels: Labels, bins: int = BINS) -> float:
    """The expected calibration error: the mean error of a probability over all pairs."""
    counted = bins_of(probabilities, labels, bins)
    return sum(abs(bin_.predicted - bin_.observed) * bin_.pairs for bin_ in counted) / len(labels)


def brier(probabilities: Values, labels: Labels) -> float:
    return float(np.mean((probabilities - labels) ** 2))
