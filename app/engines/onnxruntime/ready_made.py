"""Writes a model's graphs beside its weights, so that it starts without torch.

python -m app.engines.onnxruntime.ready_made --model app/models/rerankd-minilm

A graph holds no weights of its own but small ones: it refers to the tensors in `model.safetensors`,
which are in half precision, and casts them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
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
from app.engines.onnxruntime import BACKEND, TAIL, graph_file
from app.engines.probe import lists
from app.engines.spec import ModelSpec

WEIGHTS = "model.safetensors"
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
    for weight in graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.nbytes < MIN_BYTES or values.dtype != np.float32:
            kept.append(weight)
            continue
        tensor, is_transposed = matching(values, tensors)
        half = weight.name + ".half"
        kept.append(reference(half, tensor))
        if is_transposed:
            casts.append(helper.make_node("Transpose", [half], [half + ".turned"], perm=[1, 0]))
            half += ".turned"
        casts.append(helper.make_node("Cast", [half], [weight.name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)


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
        for stem in ("float32", TAIL):
            graph = onnx.load(aside / graph_file(stem))
            refer(graph.graph, tensors)
            (source / graph_file(stem)).write_bytes(graph.SerializeToString(deterministic=True))
    write_card(
        source,
        architecture=model.architecture,
        encoder=model.encoder,
        layout=model.layout,
        files=[source / TOKENIZER, *(source / graph_file(stem) for stem in ("float32", TAIL))],
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="the model's folder")
    write(parser.parse_args().model)


if __name__ == "__main__":
    main()
