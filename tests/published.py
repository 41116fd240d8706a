"""Models with graphs beside their weights, in the layout of a model hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort
import openvino as ov
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformers import AutoModelForSequenceClassification

from app.engines.torch.model import quiet
from tests import models

WHOLE = "onnx/model.onnx"
AXES = {0: "batch_size", 1: "sequence_length"}
INPUTS = {"bert": ("input_ids", "attention_mask", "token_type_ids")}
TWO_INPUTS = ("input_ids", "attention_mask")
# Without padding in the example, what is traced ignores the mask.
EXAMPLE = {
    "input_ids": torch.arange(16).reshape(2, 8) + 5,
    "attention_mask": torch.tensor([[1] * 8, [1] * 5 + [0] * 3]),
    "token_type_ids": torch.tensor([[0] * 4 + [1] * 4] * 2),
}


class Logits(torch.nn.Module):
    def __init__(self, model: torch.nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *tensors: torch.Tensor) -> Any:
        return self.model(**dict(zip(self.names, tensors, strict=True))).logits


def with_graph(folder: Path, family: str = "bert") -> Path:
    """A model of the family, and `onnx/model.onnx` as exporters write it."""
    models.FAMILIES[family](folder)
    export(folder, INPUTS.get(family, TWO_INPUTS))
    return folder


def export(folder: Path, names: Sequence[str]) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, attn_implementation="eager"
    ).eval()
    file = folder / WHOLE
    file.parent.mkdir(exist_ok=True)
    with quiet(), torch.inference_mode():
        torch.onnx.export(
            Logits(model, names),
            tuple(EXAMPLE[name] for name in names),
            file,
            input_names=list(names),
            output_names=["logits"],
            dynamic_axes={**dict.fromkeys(names, AXES), "logits": {0: "batch_size"}},
            opset_version=14,  # as older exports: normalization is several operators
            dynamo=False,
        )


def add_eight_bits(folder: Path, name: str) -> None:
    """As sentence-transformers' own tools make it: a scale for each batch."""
    ort.set_default_logger_severity(3)
    quantize_dynamic(folder / WHOLE, folder / name, weight_type=QuantType.QInt8)


def add_openvino(folder: Path) -> None:
    target = folder / "openvino" / "openvino_model.xml"
    target.parent.mkdir()
    ov.save_model(ov.Core().read_model(folder / WHOLE), target, compress_to_fp16=False)


def rename_input(folder: Path, old: str, new: str) -> None:
    model = onnx.load(folder / WHOLE)
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if name == old:
                node.input[index] = new
    for each in model.graph.input:
        if each.name == old:
            each.name = new
    onnx.save_model(model, folder / WHOLE)
