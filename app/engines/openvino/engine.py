"""A converted model, run by OpenVINO on the CPU. No torch is needed here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from app.engines import OutOfMemory, Pair
from app.engines.backend import Choice
from app.engines.graphs import LOWER, Graphs, Values, check, inputs_by_name
from app.engines.layout import Layout
from app.engines.streams import StreamedEngine

# Each shape of a batch that was prepared for takes memory.
MAX_SHAPES_READY = 256
# So many weights share the scale of what comes in: with more of them the order gets worse.
QUANTIZATION_GROUP = 128
PRECISION_HINTS = {"float32": "f32", "bfloat16": "bf16"}


def can_bfloat16() -> bool:
    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def open_engine(graphs: Graphs, layout: Layout, choice: Choice) -> StreamedEngine:
    # Between its eight-bit products the fastest float that the processor has.
    eight_bits = choice.dtype == "int8"
    between = "bfloat16" if eight_bits and can_bfloat16() else choice.dtype
    group = QUANTIZATION_GROUP if eight_bits else 0
    body = compile_file(graphs.body, between, group, choice)
    tail = compile_file(graphs.tail, "float32", 0, choice) if graphs.tail else None
    lower = compile_file(graphs.lower, between, group, choice) if graphs.lower else None
    if tail is None:
        check(graphs.body, inputs_of(body), shape_of(body))
    streams = [OpenVinoStream(body, tail, lower, layout) for _ in range(choice.streams)]
    state_cache = choice.state_cache() if lower else None
    return StreamedEngine(
        "openvino", choice.dtype, choice.slice_tokens, streams, state_cache=state_cache
    )


class OpenVinoStream:
    def __init__(
        self,
        body: ov.CompiledModel,
        tail: ov.CompiledModel | None,
        lower: ov.CompiledModel | None,
        layout: Layout,
    ) -> None:
        self._body = body.create_infer_request()
        self._body_inputs = inputs_of(body)
        self._outputs = range(len(body.outputs))
        self._tail = tail.create_infer_request() if tail else None
        self._lower = lower.create_infer_request() if lower else None
        self._lower_inputs = inputs_of(lower) if lower else []
        self._layout = layout

    def score(
        self, pairs: Sequence[Pair], width: int, lower: NDArray[np.float32] | None
    ) -> list[float]:
        arrays = self._layout.arrays(pairs, width)
        read: dict[str, Values] = {**arrays}
        if lower is not None:
            read[LOWER] = lower
        with explained(len(pairs)):
            last = self._body
            last.infer(inputs_by_name(self._body_inputs, read), share_inputs=True)
            if self._tail is not None:
                between = [last.get_output_tensor(index).data for index in self._outputs]
                last = self._tail
                last.infer([*arrays.values(), *between], share_inputs=True)
        scores = last.get_output_tensor(0).data.reshape(len(pairs))
        return [float(score) for score in scores]

    def lower(self, parts: Sequence[Pair], width: int) -> Values:
        if self._lower is None:
            raise TypeError("the model has no lower part")
        arrays = self._layout.arrays(parts, width)
        with explained(len(parts)):
            self._lower.infer(inputs_by_name(self._lower_inputs, arrays), share_inputs=True)
        states: Values = self._lower.get_output_tensor(0).data
        return states


@contextmanager
def explained(rows: int) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if "bad_alloc" not in str(error):
            raise
        raise OutOfMemory(f"{rows} pairs did not fit") from error


def inputs_of(model: ov.CompiledModel) -> list[str]:
    return [port.get_any_name() for port in model.inputs]


def shape_of(model: ov.CompiledModel) -> list[int | None]:
    """Of what comes out first; None for an axis that may vary."""
    shape = model.outputs[0].get_partial_shape()
    if shape.rank.is_dynamic:
        return []
    return [axis.get_length() if axis.is_static else None for axis in shape]


def compile_file(file: Path, dtype: str, group: int, choice: Choice) -> ov.CompiledModel:
    settings = {
        "NUM_STREAMS": choice.streams,
        "INFERENCE_NUM_THREADS": choice.threads,
        # A neighbour would be pinned to the same processors.
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_PRECISION_HINT": PRECISION_HINTS.get(dtype, "f32"),
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": group,
        "CPU_RUNTIME_CACHE_CAPACITY": MAX_SHAPES_READY,
    }
    return ov.Core().compile_model(file, "CPU", settings)
