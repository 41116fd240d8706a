"""From graphs that a model came with to graphs of our own. No torch is needed here."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import NodeProto, TensorProto, helper, numpy_helper

from app.engines.graphs import LOWER, Graphs, Values, inputs_by_name, lower_stem
from app.engines.layout import Arrays
from app.engines.onnxruntime import DTYPES, TAIL, graph_file, weights_file
from app.engines.onnxruntime.eight_bits import is_wide, to_eight_bits
from app.engines.onnxruntime.smoothing import largest_by_channel


def adapt(graphs: Graphs, examples: Arrays, folder: Path, dtypes: Collection[str]) -> None:
    read: dict[str, Values] = dict(examples)
    if graphs.lower:
        adapt_part(graphs.lower, read, folder, dtypes, stems(is_lower=True))
        read[LOWER] = computed(graphs.lower, read)
    adapt_part(graphs.body, read, folder, dtypes, stems(is_lower=False))
    if graphs.tail:
        copy(graphs.tail, folder, TAIL)


def stems(is_lower: bool) -> tuple[str, str]:
    """In full precision and in eight bits."""
    whole, rounded = DTYPES
    return (lower_stem(whole), lower_stem(rounded)) if is_lower else (whole, rounded)


def adapt_part(
    source: Path,
    examples: Mapping[str, Values],
    folder: Path,
    dtypes: Collection[str],
    names: tuple[str, str],
) -> None:
    whole, rounded = names
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        target = folder if "float32" in dtypes else Path(temporary)
        model = onnx.load(source)
        fold(model.graph)
        save(model, target, whole)
        if "int8" in dtypes:
            weights = {each.name for each in model.graph.initializer}
            inputs = [each.name for each in model.graph.input if each.name not in weights]
            save_rounded(
                target / graph_file(whole), inputs_by_name(inputs, examples), folder, rounded
            )


def save_rounded(file: Path, inputs: Mapping[str, Values], folder: Path, stem: str) -> None:
    """The graph of the file with products of eight bits; `inputs` are examples."""
    model = onnx.load(file)
    to_eight_bits(model.graph, largest_by_channel(file, inputs))
    save(model, folder, stem)


def computed(file: Path, inputs: Mapping[str, Values]) -> Values:
    session = ort.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    output: Values = session.run(None, inputs_by_name(names, inputs))[0]
    return output


def save(model: onnx.ModelProto, folder: Path, stem: str) -> None:
    graph, weights = folder / graph_file(stem), folder / weights_file(stem)
    onnx.save_model(model, graph, save_as_external_data=True, location=weights.name)
    # onnx lets only the owner read the weights, but an image is built by root and runs as another.
    shutil.copymode(graph, weights)


def copy(source: Path, folder: Path, stem: str) -> None:
    save(onnx.load(source), folder, stem)


def fold(graph: onnx.GraphProto) -> None:
    """Compute in advance, in target, how wide weights of products are read: as cast or turned."""
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
