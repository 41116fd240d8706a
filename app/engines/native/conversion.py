"""From the torch model to the library's files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.engines import Pair
from app.engines.native.weights import write
from app.engines.onnxruntime import TAIL
from app.engines.torch.model import Part, TorchModel


def convert(model: TorchModel, examples: Sequence[Pair], folder: Path) -> None:
    inner: Any = model.engine.model[0].model
    tensors = {name: tensor.float().numpy() for name, tensor in inner.state_dict().items()}
    write(tensors, inner.config.to_dict(), folder)
    if hasattr(inner, "tail"):
        model.export(examples, lambda part: write_tail(part, folder))


def write_tail(part: Part, folder: Path) -> None:
    from app.engines.onnxruntime.adaptation import save  # noqa: PLC0415 (takes a while)
    from app.engines.onnxruntime.conversion import traced  # noqa: PLC0415 (takes a while)

    if part.kind == "tail":
        save(traced(part), folder, TAIL)
