"""From graphs that a model came with to graphs of our own. No torch is needed here."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from app.engines.graphs import Graphs, inputs_by_name
from app.engines.layout import Arrays
from app.engines.onnxruntime import TAIL, graph_file, weights_file
from app.engines.onnxruntime.eight_bits import is_wide, to_eight_bits
from app.engines.onnxruntime.smoothing import largest_by_channel

Values = NDArray[np.generic]


def adapt(graphs: Graphs, examples: Arrays, folder: Path, dtypes: Collection[str]) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        aside = Path(temporary)
        model = onnx.load(graphs.body)
        fold(model.graph)
        save(model, folder if "float32" in dtypes else aside, "float32")
        file = (folder if "float32" in dtypes else aside) / graph_file("float32")
        if "int8" in dtypes:
            weights = {each.name for each in model.graph.initializer}
            names = [each.name for each in model.graph.input if each.name not in weights]
            inputs = inputs_by_name(names, examples)
            rounded = onnx.load(file)
            to_eight_bits(rounded.graph, largest_by_channel(file, inputs))
            save(rounded, folder, "int8")
    if graphs.tail:
        save(onnx.load(graphs.tail), folder, TAIL)


def save(model: onnx.ModelProto, folder: Path, stem: str) -> None:
    onnx.save_model(
        model,
        folder / graph_file(stem),
        save_as_external_data=True,
        location=weights_file(stem),
    )


def fold(graph: onnx.GraphProto) -> None:
    """Compute in advance, in place, how wide weights of products are read: as cast or turned."""
    weights = {each.name: each for each in graph.initializer if is_wide(each)}
    folded: dict[str, TensorProto] = {}
    for node in graph.node:
        name = node.input[0] if node.input else ""
        source = folded.get(name) or weights.get(name)
        values = None if source is None else read(node, source)
        if values is not None:
            folded[node.output[0]] = numpy_helper.from_array(values, node.output[0])
    products = {node.input[1] for node in graph.node if node.op_type == "MatMul"}
    new = [each for name, each in folded.items() if name in products]
    keep_needed(graph, new)


def keep_needed(graph: onnx.GraphProto, new: Sequence[TensorProto]) -> None:
    """Put constants in the place of the nodes that gave them, and remove what is not read then."""
    constants = {each.name for each in new}
    needed = {each.name for each in graph.output}
    nodes: list[NodeProto] = []
    for node in reversed(graph.node):
        if needed.intersection(node.output) and not constants.intersection(node.output):
            nodes.append(node)
            needed.update(node.input)
            needed.update(outer_names(node))
    kept = [*(each for each in graph.initializer if each.name in needed), *new]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(nodes))
    graph.initializer.extend(kept)


def outer_names(node: NodeProto) -> Iterator[str]:
    """What the branches of a condition or a loop read of the graph around them."""
    for attribute in node.attribute:
        for inner in attribute.g.node if attribute.HasField("g") else ():
            yield from inner.input
            yield from outer_names(inner)


def read(node: NodeProto, source: TensorProto) -> Values | None:
    """What the node makes of weights; None where it does more than to cast or to turn them."""
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    if node.op_type == "Cast" and attributes["to"] == TensorProto.FLOAT:
        return numpy_helper.to_array(source).astype(np.float32)
    if node.op_type == "Transpose":
        return np.ascontiguousarray(numpy_helper.to_array(source).transpose(attributes.get("perm")))
    if node.op_type == "Identity":
        return numpy_helper.to_array(source)
    return None
