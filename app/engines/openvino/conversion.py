"""From the torch model to OpenVINO's: in its own precision, and with eight-bit weights.

The weights of each linear layer become whole numbers with one scale a row; OpenVINO then rounds
what comes in to eight bits as well, token by token, so that nothing has to be calibrated.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openvino as ov
import torch
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
from torch import Tensor, nn
from torch.nn import functional as fn

from app.engines import Pair
from app.engines.openvino.engine import HALFWAY, TAIL
from app.engines.torch.engine import TorchEngine

LEAST_WIDTH = 64  # a linear layer thinner than this costs nothing, and may be the ranking head
LARGEST = 127


class EightBit(nn.Module):
    """A linear layer that keeps its weights in eight bits."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        weight = layer.weight.detach().float()
        scale = weight.abs().amax(1, keepdim=True).clamp(min=1e-8) / LARGEST
        self.weight: Tensor
        self.scale: Tensor
        self.register_buffer("weight", (weight / scale).round().to(torch.int8))
        self.register_buffer("scale", scale)
        self.bias = layer.bias

    def forward(self, states: Tensor) -> Tensor:
        return fn.linear(states, self.weight.to(self.scale.dtype) * self.scale, self.bias)


def to_eight_bits(module: nn.Module) -> None:
    """In place: each layer's own weights are let go as soon as it is replaced."""
    for name, child in module.named_children():
        if isinstance(child, nn.Linear) and min(child.weight.shape) >= LEAST_WIDTH:
            setattr(module, name, EightBit(child))
        else:
            to_eight_bits(child)


class Traced(nn.Module):
    """A function of tensors only, with the model that it runs."""

    def __init__(self, model: nn.Module, call: Callable[..., Any]) -> None:
        super().__init__()
        self.model = model
        self.call = call

    def forward(self, *tensors: Tensor) -> Any:
        return self.call(*tensors)


def convert(engine: TorchEngine, examples: Sequence[Pair], folder: Path, stem: str) -> None:
    """Write the model that `engine` runs, in the precision it has now.

    A model may have a tail that stays in full precision: then there are two files.
    """
    names = engine.layout.names
    arrays = engine.layout.arrays(examples, max(pair.tokens for pair in examples))
    read = [torch.from_numpy(arrays[name]) for name in names]
    inner: Any = engine.model[0].model
    with torch.inference_mode():
        if not hasattr(inner, "tail"):
            write(Traced(engine.model, whole(engine)), names, read, folder / f"{stem}.xml")
            return
        write(Traced(inner, inner.body), names, read, folder / f"{stem}.xml")
        if not (folder / TAIL).exists():
            halfway = inner.body(*read)
            write(Traced(inner, inner.tail), [*names, *HALFWAY], [*read, *halfway], folder / TAIL)


def whole(engine: TorchEngine) -> Callable[..., Any]:
    def call(*tensors: Tensor) -> Any:
        features = dict(zip(engine.layout.names, tensors, strict=True))
        return engine.model({**features, **engine.constants})["scores"]

    return call


def write(traced: Traced, names: Sequence[str], tensors: Sequence[Tensor], file: Path) -> None:
    with quiet():
        decoder = TorchScriptPythonDecoder(traced, example_input=tuple(tensors))
    # The front end itself: `openvino.convert_model` would report home.
    frontend = FrontEndManager().load_by_framework("pytorch")
    model = frontend.convert(frontend.load(decoder))
    for port, name in zip(model.inputs, names, strict=True):
        port.get_node().set_friendly_name(name)
        port.get_tensor().set_names({name})
    free = {name: [-1] * tensor.ndim for name, tensor in zip(names, tensors, strict=True)}
    model.reshape(free)
    try:
        ov.save_model(model, file, compress_to_fp16=False)
    except RuntimeError as error:  # "iostream error" is all it says
        raise OSError(f"{file.name} cannot be written: the disk may be full") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Tracing names every shape that Python looks at, and touches what is deprecated."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
