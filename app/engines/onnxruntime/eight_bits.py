"""Wide matrix products of a graph, computed from whole numbers of eight bits.

Each row of what comes in has a scale of its own, found when it comes, so that a score does not
depend on its batch and no text is outside of a calibrated range. Each column of the weights has
one as well.

Processors with AVX2 and no VNNI add two neighbouring products in a word of 16 bits, which
saturates. The usual remedy, weights of seven bits, costs rank. Here the scale of a column is such
that no two neighbours in it can reach the limit, which costs less than half a bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from app.engines.onnxruntime.smoothing import Divisors, divisors
from app.engines.rounding import MAX_EIGHT_BIT, MIN_EIGHT_BIT_WIDTH, ZERO, Floats, round_neighbours

MIN_ROW = 1e-9


def to_eight_bits(graph: onnx.GraphProto, largest: Mapping[str, Floats]) -> None:
    """Replaces each product with wide weights, in place. `largest` are channels to be smoothed."""
    weights = {
        each.name: numpy_helper.to_array(each) for each in graph.initializer if is_wide(each)
    }
    products = [
        (node.input[0], weights[node.input[1]]) for node in graph.node if reads(node, weights)
    ]
    rewriting = Rewriting(divisors(products, largest))
    nodes: list[NodeProto] = []
    for node in graph.node:
        if reads(node, weights):
            nodes += rewriting.product(node, weights[node.input[1]])
        else:
            nodes.append(node)
    read = {name for node in nodes for name in node.input}
    kept = [each for each in graph.initializer if each.name in read]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend([*kept, *rewriting.constants])


def reads(node: NodeProto, weights: Mapping[str, Floats]) -> bool:
    return node.op_type == "MatMul" and node.input[1] in weights


def is_wide(tensor: TensorProto) -> bool:
    return len(tensor.dims) == 2 and min(tensor.dims) >= MIN_EIGHT_BIT_WIDTH


class Rewriting:
    """Products that read the same rows share them in eight bits."""

    def __init__(self, divisors: Divisors) -> None:
        self._divisors = divisors
        self.constants: list[TensorProto] = []
        self._numbers = count()
        self._rows: dict[str, tuple[str, str]] = {}
        self._last_axis = self._constant("last_axis", np.array([-1]))
        self._smallest = self._constant("smallest", np.float32(MIN_ROW))
        self._limit = self._constant("limit", np.float32(MAX_EIGHT_BIT))
        # A cast cuts off what is behind the point.
        self._middle = self._constant("middle", np.float32(ZERO + 0.5))
        self._zero = self._constant("zero", np.uint8(ZERO))

    def product(self, node: NodeProto, weights: Floats) -> Iterator[NodeProto]:
        rows, output = node.input[0], node.output[0]
        if rows not in self._rows:
            yield from self._round(rows)
        whole, row_scale = self._rows[rows]
        if rows in self._divisors:
            weights = weights * self._divisors[rows][:, None]
        numbers, scale = round_neighbours(weights)
        name = f"eight_bits.{next(self._numbers)}"
        weight = self._constant(f"{name}.weights", numbers)
        column_scale = self._constant(f"{name}.scale", scale)
        yield helper.make_node("MatMulInteger", [whole, weight, self._zero], [f"{name}.sums"])
        yield helper.make_node("Cast", [f"{name}.sums"], [f"{name}.floats"], to=TensorProto.FLOAT)
        yield helper.make_node("Mul", [f"{name}.floats", column_scale], [f"{name}.columns"])
        yield helper.make_node("Mul", [f"{name}.columns", row_scale], [output])

    def _round(self, rows: str) -> Iterator[NodeProto]:
        name = f"eight_bits.rows.{len(self._rows)}"
        parts = ("max", "min", "negated", "largest", "inverse", "scale", "scaled", "moved", "whole")
        high, low, negated, largest, inverse, scale, scaled, moved, whole = (
            f"{name}.{part}" for part in parts
        )
        self._rows[rows] = (whole, scale)
        if rows in self._divisors:
            smooth = self._constant(f"{name}.smooth", 1 / self._divisors[rows])
            yield helper.make_node("Mul", [rows, smooth], [f"{name}.smoothed"])
            rows = f"{name}.smoothed"
        for operator, extreme in (("ReduceMax", high), ("ReduceMin", low)):
            yield helper.make_node(operator, [rows, self._last_axis], [extreme], keepdims=1)
        yield helper.make_node("Neg", [low], [negated])
        yield helper.make_node("Max", [high, negated, self._smallest], [largest])
        yield helper.make_node("Div", [self._limit, largest], [inverse])
        yield helper.make_node("Div", [largest, self._limit], [scale])
        yield helper.make_node("Mul", [rows, inverse], [scaled])
        yield helper.make_node("Add", [scaled, self._middle], [moved])
        yield helper.make_node("Cast", [moved], [whole], to=TensorProto.UINT8)

    def _constant(self, name: str, value: NDArray[np.generic] | np.generic) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name
