"""Channels that are much larger than the others take the precision of a whole row.

What a normalization puts out has such channels, the same ones in each row. To divide them by a
constant and to multiply their weights by it changes no product, and less is lost by rounding.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from app.engines.rounding import Floats

Divisors = dict[str, Floats]

# Of the median: a channel that the examples hardly use may be larger in other texts.
SMALLEST_CHANNEL = 0.1
MIN_CHANNEL = 1e-6
SMALLEST_WEIGHT = 1e-4


def largest_by_channel(file: Path, inputs: Mapping[str, NDArray[np.generic]]) -> dict[str, Floats]:
    """Of all that the graph normalizes when it reads these inputs, and of what it reads so."""
    read = {name: extremes(values) for name, values in inputs.items() if values.ndim == 3}
    model = onnx.load(file, load_external_data=False)
    names = [node.output[0] for node in model.graph.node if node.op_type == "LayerNormalization"]
    if not names:  # an older format, which has no such operator
        return read
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    probe = file.with_name("normalized.onnx")  # its weights are those beside it
    onnx.save_model(model, probe)
    try:
        session = ort.InferenceSession(probe, providers=["CPUExecutionProvider"])
        outputs = session.run(names, inputs)
    finally:
        probe.unlink()
    return read | {name: extremes(output) for name, output in zip(names, outputs, strict=True)}


def extremes(states: NDArray[np.generic]) -> Floats:
    largest: Floats = np.abs(states).reshape(-1, states.shape[-1]).max(0)
    return largest


def divisors(weights: Iterable[tuple[str, Floats]], largest: Mapping[str, Floats]) -> Divisors:
    """By the name of the rows that come in: half-way between their channels and the weights'.

    `weights` [in, out] have the name of the rows that they are multiplied with.
    """
    by_rows: dict[str, list[Floats]] = defaultdict(list)
    for rows, each in weights:
        by_rows[rows].append(np.abs(each).max(1))
    return {
        rows: divisor(largest[rows], np.max(each, 0))
        for rows, each in by_rows.items()
        if rows in largest
    }


def divisor(channels: Floats, weights: Floats) -> Floats:
    channels = channels.clip(min=max(SMALLEST_CHANNEL * float(np.median(channels)), MIN_CHANNEL))
    ratio = np.sqrt(channels / weights.clip(min=SMALLEST_WEIGHT))
    centered: Floats = ratio / ratio.mean()
    return centered
