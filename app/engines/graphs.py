"""A model as graphs, in files that more than one library reads, and the names of such files.

Publishers of models put them beside the weights: `onnx/model.onnx` in full precision, and others
in eight bits for kinds of processors, as sentence-transformers exports them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.generic]

REQUIRED_INPUTS = ("input_ids", "attention_mask")
OPTIONAL_INPUT = "token_type_ids"
# What a body reads where the model has a lower part.
LOWER = "lower"
# In full precision; the last ones are those of the bundled model, which read its weights.
WHOLE_ONNX = ("onnx/model.onnx", "float32.onnx")
OWN_TAIL = "tail.onnx"


class Graphs(NamedTuple):
    """The body is the whole model, if it has no other parts.

    The tail reads what the body hands on. The lower part reads a query or a document alone, and
    the body then reads what it makes of both.
    """

    body: Path
    tail: Path | None = None
    lower: Path | None = None


class UnsuitableGraph(RuntimeError):
    """The graph is not that of a reranker."""


def lower_stem(stem: str) -> str:
    """The name of the lower part that belongs to a body."""
    return f"{stem}-{LOWER}"


def existing(body: Path, tail: Path) -> Graphs:
    lower = body.with_stem(lower_stem(body.stem))
    return Graphs(body, tail if tail.exists() else None, lower if lower.exists() else None)


def onnx_graphs(folder: Path) -> Graphs | None:
    """The graphs in full precision that a model comes with."""
    return first_existing(folder, {"": WHOLE_ONNX}).get("")


def first_existing(folder: Path, names: Mapping[str, Sequence[str]]) -> dict[str, Graphs]:
    """By dtype, the first of the files that may be published for it."""
    by_dtype = {
        dtype: next((name for name in candidates if (folder / name).is_file()), None)
        for dtype, candidates in names.items()
    }
    return {
        dtype: existing(folder / name, (folder / name).with_name(OWN_TAIL))
        for dtype, name in by_dtype.items()
        if name is not None
    }


def inputs_by_name(names: Sequence[str], arrays: Mapping[str, Values]) -> dict[str, Values]:
    """A graph may read types where the tokenizer gives none: then all tokens have the first."""
    return {
        name: arrays[name] if name in arrays else np.zeros_like(arrays[REQUIRED_INPUTS[0]])
        for name in names
    }


def check(file: Path, inputs: Sequence[str], scores: Sequence[object]) -> None:
    """`scores` is the shape of what comes out first, with anything for an axis that may vary."""
    name = f"{file.parent.name}/{file.name}"
    others = sorted(set(inputs) - {*REQUIRED_INPUTS, OPTIONAL_INPUT})
    missing = [each for each in REQUIRED_INPUTS if each not in inputs]
    if others or missing:
        raise UnsuitableGraph(
            f"{name} reads {', '.join(inputs)}; the graph of a reranker reads "
            f"{' and '.join(REQUIRED_INPUTS)}, and at most {OPTIONAL_INPUT} beside them"
        )
    last = scores[-1] if scores else 1
    labels = last if isinstance(last, int) and len(scores) == 2 else 1
    if len(scores) > 2 or labels != 1:
        raise UnsuitableGraph(
            f"{name} gives numbers of the shape {list(scores)}; the graph of a reranker gives "
            "one score for each pair"
        )
