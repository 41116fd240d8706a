"""A converted model, run by ONNX Runtime on the CPU. No torch is needed here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from app.engines import OutOfMemory, Pair
from app.engines.backend import Choice
from app.engines.graphs import LOWER, Graphs, Values, check, inputs_by_name
from app.engines.layout import Layout
from app.engines.streams import StreamedEngine

NO_MEMORY_TEXTS = ("bad_alloc", "Failed to allocate memory")
ERRORS_ONLY = 3


def open_engine(graphs: Graphs, layout: Layout, choice: Choice) -> StreamedEngine:
    body = open_session(graphs.body, choice)
    tail = open_session(graphs.tail, choice) if graphs.tail else None
    lower = open_session(graphs.lower, choice) if graphs.lower else None
    if tail is None:
        shape = body.get_outputs()[0].shape or []
        check(graphs.body, [each.name for each in body.get_inputs()], shape)
    # A session may be called from several threads at once.
    stream = OnnxStream(body, tail, lower, layout)
    return StreamedEngine(
        "onnxruntime",
        choice.dtype,
        choice.slice_tokens,
        [stream] * choice.streams,
        prepares=False,
        state_cache=choice.state_cache() if lower else None,
    )


class OnnxStream:
    def __init__(
        self,
        body: ort.InferenceSession,
        tail: ort.InferenceSession | None,
        lower: ort.InferenceSession | None,
        layout: Layout,
    ) -> None:
        self._body = body
        self._body_inputs = [each.name for each in body.get_inputs()]
        self._tail = tail
        self._tail_inputs = [each.name for each in tail.get_inputs()] if tail else []
        self._lower = lower
        self._lower_inputs = [each.name for each in lower.get_inputs()] if lower else []
        self._layout = layout

    def score(
        self, pairs: Sequence[Pair], width: int, lower: NDArray[np.float32] | None
    ) -> list[float]:
        arrays = self._layout.arrays(pairs, width)
        read: dict[str, Values] = {**arrays}
        if lower is not None:
            read[LOWER] = lower
        with explained(len(pairs)):
            outputs = self._body.run(None, inputs_by_name(self._body_inputs, read))
            if self._tail is not None:
                between = [*arrays.values(), *outputs]
                outputs = self._tail.run(None, dict(zip(self._tail_inputs, between, strict=True)))
        scores = np.asarray(outputs[0]).reshape(len(pairs))
        return [float(score) for score in scores]

    def lower(self, parts: Sequence[Pair], width: int) -> Values:
        if self._lower is None:
            raise TypeError("the model has no lower part")
        arrays = self._layout.arrays(parts, width)
        with explained(len(parts)):
            states: Values = self._lower.run(None, inputs_by_name(self._lower_inputs, arrays))[0]
        return states


@contextmanager
def explained(rows: int) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if not any(text in str(error) for text in NO_MEMORY_TEXTS):
            raise
        raise OutOfMemory(f"{rows} pairs did not fit") from error


def open_session(file: Path, choice: Choice) -> ort.InferenceSession:
    options = ort.SessionOptions()
    # A stream for each thread needs no threads of its own. Fewer streams share all threads.
    options.intra_op_num_threads = 1 if choice.streams >= choice.threads else choice.threads
    # A thread that waits sleeps: spinning takes the processor from whatever else runs here.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # It would keep a plan for each shape of a batch.
    options.enable_mem_pattern = False
    options.log_severity_level = ERRORS_ONLY
    try:
        return ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except MemoryError:
        raise
    except Exception as error:  # its errors have no common class
        raise RuntimeError(str(error)) from error
