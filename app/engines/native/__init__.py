"""Converted models run in eight bits by a library of our own, in C, on the CPU."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from app.engines import Engine, Pair
from app.engines.graphs import OWN_TAIL, Graphs
from app.engines.rounding import ROUNDED
from app.engines.tensors import WEIGHTS

if TYPE_CHECKING:
    from app.engines.backend import Choice
    from app.engines.layout import Arrays, Layout
    from app.engines.spec import ModelSpec
    from app.engines.torch.model import TorchModel


class Native:
    name = "native"
    all_dtypes = (ROUNDED,)

    @property
    def packages(self) -> Sequence[str]:
        """A model that was converted where nothing was compiled is converted again."""
        from app.engines.native.library import compiled  # noqa: PLC0415 (imports this package)

        return [f"native {name}" for name in compiled()]

    def dtypes(self) -> Sequence[str]:
        return self.all_dtypes

    def refuses(self, spec: ModelSpec) -> str | None:
        from app.engines.hub import read_json, source_folder  # noqa: PLC0415 (import a list of backends)
        from app.engines.native.architecture import reason_against  # noqa: PLC0415 (likewise)
        from app.engines.native.library import available  # noqa: PLC0415 (likewise)

        if available() is None:
            return "its library was not compiled for this processor"
        if find_spec("onnxruntime") is None:
            return "the package onnxruntime is not installed"
        folder = source_folder(spec)
        config = read_json(folder / "config.json") if folder else {}
        return reason_against(config) if config else None

    def convert(self, model: TorchModel, examples: Sequence[Pair], folder: Path) -> None:
        from app.engines.native.conversion import convert  # noqa: PLC0415 (imports torch)

        convert(model, examples, folder)

    def files(self, dtype: str) -> Sequence[str]:  # noqa: ARG002
        from app.engines.native.weights import NEIGHBOURS, WHOLE, WORDS  # noqa: PLC0415 (as above)
        from app.engines.onnxruntime import TAIL, graph_file, weights_file  # noqa: PLC0415 (as above)

        return [WHOLE, NEIGHBOURS, WORDS, graph_file(TAIL), weights_file(TAIL)]

    def readable(self, folder: Path) -> Graphs | None:
        """The weights themselves, of which a graph is only another form."""
        if not (folder / WEIGHTS).is_file():
            return None
        tail = folder / OWN_TAIL
        return Graphs(folder / WEIGHTS, tail if tail.is_file() else None)

    def adapt(
        self,
        graphs: Graphs,
        examples: Arrays,  # noqa: ARG002 (nothing is calibrated)
        folder: Path,
        dtypes: Collection[str],  # noqa: ARG002 (there is one)
    ) -> None:
        from app.engines.native.adaptation import adapt  # noqa: PLC0415 (as above)

        adapt(graphs, folder)

    def open(self, folder: Path, layout: Layout, choice: Choice) -> Engine:
        from app.engines.native.engine import open_engine  # noqa: PLC0415 (as above)

        return open_engine(folder, layout, choice)


BACKEND = Native()
