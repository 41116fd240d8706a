"""From graphs that a model came with, of either format, to OpenVINO's. No torch is needed here."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as operators

from app.engines.graphs import LOWER, Graphs
from app.engines.openvino import TAIL
from app.engines.rounding import MIN_EIGHT_BIT_WIDTH, round_rows

Values = NDArray[np.generic]
NUMPY_TYPES = {"f32": np.float32, "f16": np.float16}


def adapt(graphs: Graphs, folder: Path, stems: Collection[str]) -> None:
    core = ov.Core()
    parts = [(graphs.body, ""), *([(graphs.lower, f"-{LOWER}")] if graphs.lower else [])]
    for source, suffix in parts:
        if "float" in stems:
            save(core.read_model(source), folder / f"float{suffix}.xml")
        if "int8" in stems:
            model = core.read_model(source)
            to_eight_bits(model)
            save(model, folder / f"int8{suffix}.xml")
    if graphs.tail:
        save(core.read_model(graphs.tail), folder / f"{TAIL}.xml")


def save(model: ov.Model, file: Path) -> None:
    try:
        ov.save_model(model, file, compress_to_fp16=False)
    except RuntimeError as error:  # its only text is "iostream error"
        raise OSError(f"{file.name} cannot be written: the disk may be full") from error


def to_eight_bits(model: ov.Model) -> None:
    """Round the weights of wide products, in place."""
    for node in model.get_ops():
        if node.get_type_name() != "MatMul":
            continue
        weights = constant(node.input_value(1))
        if weights is None or weights.ndim != 2 or min(weights.shape) < MIN_EIGHT_BIT_WIDTH:
            continue
        attributes = node.get_attributes()
        rows = weights if attributes["transpose_b"] else weights.T
        numbers, scale = round_rows(np.ascontiguousarray(rows, dtype=np.float32))
        read = operators.multiply(
            operators.convert(operators.constant(numbers), "f32"), operators.constant(scale)
        )
        product = operators.matmul(
            node.input_value(0), read, attributes["transpose_a"], transpose_b=True
        )
        product.set_friendly_name(node.get_friendly_name())
        node.output(0).replace(product.output(0))


def constant(source: ov.Output) -> Values | None:
    """The value of what never changes: a constant that may be cast or turned; else None."""
    node = source.get_node()
    kind = node.get_type_name()
    if kind == "Constant":
        values: Values = node.get_data()
        return values
    if kind not in {"Convert", "Transpose"}:
        return None
    inner = constant(node.input_value(0))
    if inner is None:
        return None
    if kind == "Transpose":
        order = constant(node.input_value(1))
        return None if order is None else inner.transpose(order)
    numpy_type = NUMPY_TYPES.get(node.get_output_element_type(0).to_string())
    return None if numpy_type is None else inner.astype(numpy_type)
