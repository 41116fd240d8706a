"""From the weights that a model came with to the library's files. No torch is needed here."""

from __future__ import annotations

from pathlib import Path

from app.engines.graphs import Graphs
from app.engines.hub import read_json
from app.engines.native.weights import write
from app.engines.onnxruntime import TAIL
from app.engines.tensors import read_tensors

CONFIG = "config.json"


def adapt(graphs: Graphs, folder: Path) -> None:
    write(read_tensors(graphs.body), read_json(graphs.body.with_name(CONFIG)), folder)
    if graphs.tail is not None:
        from app.engines.onnxruntime.adaptation import copy  # noqa: PLC0415 (takes a while)

        copy(graphs.tail, folder, TAIL)
