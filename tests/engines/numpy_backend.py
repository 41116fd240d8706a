"""A third backend, as somebody would add one: BERT in numpy, one pair at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf, softmax

from app.engines import Engine, Pair
from app.engines.backend import Choice
from app.engines.layout import Layout
from app.engines.slices import Slicing
from app.engines.spec import ModelSpec
from app.engines.torch.model import Part, TorchModel

Array = NDArray[np.float64]
HEADS = 4


class NumpyEngine:
    name, device = "numpy", "cpu"
    state_cache = None

    def __init__(self, weights: dict[str, Array], layout: Layout, choice: Choice) -> None:
        self.dtype = choice.dtype
        self.slicing = Slicing(choice.slice_tokens, waste=64, streams=choice.streams)
        self._weights = weights
        self._layout = layout

    def score(self, batch: Sequence[Pair]) -> list[float]:
        return [self._score(pair) for pair in batch]

    def memory(self) -> int:
        return 0

    def _score(self, pair: Pair) -> float:
        arrays = self._layout.arrays([pair], pair.tokens)
        types = arrays.get("token_type_ids", np.zeros((1, pair.tokens), dtype=np.int64))
        table = "bert.embeddings.{}_embeddings.weight"
        states = (
            self._weights[table.format("word")][pair.ids]
            + self._weights[table.format("position")][: pair.tokens]
            + self._weights[table.format("token_type")][types[0]]
        )
        states = self._norm(states, "bert.embeddings.LayerNorm")
        for number in range(2):
            states = self._layer(states, f"bert.encoder.layer.{number}")
        pooled = np.tanh(self._linear(states[:1], "bert.pooler.dense"))
        return float(self._linear(pooled, "classifier")[0, 0])

    def _layer(self, states: Array, name: str) -> Array:
        query, key, value = (
            np.stack(np.split(self._linear(states, f"{name}.attention.self.{part}"), HEADS, 1))
            for part in ("query", "key", "value")
        )
        weights = softmax(query @ key.transpose(0, 2, 1) / np.sqrt(key.shape[-1]), axis=-1)
        mixed = self._linear(np.concatenate(weights @ value, 1), f"{name}.attention.output.dense")
        states = self._norm(states + mixed, f"{name}.attention.output.LayerNorm")
        wide = self._linear(states, f"{name}.intermediate.dense")
        wide = wide * (1 + erf(wide / np.sqrt(2))) / 2
        narrow = self._linear(wide, f"{name}.output.dense")
        return self._norm(states + narrow, f"{name}.output.LayerNorm")

    def _linear(self, states: Array, name: str) -> Array:
        product: Array = states @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]
        return product

    def _norm(self, states: Array, name: str) -> Array:
        centered = states - states.mean(-1, keepdims=True)
        unit = centered / np.sqrt(centered.var(-1, keepdims=True) + 1e-12)
        scaled: Array = unit * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]
        return scaled


class NumpyBackend:
    name = "numpy"
    all_dtypes = ("float32", "float64")
    packages = ("numpy",)

    def __init__(self, refusal: str | None = None) -> None:
        self.refusal = refusal
        self.conversions = 0

    def dtypes(self) -> Sequence[str]:
        return ("float64",)

    def refuses(self, spec: ModelSpec) -> str | None:
        return self.refusal

    def convert(self, model: TorchModel, examples: Sequence[Pair], folder: Path) -> None:
        self.conversions += 1

        def write(part: Part) -> None:
            weights = {
                name.split("model.")[-1]: tensor.double().numpy()
                for name, tensor in part.module.state_dict().items()
            }
            np.savez(folder / "weights.npz", **weights)

        model.export(examples, write)

    def files(self, dtype: str) -> Sequence[str]:
        return ("weights.npz",)

    def open(self, folder: Path, layout: Layout, choice: Choice) -> Engine:
        with np.load(folder / "weights.npz") as weights:
            return NumpyEngine(dict(weights), layout, choice)
