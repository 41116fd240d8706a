"""Converted models run by OpenVINO on the CPU."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from app.engines import Engine, Pair
from app.engines.graphs import Graphs, existing, lower_stem, onnx_graphs

if TYPE_CHECKING:
    from app.engines.backend import Choice
    from app.engines.layout import Arrays, Layout
    from app.engines.spec import ModelSpec
    from app.engines.torch.model import TorchModel

# `import openvino` alone reports to a statistics service of its makers. Without this module of its
# own, which None says is not there, it reports nothing.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

# The files by dtype: bfloat16 is computed from the weights of float32.
STEMS = {"float32": "float", "bfloat16": "float", "int8": "int8"}
# The last part of some models stays in full precision.
TAIL = "tail"
PUBLISHED = "openvino/openvino_model.xml"
PUBLISHED_EIGHT_BITS = "openvino/openvino_model_qint8_quantized.xml"


class OpenVino:
    name = "openvino"
    all_dtypes = tuple(STEMS)
    packages = ("openvino",)

    def dtypes(self) -> Sequence[str]:
        from app.engines.openvino.engine import can_bfloat16  # noqa: PLC0415 (may be missing)

        return [dtype for dtype in STEMS if dtype != "bfloat16" or can_bfloat16()]

    def refuses(self, spec: ModelSpec) -> str | None:  # noqa: ARG002
        return None if find_spec("openvino") else "the package openvino is not installed"

    def convert(self, model: TorchModel, examples: Sequence[Pair], folder: Path) -> None:
        from app.engines.openvino.conversion import convert  # noqa: PLC0415 (takes seconds)

        convert(model, examples, folder, STEMS["float32"])
        model.to_eight_bits()
        convert(model, examples, folder, STEMS["int8"])

    def files(self, dtype: str) -> Sequence[str]:
        stems = (STEMS[dtype], lower_stem(STEMS[dtype]), TAIL)
        return [f"{stem}{suffix}" for stem in stems for suffix in (".xml", ".bin")]

    def publishable(self) -> Mapping[str, Sequence[str]]:
        return {
            "float32": (PUBLISHED,),
            "bfloat16": (PUBLISHED,),
            "int8": (PUBLISHED_EIGHT_BITS,),
        }

    def readable(self, folder: Path) -> Graphs | None:
        whole = folder / PUBLISHED
        return Graphs(whole) if whole.is_file() else onnx_graphs(folder)

    def adapt(
        self,
        graphs: Graphs,
        examples: Arrays,  # noqa: ARG002 (nothing is calibrated)
        folder: Path,
        dtypes: Collection[str],
    ) -> None:
        from app.engines.openvino.adaptation import adapt  # noqa: PLC0415 (takes a while)

        adapt(graphs, folder, {STEMS[dtype] for dtype in dtypes})

    def open(self, folder: Path, layout: Layout, choice: Choice) -> Engine:
        body, tail = (folder / f"{stem}.xml" for stem in (STEMS[choice.dtype], TAIL))
        return self.open_graphs(existing(body, tail), layout, choice)

    def open_graphs(self, graphs: Graphs, layout: Layout, choice: Choice) -> Engine:
        from app.engines.openvino.engine import open_engine  # noqa: PLC0415 (takes a while)

        return open_engine(graphs, layout, choice)


BACKEND = OpenVino()
