"""A model as graphs, in files that more than one library reads, and the names of such files.

Publishers of models put them beside the weights: `onnx/model.onnx` in full precision, and others
in eight bits for kinds of processors, as sentence-transformers exports them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

REQUIRED_INPUTS = ("input_ids", "attention_mask")
OPTIONAL_INPUT = "token_type_ids"
PUBLISHED_ONNX = "onnx/model.onnx"
# Those of the bundled model, which read its weights.
OWN_BODY, OWN_TAIL = "float32.onnx", "tail.onnx"


class Graphs(NamedTuple):
    """The whole model; or its body, and then its tail, which reads what the body hands on."""

    body: Path
    tail: Path | None = None


class UnsuitableGraph(RuntimeError):
    """The graph is not that of a reranker."""


def existing(body: Path, tail: Path) -> Graphs:
    return Graphs(body, tail if tail.exists() else None)


def onnx_graphs(folder: Path) -> Graphs | None:
    """The graphs in full precision that a model comes with."""
    for graphs in (
        Graphs(folder / PUBLISHED_ONNX),
        existing(folder / OWN_BODY, folder / OWN_TAIL),
    ):
        if graphs.body.is_file():
            return graphs
    return None


def fitting(
    folder: Path, names: Mapping[str, Sequence[str]], abilities: frozenset[str]
) -> Path | None:
    """The first file that is there and needs nothing that the processor does not have."""
    for name, needs in names.items():
        if (not needs or abilities.intersection(needs)) and (folder / name).is_file():
            return folder / name
    return None


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
