"""From the torch model to ONNX graphs: one in full precision, one with products of eight bits."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import onnx
import torch

from app.engines import Pair
from app.engines.onnxruntime import TAIL, graph_file
from app.engines.onnxruntime.adaptation import save, save_rounded, stems
from app.engines.torch.model import Part, TorchModel, quiet

OPSET = 18
# The first axes of a tensor that is read: pairs, and tokens of a pair.
AXES = {0: "pairs", 1: "tokens"}


def convert(model: TorchModel, examples: Sequence[Pair], folder: Path) -> None:
    def write(part: Part) -> None:
        if part.kind == "tail":
            save(traced(part), folder, TAIL)
            return
        whole, rounded = stems(part.kind == "lower")
        save(traced(part), folder, whole)
        inputs = {name: tensor.numpy() for name, tensor in part.inputs.items()}
        save_rounded(folder / graph_file(whole), inputs, folder, rounded)

    model.export(examples, write)


def traced(part: Part) -> onnx.ModelProto:
    with tempfile.TemporaryDirectory() as folder, quiet():
        file = Path(folder) / "traced.onnx"
        torch.onnx.export(
            part.module,
            tuple(part.inputs.values()),
            file,
            input_names=list(part.inputs),
            dynamic_axes=dict.fromkeys(part.inputs, AXES),
            opset_version=OPSET,
            dynamo=False,
        )
        model = onnx.load(file)
    for output in model.graph.output:  # what was traced is an example of a shape
        output.type.tensor_type.ClearField("shape")
    return model
