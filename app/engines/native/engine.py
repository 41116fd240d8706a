"""A converted model, run by the compiled library on the CPU. No torch is needed here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.engines import OutOfMemory, Pair
from app.engines.backend import Choice
from app.engines.layout import Layout
from app.engines.native.library import NEIGHBOURING, Encoder, aligned_bytes, available, opened
from app.engines.native.weights import NEIGHBOURS, SHAPE, WHOLE, WORDS, Arrays, Shape
from app.engines.onnxruntime import TAIL, graph_file
from app.engines.rounding import Floats
from app.engines.streams import StreamedEngine

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def open_engine(folder: Path, layout: Layout, choice: Choice) -> StreamedEngine:
    name = available()
    if name is None:
        raise RuntimeError("no library was compiled for this processor")
    file = folder / (NEIGHBOURS if name in NEIGHBOURING else WHOLE)
    with np.load(file) as archive:
        arrays = dict(archive)
    shape = Shape(**json.loads(str(arrays.pop(SHAPE))))
    try:
        encoder = Encoder(opened(name), shape, arrays)
    except (OSError, KeyError, ValueError) as error:
        raise RuntimeError(f"{file.name}: {error}") from error
    model = Model(encoder, np.load(folder / WORDS, mmap_mode="r"), arrays, layout)
    tail = open_tail(folder / graph_file(TAIL), choice)
    return StreamedEngine(
        "native",
        choice.dtype,
        choice.slice_tokens,
        [NativeStream(model, tail) for _ in range(choice.streams)],
        prepares=False,
        state_cache=choice.state_cache() if shape.apart else None,
    )


def open_tail(file: Path, choice: Choice) -> InferenceSession | None:
    """The last part of some models stays in full precision."""
    if not file.exists():
        return None
    from app.engines.onnxruntime.engine import open_session  # noqa: PLC0415 (takes a while)

    return open_session(file, choice)


class Model:
    """What all streams read."""

    def __init__(
        self, encoder: Encoder, words: NDArray[np.generic], arrays: Arrays, layout: Layout
    ) -> None:
        self.encoder = encoder
        self.layout = layout
        self._words = words
        parts = {
            name: np.asarray(array, np.float32)
            for name, array in arrays.items()
            if name.startswith(("embedding.", "head."))
        }
        self._position = parts["embedding.position"]
        self._types = parts.get("embedding.types") if layout.typed else None
        first = parts.get("embedding.types")
        # A model that is not typed reads the first type everywhere.
        if first is not None and self._types is None:
            self._position = self._position + first[0]
        self._norm = parts["embedding.norm.scale"], parts["embedding.norm.shift"]
        self._head = [
            (parts[f"head.{number}.weight"], parts[f"head.{number}.bias"])
            for number in (0, 1)
            if f"head.{number}.weight" in parts
        ]

    def words(self, pairs: Sequence[Pair]) -> Floats:
        """Of all pairs, one after the other."""
        rows: Floats = self._words[np.concatenate([pair.ids for pair in pairs])].astype(np.float32)
        return rows

    def embed(self, pairs: Sequence[Pair], words: Floats) -> Floats:
        added = self._position[np.concatenate([self._positions(pair) for pair in pairs])]
        if self._types is not None:
            added += self._types[np.concatenate([types_of(pair) for pair in pairs])]
        states = words.copy()
        self.encoder.normalize(states, added, *self._norm)
        return states

    def _positions(self, pair: Pair) -> NDArray[np.int64]:
        shape, positions = self.encoder.shape, np.arange(pair.tokens)
        if shape.in_two_parts:
            positions[pair.split :] -= pair.split
        return positions + shape.first_position

    def head(self, states: Floats) -> Floats:
        (first, first_bias), (last, last_bias) = self._head
        pooled = np.tanh(self.encoder.multiply(states, first)[:, : len(first_bias)] + first_bias)
        products = self.encoder.multiply(np.ascontiguousarray(pooled), last)
        scores: Floats = products[:, 0] + last_bias[0]
        return scores


def types_of(pair: Pair) -> NDArray[np.int64]:
    return (np.arange(pair.tokens) >= pair.split).astype(np.int64)


class NativeStream:
    """Sequences are computed one after the other, without padding."""

    def __init__(self, model: Model, tail: InferenceSession | None) -> None:
        self._model = model
        self._tail = tail
        self._tail_inputs = [each.name for each in tail.get_inputs()] if tail else []
        self._room = np.empty(0, np.uint8)

    def score(
        self, pairs: Sequence[Pair], width: int, lower: NDArray[np.float32] | None
    ) -> list[float]:
        model, shape = self._model, self._model.encoder.shape
        words = model.words(pairs)
        if lower is None:
            states, first = model.embed(pairs, words), 0
        else:
            states, first = lower[inside(pairs, width)], shape.apart
        self._encode(pairs, states, first, shape.layers, first_only=self._tail is None)
        if self._tail is None:
            scores = model.head(states[: len(pairs)])
        else:
            between = [padded(pairs, width, each) for each in (words, states)]
            read = [*model.layout.arrays(pairs, width).values(), *between]
            (scores,) = self._tail.run(None, dict(zip(self._tail_inputs, read, strict=True)))
        return [float(score) for score in np.asarray(scores).reshape(len(pairs))]

    def lower(self, parts: Sequence[Pair], width: int) -> NDArray[np.generic]:
        words = self._model.words(parts)
        states = self._model.embed(parts, words)
        self._encode(parts, states, 0, self._model.encoder.shape.apart)
        return padded(parts, width, states)

    def _encode(
        self,
        pairs: Sequence[Pair],
        states: Floats,
        first: int,
        end: int,
        *,
        first_only: bool = False,
    ) -> None:
        encoder, lengths = self._model.encoder, [pair.tokens for pair in pairs]
        size = encoder.room_size(sum(lengths), max(lengths))
        if self._room.nbytes < size:
            try:
                self._room = aligned_bytes(size)
            except MemoryError as error:
                raise OutOfMemory(f"{len(pairs)} pairs did not fit") from error
        encoder.encode(
            states,
            lengths,
            [pair.split for pair in pairs],
            self._room,
            first=first,
            end=end,
            first_only=first_only,
        )


def inside(pairs: Sequence[Pair], width: int) -> NDArray[np.bool_]:
    """Where tokens are in rows that are filled up to the width."""
    lengths = np.array([pair.tokens for pair in pairs])
    return np.arange(width) < lengths[:, None]


def padded(pairs: Sequence[Pair], width: int, states: Floats) -> Floats:
    rows = np.zeros((len(pairs), width, states.shape[1]), np.float32)
    rows[inside(pairs, width)] = states
    return rows
