"""A converted model, run by OpenVINO on the CPU. No torch is needed here."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import openvino as ov

from app.engines import OutOfMemory, Pair
from app.engines.layout import Layout
from app.engines.slices import Slicing

WASTE = 64  # tokens; a call of its own costs about as much
MULTIPLE = 8  # of widths: the first batch of a shape is slow, and each shape takes memory
SHAPES = 256  # that are kept ready
ROW = 128  # weights that share the scale of what comes in: coarser ranks worse
TAIL = "tail.xml"  # of a model whose last part stays in full precision
HALFWAY = ("words", "states")  # what its body hands on
HINTS = {"float32": "f32", "bfloat16": "bf16"}


def can_bfloat16() -> bool:
    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVinoEngine:
    name = "openvino"
    device = "cpu"

    def __init__(
        self,
        folder: Path,
        stem: str,
        dtype: str,
        layout: Layout,
        *,
        tokens: int,
        streams: int,
        threads: int,
    ) -> None:
        self.dtype = dtype
        self.slicing = Slicing(tokens, WASTE, MULTIPLE, streams)
        # Between its eight-bit products the fastest float that the processor has.
        between = "bfloat16" if dtype == "int8" and can_bfloat16() else dtype
        row = ROW if dtype == "int8" else 0
        body = open_file(folder / f"{stem}.xml", between, streams, threads, row)
        tail = None
        if (folder / TAIL).exists():
            tail = open_file(folder / TAIL, "float32", streams, threads, 0)
        self._idle: SimpleQueue[Stream] = SimpleQueue()
        for _ in range(streams):
            self._idle.put(Stream(body, tail, layout))
        self._threads = ThreadPoolExecutor(streams, thread_name_prefix="stream")
        # OpenVINO fills tables at its first call: two threads that make it together wait for each
        # other for ever, and hold the interpreter meanwhile.
        self._score([Pair(np.zeros(MULTIPLE, dtype=np.int32), 1)])

    def score(self, batch: Sequence[Pair]) -> list[float]:
        logits = [0.0] * len(batch)
        slices = self.slicing.cut(batch)
        together = ([batch[place] for place in places] for places in slices)
        for places, scores in zip(slices, self._threads.map(self._score, together), strict=True):
            for place, score in zip(places, scores, strict=True):
                logits[place] = score
        return logits

    def _score(self, pairs: Sequence[Pair]) -> list[float]:
        stream = self._idle.get()
        try:
            return stream.score(pairs, self.slicing.width(pairs[0].tokens))
        finally:
            self._idle.put(stream)

    def memory(self) -> int:
        return 0


class Stream:
    """Room for one slice at a time."""

    def __init__(
        self, body: ov.CompiledModel, tail: ov.CompiledModel | None, layout: Layout
    ) -> None:
        self._body = body.create_infer_request()
        self._tail = tail.create_infer_request() if tail else None
        self._layout = layout

    def score(self, pairs: Sequence[Pair], width: int) -> list[float]:
        arrays = self._layout.arrays(pairs, width)
        try:
            last = self._body
            last.infer(arrays, share_inputs=True)
            if self._tail is not None:
                halfway = [last.get_output_tensor(place).data for place in range(len(HALFWAY))]
                last = self._tail
                last.infer([*arrays.values(), *halfway], share_inputs=True)
        except RuntimeError as error:
            if "bad_alloc" not in str(error):
                raise
            raise OutOfMemory(f"{len(pairs)} pairs did not fit") from error
        scores = last.get_output_tensor(0).data.reshape(len(pairs))
        return [float(score) for score in scores]


def open_file(file: Path, dtype: str, streams: int, threads: int, row: int) -> ov.CompiledModel:
    settings = {
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,  # a neighbour would be pinned to the same processors
        "INFERENCE_PRECISION_HINT": HINTS.get(dtype, "f32"),
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": row,
        "CPU_RUNTIME_CACHE_CAPACITY": SHAPES,
    }
    return ov.Core().compile_model(file, "CPU", settings)
