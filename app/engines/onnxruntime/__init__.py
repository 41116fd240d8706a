"""Converted models run by ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from app.engines import Engine, Pair, processors
from app.engines.graphs import WHOLE_ONNX, Graphs, existing, lower_stem, onnx_graphs

if TYPE_CHECKING:
    from app.engines.backend import Choice
    from app.engines.layout import Arrays, Layout
    from app.engines.spec import ModelSpec
    from app.engines.torch.model import TorchModel

DTYPES = ("float32", "int8")
# The last part of some models stays in full precision.
TAIL = "tail"
# What is published in eight bits, the best first, with what it needs of a processor: any of these.
EIGHT_BITS = {
    "onnx/model_qint8_avx512_vnni.onnx": ("avx512_vnni", "avx_vnni"),
    "onnx/model_qint8_avx512.onnx": ("avx512f",),
    "onnx/model_quint8_avx2.onnx": ("avx2",),
    "onnx/model_qint8_arm64.onnx": ("aarch64", "arm64"),
}


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
        stems = (dtype, lower_stem(dtype), TAIL)
        return [name(stem) for stem in stems for name in (graph_file, weights_file)]

    def publishable(self) -> Mapping[str, Sequence[str]]:
        here = processors.abilities() | {processors.machine()}
        fitting = [name for name, needs in EIGHT_BITS.items() if here.intersection(needs)]
        return {"float32": WHOLE_ONNX, "int8": fitting}

    def readable(self, folder: Path) -> Graphs | None:
        return onnx_graphs(folder)

    def adapt(
        self, graphs: Graphs, examples: Arrays, folder: Path, dtypes: Collection[str]
    ) -> None:
        from app.engines.onnxruntime.adaptation import adapt  # noqa: PLC0415 (takes a while)

        adapt(graphs, examples, folder, dtypes)

    def open(self, folder: Path, layout: Layout, choice: Choice) -> Engine:
        body, tail = folder / graph_file(choice.dtype), folder / graph_file(TAIL)
        return self.open_graphs(existing(body, tail), layout, choice)

    def open_graphs(self, graphs: Graphs, layout: Layout, choice: Choice) -> Engine:
        from app.engines.onnxruntime.engine import open_engine  # noqa: PLC0415 (takes a while)

        return open_engine(graphs, layout, choice)


BACKEND = OnnxRuntime()
