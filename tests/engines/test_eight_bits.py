"""Products of eight bits: near to those of floats, and never beyond a word of 16 bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from app.engines.onnxruntime.eight_bits import to_eight_bits
from app.engines.onnxruntime.smoothing import divisor, largest_by_channel
from app.engines.rounding import round_neighbours

WIDE, OUT = 96, 64
AXES = ["pairs", "tokens", "channels"]
Floats = NDArray[np.float32]


def weights(seed: int = 0, rows: int = WIDE) -> Floats:
    return np.random.default_rng(seed).normal(size=(rows, OUT)).astype(np.float32)


def model(*products: Floats, normalized: bool = False) -> onnx.ModelProto:
    """Each product reads the same rows, which may be normalized before."""
    rows = "normal" if normalized else "rows"
    nodes = [
        helper.make_node("MatMul", [rows, f"weights{number}"], [f"product{number}"])
        for number in range(len(products))
    ]
    constants = [
        numpy_helper.from_array(each, f"weights{number}") for number, each in enumerate(products)
    ]
    if normalized:
        nodes.insert(0, helper.make_node("LayerNormalization", ["rows", "gain"], [rows]))
        gain = np.ones(WIDE, dtype=np.float32)
        gain[7] = 40  # a channel as models have them
        constants.append(numpy_helper.from_array(gain, "gain"))
    outputs = [
        helper.make_tensor_value_info(f"product{number}", TensorProto.FLOAT, AXES)
        for number in range(len(products))
    ]
    read = helper.make_tensor_value_info("rows", TensorProto.FLOAT, AXES)
    graph = helper.make_graph(nodes, "graph", [read], outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def run(graph: onnx.ModelProto, rows: Floats) -> list[Floats]:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(graph.SerializeToString(), options)
    outputs: list[Floats] = session.run(None, {"rows": rows})
    return outputs


def eight_bits(graph: onnx.ModelProto, largest: dict[str, Floats] | None = None) -> onnx.ModelProto:
    to_eight_bits(graph.graph, largest or {})
    onnx.checker.check_model(graph)
    return graph


def rows_of(seed: int = 1, tokens: int = 5) -> Floats:
    return np.random.default_rng(seed).normal(size=(3, tokens, WIDE)).astype(np.float32)


def error(actual: Floats, exact: Floats) -> float:
    return float(np.sqrt(np.mean((actual - exact) ** 2)) / np.std(exact))


def test_a_product_is_near_to_that_of_floats() -> None:
    rows = rows_of()
    (actual,) = run(eight_bits(model(weights())), rows)
    assert error(actual, rows @ weights()) < 0.015


@pytest.mark.parametrize("sign", [1, -1])
def test_no_sum_of_neighbours_saturates(sign: int) -> None:
    """Rows and weights at their limits: the greatest sums that there can be."""
    rows = np.ones((1, 4, WIDE), dtype=np.float32)
    each = np.full((WIDE, OUT), sign, dtype=np.float32)
    (actual,) = run(eight_bits(model(each)), rows)
    np.testing.assert_allclose(actual, rows @ each, rtol=1e-2)


def test_the_scale_of_a_column_leaves_neighbours_within_sixteen_bits() -> None:
    for rows in (WIDE, WIDE + 1):
        whole, _ = round_neighbours(weights(rows=rows))
        numbers = whole.astype(int)[: rows // 2 * 2]
        for part in (numbers.clip(min=0), numbers.clip(max=0)):
            sums = part[0::2] + part[1::2]
            assert -(2**15) <= 255 * sums.min() <= 255 * sums.max() < 2**15
    assert np.abs(numbers).max() > 64  # seven bits would end there


def test_the_result_of_a_row_does_not_depend_on_the_others() -> None:
    graph = eight_bits(model(weights()))
    rows = rows_of()
    (together,) = run(graph, np.concatenate([rows, 1000 * rows]))
    (alone,) = run(graph, rows[:1])
    np.testing.assert_array_equal(together[:1], alone)


def test_a_row_of_zeros_stays_one() -> None:
    (actual,) = run(eight_bits(model(weights())), np.zeros((1, 2, WIDE), dtype=np.float32))
    assert not actual.any()


def test_products_of_the_same_rows_round_them_once() -> None:
    graph = eight_bits(model(weights(0), weights(1)))
    operators = [node.op_type for node in graph.graph.node]
    assert (operators.count("ReduceMax"), operators.count("MatMulInteger")) == (1, 2)
    rows = rows_of()
    for actual, seed in zip(run(graph, rows), (0, 1), strict=True):
        assert error(actual, rows @ weights(seed)) < 0.015


def test_a_thin_product_stays_as_it_is() -> None:
    thin = np.ones((WIDE, 8), dtype=np.float32)
    assert [node.op_type for node in eight_bits(model(thin)).graph.node] == ["MatMul"]


def test_the_weights_in_floats_are_gone() -> None:
    graph = eight_bits(model(weights())).graph
    large = {each.data_type for each in graph.initializer if np.prod(each.dims) > WIDE}
    assert large == {TensorProto.INT8}


def test_smoothing_a_large_channel_loses_less(tmp_path: Path) -> None:
    file = tmp_path / "float32.onnx"
    onnx.save(model(weights(), normalized=True), file)
    largest = largest_by_channel(file, {"rows": rows_of(2)})
    assert [each.name for each in tmp_path.iterdir()] == ["float32.onnx"]
    assert np.argmax(largest["normal"]) == 7

    rows = rows_of()
    (exact,) = run(onnx.load(file), rows)
    (plain,) = run(eight_bits(onnx.load(file)), rows)
    (smooth,) = run(eight_bits(onnx.load(file), largest), rows)
    assert error(smooth, exact) < 0.7 * error(plain, exact)


@pytest.mark.parametrize("channels", [np.zeros(WIDE), np.eye(1, WIDE)[0] * 1e6])
def test_a_channel_that_no_example_uses_is_divided_by_a_number(channels: Any) -> None:
    each = divisor(channels.astype(np.float32), np.abs(weights()).max(1))
    assert np.isfinite(each).all()
    assert each.min() > 0
