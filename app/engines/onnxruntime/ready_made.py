"""Writes a model's graphs beside its weights, so that it starts without torch.

python -m app.engines.onnxruntime.ready_made --model app/models/rerankd-minilm

A graph holds no weights of its own but small ones: it refers to the tensors in `model.safetensors`,
which are in half precision, and casts them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from app.engines.backends import REFERENCE
from app.engines.converted_model import TOKENIZER, write_card
from app.engines.converting import EXAMPLE_PAIRS
from app.engines.encoders import SplitEncoder
from app.engines.graphs import lower_stem
from app.engines.onnxruntime import BACKEND, TAIL, graph_file
from app.engines.probe import lists
from app.engines.spec import ModelSpec
from app.engines.tensors import WEIGHTS

# A smaller tensor stays in the graph.
MIN_BYTES = 1_024

Half = NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor in the file of weights, and where in it."""

    values: Half
    offset: int


def stored(file: Path) -> list[Stored]:
    content = file.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    tensors = json.loads(content[8:start])
    tensors.pop("__metadata__", None)
    return [
        Stored(
            np.frombuffer(content[start + first : start + end], np.float16).reshape(each["shape"]),
            start + first,
        )
        for each in tensors.values()
        for first, end in [each["data_offsets"]]
        if each["dtype"] == "F16"
    ]


def refer(graph: onnx.GraphProto, tensors: Sequence[Stored]) -> None:
    """Replace each large weight of the graph by the stored tensor that it is, in place."""
    kept: list[TensorProto] = []
    casts: list[NodeProto] = []
    tables = {node.input[0] for node in graph.node if node.op_type == "Gather"}
    for weight in graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.nbytes < MIN_BYTES or values.dtype != np.float32:
            kept.append(weight)
            continue
        tensor, is_transposed = matching(values, tensors)
        half = weight.name + ".half"
        kept.append(reference(half, tensor))
        if weight.name in tables and not is_transposed:
            continue
        if is_transposed:
            casts.append(helper.make_node("Transpose", [half], [half + ".turned"], perm=[1, 0]))
            half += ".turned"
        casts.append(helper.make_node("Cast", [half], [weight.name], to=TensorProto.FLOAT))
    halves = {each.name for each in kept}
    nodes = [*casts, *(read for node in graph.node for read in cast_later(node, halves))]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)


def cast_later(node: NodeProto, halves: Collection[str]) -> Iterator[NodeProto]:
    """Of a table, only the rows that are looked up need full precision."""
    table = f"{node.input[0]}.half" if node.op_type == "Gather" else ""
    if table not in halves:
        yield node
        return
    looked_up = f"{node.output[0]}.half"
    yield helper.make_node(
        "Gather", [table, node.input[1]], [looked_up], node.name, axis=axis_of(node)
    )
    yield helper.make_node("Cast", [looked_up], [node.output[0]], to=TensorProto.FLOAT)


def axis_of(node: NodeProto) -> int:
    return next((each.i for each in node.attribute if each.name == "axis"), 0)


def matching(values: NDArray[np.float32], tensors: Sequence[Stored]) -> tuple[Stored, bool]:
    for tensor in tensors:
        for turned in (False, True):
            own = tensor.values.T if turned else tensor.values
            if own.shape == values.shape and np.array_equal(own.astype(np.float32), values):
                return tensor, turned
    raise SystemExit(f"a weight of the graph, {values.shape}, is not among the model's own")


def reference(name: str, tensor: Stored) -> TensorProto:
    proto = TensorProto(name=name, data_type=TensorProto.FLOAT16, dims=tensor.values.shape)
    proto.data_location = TensorProto.EXTERNAL
    location = {"location": WEIGHTS, "offset": tensor.offset, "length": tensor.values.nbytes}
    for key, value in location.items():
        proto.external_data.add(key=key, value=str(value))
    return proto


def write(source: Path) -> None:
    model = REFERENCE.load(ModelSpec(str(source), device="cpu", dtype="float32"))
    if not isinstance(model.encoder, SplitEncoder):
        raise SystemExit(
            f"{source} renders a chat template: only graphs of plain pairs are written"
        )
    tensors = stored(source / WEIGHTS)
    with tempfile.TemporaryDirectory() as temporary:
        aside = Path(temporary)
        BACKEND.convert(model, lists(model.encoder)[0][:EXAMPLE_PAIRS], aside)
        stems = ("float32", lower_stem("float32"), TAIL)
        names = [name for name in map(graph_file, stems) if (aside / name).exists()]
        for name in names:
            graph = onnx.load(aside / name)
            refer(graph.graph, tensors)
            (source / name).write_bytes(graph.SerializeToString(deterministic=True))
    write_card(
        source,
        architecture=model.architecture,
        encoder=model.encoder,
        layout=model.layout,
        files=[source / name for name in (TOKENIZER, *names)],
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="the model's folder")
    write(parser.parse_args().model)


if __name__ == "__main__":
    main()
