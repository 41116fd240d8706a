"""Converted models run by ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from app.engines import Engine, Pair

if TYPE_CHECKING:
    from app.engines.backend import Choice
    from app.engines.layout import Layout
    from app.engines.spec import ModelSpec
    from app.engines.torch.model import TorchModel

DTYPES = ("float32", "int8")
# The last part of some models stays in full precision.
TAIL = "tail"


def graph_file(stem: str) -> str:
    return f"{stem}.onnx"


def weights_file(stem: str) -> str:
    """Beside the graph, which alone may have at most 2 GiB."""
    return f"{stem}.weights"


class OnnxRuntime:
    name = "onnxruntime"
    all_dtypes = DTYPES
    packages = ("onnx", "onnxruntime")

    def dtypes(self) -> Sequence[str]:
        return DTYPES

    def refuses(self, spec: ModelSpec) -> str | None:  # noqa: ARG002
        return None if find_spec("onnxruntime") else "the package onnxruntime is not installed"

    def convert(self, model: TorchModel, examples: Sequence[Pair], folder: Path) -> None:
        from app.engines.onnxruntime.conversion import convert  # noqa: PLC0415 (takes seconds)

        convert(model, examples, folder)

    def files(self, dtype: str) -> Sequence[str]:
        return [name(stem) for stem in (dtype, TAIL) for name in (graph_file, weights_file)]

    def open(self, folder: Path, layout: Layout, choice: Choice) -> Engine:
        from app.engines.onnxruntime.engine import open_engine  # noqa: PLC0415 (takes a while)

        return open_engine(folder, layout, choice)


BACKEND = OnnxRuntime()
