"""Tensors in a file of safetensors, read where they are needed. No library is imported here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# As hubs and sentence-transformers name the file.
WEIGHTS = "model.safetensors"
NUMPY_TYPES = {"F16": np.float16, "F32": np.float32}


def read_tensors(file: Path) -> dict[str, NDArray[Any]]:
    """Those of a type that numpy has. The header, in JSON, comes after its length."""
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
