"""A converted model, run by OpenVINO on the CPU. No torch is needed here."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import openvino as ov

from app.engines import OutOfMemory, Pair
from app.engines.backend import Choice
from app.engines.layout import Layout
from app.engines.openvino import TAIL
from app.engines.slices import Slicing

# A call of its own costs about as much.
MAX_WASTED_TOKENS = 64
# The first batch of a shape is slow, and each shape takes memory.
WIDTH_MULTIPLE = 8
MAX_SHAPES_READY = 256
# So many weights share the scale of what comes in: with more of them the order gets worse.
QUANTIZATION_GROUP = 128
PRECISION_HINTS = {"float32": "f32", "bfloat16": "bf16"}


def can_bfloat16() -> bool:
    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVinoEngine:
    name = "openvino"
    device = "cpu"

    def __init__(self, folder: Path, stem: str, layout: Layout, choice: Choice) -> None:
        self.dtype = dtype = choice.dtype
        self.slicing = Slicing(
            choice.slice_tokens, MAX_WASTED_TOKENS, WIDTH_MULTIPLE, choice.streams
        )
        # Between its eight-bit products the fastest float that the processor has.
        between = "bfloat16" if dtype == "int8" and can_bfloat16() else dtype
        group = QUANTIZATION_GROUP if dtype == "int8" else 0
        body = compile_file(folder / f"{stem}.xml", between, group, choice)
        tail, tail_file = None, folder / f"{TAIL}.xml"
        if tail_file.exists():
            tail = compile_file(tail_file, "float32", 0, choice)
        self._idle: SimpleQueue[Stream] = SimpleQueue()
        for _ in range(choice.streams):
            self._idle.put(Stream(body, tail, layout))
        self._threads = ThreadPoolExecutor(choice.streams, thread_name_prefix="stream")
        # OpenVINO fills tables at its first call: two threads that make it together wait for each
        # other for ever, and hold the interpreter meanwhile.
        self._score([Pair(np.zeros(WIDTH_MULTIPLE, dtype=np.int32), 1)])

    def score(self, batch: Sequence[Pair]) -> list[float]:
        logits = [0.0] * len(batch)
        slices = self.slicing.cut(batch)
        pairs = ([batch[index] for index in indexes] for indexes in slices)
        for indexes, scores in zip(slices, self._threads.map(self._score, pairs), strict=True):
            for index, score in zip(indexes, scores, strict=True):
                logits[index] = score
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
        self._outputs = range(len(body.outputs))
        self._tail = tail.create_infer_request() if tail else None
        self._layout = layout

    def score(self, pairs: Sequence[Pair], width: int) -> list[float]:
        arrays = self._layout.arrays(pairs, width)
        try:
            last = self._body
            last.infer(arrays, share_inputs=True)
            if self._tail is not None:
                between = [last.get_output_tensor(index).data for index in self._outputs]
                last = self._tail
                last.infer([*arrays.values(), *between], share_inputs=True)
        except RuntimeError as error:
            if "bad_alloc" not in str(error):
                raise
            raise OutOfMemory(f"{len(pairs)} pairs did not fit") from error
        scores = last.get_output_tensor(0).data.reshape(len(pairs))
        return [float(score) for score in scores]


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
