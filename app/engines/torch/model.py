"""The reference model, open to be converted: as parts that are functions of tensors only."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from app.engines import LoadedModel, Pair
from app.engines.graphs import LOWER
from app.engines.layout import Layout
from app.engines.rounding import MAX_EIGHT_BIT, MIN_EIGHT_BIT_WIDTH
from app.engines.torch.engine import TorchEngine

BETWEEN = ("words", "states")
PartKind = Literal["lower", "body", "tail"]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A body is the whole model, or reads lower states, or hands on what a tail reads."""

    kind: PartKind
    module: nn.Module
    # Examples by name, in the order of the arguments.
    inputs: Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class TorchModel(LoadedModel):
    engine: TorchEngine

    @property
    def layout(self) -> Layout:
        return self.engine.layout

    def export(self, examples: Sequence[Pair], write: Callable[[Part], None]) -> None:
        """Call `write` with each part, in the precision that the model has now.

        A model may have lower layers that compute queries and documents apart, and a tail that has
        to stay in full precision: then there are several parts.
        """
        width = max(pair.tokens for pair in examples)
        arrays = self.layout.arrays(examples, width)
        inputs = {name: torch.from_numpy(array) for name, array in arrays.items()}
        inner: Any = self.engine.model[0].model
        with torch.inference_mode():
            if not hasattr(inner, "tail"):
                write(Part("body", Traced(self.engine.model, self._scores), inputs))
                return
            read = dict(inputs)
            if inner.apart:
                write(Part("lower", Traced(inner, inner.lower), inputs))
                read[LOWER] = inner.lower(*inputs.values())
            write(Part("body", Traced(inner, inner.body), read))
            between = zip(BETWEEN, inner.body(*read.values()), strict=True)
            write(Part("tail", Traced(inner, inner.tail), {**inputs, **dict(between)}))

    def to_eight_bits(self) -> None:
        """Round the weights of all wide linear layers, in place."""
        round_layers(self.engine.model)

    def _scores(self, *tensors: Tensor) -> Any:
        features = dict(zip(self.layout.names, tensors, strict=True))
        return self.engine.model({**features, **self.engine.constants})["scores"]


class Traced(nn.Module):
    """A function of tensors only, with the model that it runs."""

    def __init__(self, model: nn.Module, call: Callable[..., Any]) -> None:
        super().__init__()
        self.model = model
        self.call = call

    def forward(self, *tensors: Tensor) -> Any:
        return self.call(*tensors)


@contextmanager
def quiet() -> Iterator[None]:
    """Tracing warns of every shape that Python code reads, and uses deprecated functions."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


class EightBit(nn.Module):
    """A linear layer that keeps its weights as whole numbers of eight bits, with a scale a row."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        weight = layer.weight.detach().float()
        scale = weight.abs().amax(1, keepdim=True).clamp(min=1e-8) / MAX_EIGHT_BIT
        self.weight: Tensor
        self.scale: Tensor
        self.register_buffer("weight", (weight / scale).round().to(torch.int8))
        self.register_buffer("scale", scale)
        self.bias = layer.bias

    def forward(self, states: Tensor) -> Tensor:
        return fn.linear(states, self.weight.to(self.scale.dtype) * self.scale, self.bias)


def round_layers(module: nn.Module) -> None:
    """Each layer's own weights are freed as soon as it is replaced."""
    for name, child in module.named_children():
        if isinstance(child, nn.Linear) and min(child.weight.shape) >= MIN_EIGHT_BIT_WIDTH:
            setattr(module, name, EightBit(child))
        else:
            round_layers(child)
