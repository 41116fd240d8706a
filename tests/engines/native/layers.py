"""Layers of random weights, computed by numpy as the library computes them, in double precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf, softmax

from app.engines.native.architecture import DUET, GROUP
from app.engines.native.library import NEIGHBOURING, Encoder, Library, opened
from app.engines.native.weights import LOG2_E, Array, Shape, layer
from app.engines.rounding import round_columns, round_neighbours

Doubles = NDArray[np.float64]
EPSILON = 1e-12


@dataclass
class Layers:
    shape: Shape
    tensors: dict[str, NDArray[np.float32]]

    def arrays(self, name: str) -> dict[str, Array]:
        """As a kind of processor needs them."""
        family = replace(DUET, in_two_parts="gates" in self.tensors)
        return {
            f"{number}.{part}": array
            for number in range(self.shape.layers)
            for part, array in layer(
                self.tensors, family, number, self.shape, is_for_neighbours=name in NEIGHBOURING
            )
        }

    def encoder(self, name: str, library: Library | None = None) -> Encoder:
        return Encoder(library or opened(name), self.shape, self.arrays(name))

    def without_gates(self) -> Layers:
        tensors = {name: tensor for name, tensor in self.tensors.items() if name != "gates"}
        return Layers(self.shape, tensors)

    def states(
        self, states: Doubles, splits: Sequence[int], lengths: Sequence[int], name: str
    ) -> Doubles:
        """After all layers."""
        ends = np.cumsum(lengths)
        for number in range(self.shape.layers):
            states = np.concatenate(
                [
                    self._layer(states[end - length : end], split, number, name)
                    for end, length, split in zip(ends, lengths, splits, strict=True)
                ]
            )
        return states

    def _layer(self, states: Doubles, split: int, number: int, name: str) -> Doubles:
        heads = self.shape.heads
        query, key, value = (
            np.stack(np.split(self._linear(states, f"layers.{number}.{part}", name), heads, 1))
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / np.sqrt(key.shape[-1])
        if "gates" in self.tensors:
            out, back = self.tensors["gates"][number].astype(np.float64)
            scores[:, :split, split:] += out[:, :, None]
            scores[:, split:, :split] += back[:, :, None]
        context = np.concatenate(softmax(scores, axis=-1) @ value, 1)
        mixed = self._linear(context, f"layers.{number}.mix", name)
        states = self._norm(states + mixed, f"layers.{number}.mix_norm")
        wide = self._linear(states, f"layers.{number}.up", name)
        wide = wide * (1 + erf(wide / np.sqrt(2))) / 2
        narrow = self._linear(wide, f"layers.{number}.down", name)
        return self._norm(states + narrow, f"layers.{number}.down_norm")

    def _linear(self, states: Doubles, part: str, name: str) -> Doubles:
        """With weights as the processor needs them, and each group of a row with its own scale."""
        rounding = round_neighbours if name in NEIGHBOURING else round_columns
        weight = self.tensors[f"{part}.weight"].T
        if part.endswith("query"):  # as it is rounded: its scale matters at the limit only
            weight = weight * np.float32(LOG2_E / np.sqrt(self.shape.width // self.shape.heads))
        numbers, scale = rounding(weight)
        rounded = numbers.astype(np.float64) * scale
        if part.endswith("query"):
            rounded /= LOG2_E / np.sqrt(self.shape.width // self.shape.heads)
        groups = states.reshape(len(states), -1, GROUP)
        unit = np.abs(groups).max(-1, keepdims=True).clip(min=1e-9) / 127
        read = (np.floor(groups / unit + 0.5) * unit).reshape(states.shape)
        product: Doubles = read @ rounded + self.tensors[f"{part}.bias"]
        return product

    def _norm(self, states: Doubles, part: str) -> Doubles:
        return normalized(states, 0, self.tensors[f"{part}.weight"], self.tensors[f"{part}.bias"])


def normalized(
    states: NDArray[np.floating],
    added: NDArray[np.floating] | int,
    scale: NDArray[np.float32],
    shift: NDArray[np.float32],
) -> Doubles:
    together = states.astype(np.float64) + added
    centered = together - together.mean(-1, keepdims=True)
    unit = centered / np.sqrt(centered.var(-1, keepdims=True) + EPSILON)
    scaled: Doubles = unit * scale + shift
    return scaled


def normal_floats(
    chance: np.random.Generator, *size: int, spread: float = 1.0
) -> NDArray[np.float32]:
    return (spread * chance.standard_normal(size)).astype(np.float32)


def halves(lengths: Sequence[int]) -> list[int]:
    return [(length + 1) // 2 for length in lengths]


def assert_close(ours: NDArray[np.float32], theirs: Doubles) -> None:
    """A number half-way between two bytes may go either way, which moves a few states a little."""
    off = np.abs(ours - theirs)
    assert np.median(off) < 1e-5
    assert off.max() < 0.1


def random_layers(
    width: int, heads: int, inner: int, *, layers: int = 2, spread: float = 1.0, seed: int = 0
) -> Layers:
    """`spread` is how far scores of attention are apart."""
    normal = partial(normal_floats, np.random.default_rng(seed))
    tensors = {"gates": normal(layers, 2, heads, 1)}
    for number in range(layers):
        for part, (outputs, inputs) in {
            "query": (width, width),
            "key": (width, width),
            "value": (width, width),
            "mix": (width, width),
            "up": (inner, width),
            "down": (width, inner),
        }.items():
            wide = spread if part in {"query", "key"} else 1.0
            tensors[f"layers.{number}.{part}.weight"] = normal(
                outputs, inputs, spread=wide * inputs**-0.5
            )
            tensors[f"layers.{number}.{part}.bias"] = normal(outputs, spread=0.1)
        for part in ("mix_norm", "down_norm"):
            tensors[f"layers.{number}.{part}.weight"] = 1 + normal(width, spread=0.1)
            tensors[f"layers.{number}.{part}.bias"] = normal(width, spread=0.1)
    shape = Shape(width, heads, inner, layers, 0, 0, True, EPSILON)
    return Layers(shape, tensors)
