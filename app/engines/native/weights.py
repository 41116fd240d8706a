"""A model's weights in the form in which the library reads them, in files of numpy."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.engines.native.architecture import (
    GROUP,
    PANEL,
    Config,
    Family,
    Tensors,
    family_of,
    first_position,
    layers_apart,
    reason_against,
)
from app.engines.rounding import ZERO, Floats, round_columns, round_neighbours

Array = NDArray[np.generic]
Arrays = Mapping[str, Array]

# For processors that add two neighbouring products in 16 bits, and for all others.
WORDS, WHOLE, NEIGHBOURS = "words.npy", "int8.npz", "int8-neighbours.npz"
SHAPE = "shape"
# The library computes powers of 2.
LOG2_E = 1.4426950408889634


@dataclass(frozen=True, slots=True)
class Shape:
    width: int
    heads: int
    inner: int
    layers: int
    # So many lower layers compute each part alone.
    apart: int
    first_position: int
    in_two_parts: bool
    epsilon: float


class NotFinite(ValueError):
    """A weight is not a number."""


def write(tensors: Tensors, config: Config, folder: Path) -> None:
    """Raises ValueError where the library cannot run the model."""
    reason = reason_against(config)
    family = family_of(config)
    if reason is not None or family is None:
        raise ValueError(reason)
    for name, tensor in tensors.items():
        if np.issubdtype(tensor.dtype, np.floating) and not np.isfinite(tensor).all():
            raise NotFinite(f"{name} has a weight that is not a number")
    shape = shape_of(tensors, config, family)
    np.save(folder / WORDS, compact(tensors[f"{family.embeddings}{family.word}.weight"]))
    rest = {SHAPE: np.array(json.dumps(asdict(shape))), **embedding(tensors, family)}
    for name, is_for_neighbours in ((WHOLE, False), (NEIGHBOURS, True)):
        layers = {
            f"{number}.{part}": array
            for number in range(shape.layers)
            for part, array in layer(tensors, family, number, shape, is_for_neighbours)
        }
        np.savez(folder / name, **rest, **layers)  # type: ignore[arg-type]


def shape_of(tensors: Tensors, config: Config, family: Family) -> Shape:
    return Shape(
        width=config["hidden_size"],
        heads=config["num_attention_heads"],
        inner=config["intermediate_size"],
        layers=config["num_hidden_layers"],
        apart=layers_apart(tensors["gates"] if family.in_two_parts else None),
        first_position=first_position(config, family),
        in_two_parts=family.in_two_parts,
        epsilon=config.get("layer_norm_eps", 1e-12),
    )


def compact(table: Floats) -> Array:
    """In half precision where that changes no number: most models are published in it."""
    half = table.astype(np.float16)
    return half if np.array_equal(half.astype(table.dtype), table) else table.astype(np.float32)


def embedding(tensors: Tensors, family: Family) -> dict[str, Array]:
    read = {"position": f"{family.position}.weight", "norm.scale": f"{family.norm}.weight"}
    read["norm.shift"] = f"{family.norm}.bias"
    if family.types:
        read["types"] = f"{family.types}.weight"
    arrays: dict[str, Array] = {
        f"embedding.{name}": as_floats(tensors[family.embeddings + source])
        for name, source in read.items()
    }
    for number, name in enumerate(family.head):
        weight = as_floats(tensors[f"{name}.weight"]).T
        # The library multiplies with whole panels.
        filled = np.pad(weight, ((0, 0), (0, -weight.shape[1] % PANEL)))
        arrays[f"head.{number}.weight"] = np.ascontiguousarray(filled)
        arrays[f"head.{number}.bias"] = as_floats(tensors[f"{name}.bias"])
    return arrays


def layer(
    tensors: Tensors, family: Family, number: int, shape: Shape, is_for_neighbours: bool
) -> Iterator[tuple[str, Array]]:
    def linear(part: str) -> tuple[Floats, Floats]:
        name = family.layer.format(number) + family.parts[part]
        return as_floats(tensors[f"{name}.weight"]).T, as_floats(tensors[f"{name}.bias"])

    # Scores are exponents of 2.
    factor = np.float32(LOG2_E / np.sqrt(shape.width // shape.heads))
    query, key, value = (linear(part) for part in ("query", "key", "value"))
    query = (query[0] * factor, query[1] * factor)
    weights, biases = (
        by_heads([each[index] for each in (query, key, value)], shape.heads) for index in (0, 1)
    )
    products = {"attention": (weights, biases)}
    products |= {part: linear(part) for part in ("mixed", "up", "down")}
    for part, (weight, bias) in products.items():
        for name, array in rounded(weight, is_for_neighbours):
            yield f"{part}.{name}", array
        yield f"{part}.bias", bias
    for part in ("mixed", "down"):
        name = family.layer.format(number) + family.parts[f"{part}_norm"]
        yield f"{part}_norm.scale", as_floats(tensors[f"{name}.weight"])
        yield f"{part}_norm.shift", as_floats(tensors[f"{name}.bias"])
    if family.in_two_parts:
        yield "gates", (as_floats(tensors["gates"])[number, :, :, 0] * np.float32(LOG2_E))


def as_floats(tensor: Array) -> Floats:
    return np.ascontiguousarray(tensor, dtype=np.float32)


def by_heads(parts: list[Floats], heads: int) -> Floats:
    """Query, key and value of the first head, of the second, and so on, on the last axis."""
    apart = [part.reshape(*part.shape[:-1], heads, -1) for part in parts]
    return np.concatenate(apart, -1).reshape(*parts[0].shape[:-1], -1)


def rounded(weight: Floats, is_for_neighbours: bool) -> Iterator[tuple[str, Array]]:
    """Weights [inputs, outputs] of a product."""
    numbers, scale = (round_neighbours if is_for_neighbours else round_columns)(weight)
    inputs, outputs = numbers.shape
    yield "scale", scale
    sums = numbers.reshape(inputs // GROUP, GROUP, outputs).sum(1, dtype=np.int32)
    yield "start", -ZERO * sums
    # The library multiplies four rows of a panel at once.
    panels = numbers.reshape(inputs // 4, 4, outputs // PANEL, PANEL).transpose(2, 0, 3, 1)
    yield "weights", np.ascontiguousarray(panels)
