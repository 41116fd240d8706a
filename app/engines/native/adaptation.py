"""From the weights that a model came with to the library's files. No torch is needed here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from app.engines.graphs import Graphs
from app.engines.hub import read_json
from app.engines.native.architecture import Tensors
from app.engines.native.weights import write
from app.engines.onnxruntime import TAIL

CONFIG = "config.json"
NUMPY_TYPES = {"F16": np.float16, "F32": np.float32}


def adapt(graphs: Graphs, folder: Path) -> None:
    write(read_tensors(graphs.body), read_json(graphs.body.with_name(CONFIG)), folder)
    if graphs.tail is not None:
        from app.engines.onnxruntime.adaptation import copy  # noqa: PLC0415 (takes a while)

        copy(graphs.tail, folder, TAIL)


def read_tensors(file: Path) -> Tensors:
    """Of a file of safetensors: its header in JSON has the length that comes first."""
    content = np.memmap(file, np.uint8, "r")
    start = 8 + int.from_bytes(content[:8].tobytes(), "little")
    header = json.loads(content[8:start].tobytes())
    header.pop("__metadata__", None)
    return {
        name: content[start + first : start + end]
        .view(NUMPY_TYPES[each["dtype"]])
        .reshape(each["shape"])
        for name, each in header.items()
        if each["dtype"] in NUMPY_TYPES
        for first, end in [each["data_offsets"]]
    }
