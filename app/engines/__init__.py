"""Token ids in, logits out. This file is all that the rest of the service knows of engines."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from app.rerank.query import Side

if TYPE_CHECKING:
    from app.engines.slices import Slicing

# Read once, when torch is loaded: threads that wait for each other then sleep and do not spin.
# Spinning makes a batch several times slower as soon as anything else wants the same processors.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# `import openvino` alone reports to a statistics service of its makers. Without this module of its
# own, which None says is not there, it reports nothing.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

Ids = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A query and a passage as the engine reads them; the first `split` tokens are the query's."""

    ids: Ids
    split: int

    @property
    def tokens(self) -> int:
        return len(self.ids)


def tokens_of(pairs: Iterable[Pair]) -> int:
    return sum(pair.tokens for pair in pairs)


class Encoded(NamedTuple):
    pair: Pair
    whole: int  # tokens before anything was cut off; of a clipped document, at least
    document: int  # how many of them are the document's; the same
    kept: int  # and how many of those the pair has

    @property
    def tokens(self) -> int:
        return self.pair.tokens


class OutOfMemory(Exception):
    """The batch did not fit; a smaller one may."""


def checked(logits: Sequence[float], pairs: int) -> list[float | None]:
    """A wrong number of scores is a failure, never a shift."""
    if len(logits) != pairs:
        raise ValueError(f"{len(logits)} scores for {pairs} pairs")
    if not all(map(math.isfinite, logits)):
        raise ValueError("a score is not a finite number")
    return list(logits)


class Encoder(Protocol):
    """Text to tokens. Called from threads, several at a time."""

    max_tokens: int
    takes_instruction: bool
    repeats_query: bool  # tokenizes the query once more for each document

    def encode(
        self,
        query: str,
        documents: Sequence[str],
        *,
        instruction: str | None,
        cut: Side,
        document_tokens: int = 0,  # that a document may take; 0: what the model has
        clip: bool = False,  # nobody asks how long a document is that is cut
    ) -> list[Encoded]: ...


class Engine(Protocol):
    """Pairs to logits. Called from one thread, or from two at once if it has several streams."""

    name: str
    device: str
    dtype: str
    slicing: Slicing  # how it likes its batches

    def score(self, batch: Sequence[Pair]) -> list[float]: ...

    def memory(self) -> int:
        """Bytes held on a device that counts them, else 0."""
        ...


@dataclass(frozen=True, slots=True)
class LoadedModel:
    name: str
    revision: str
    architecture: str
    engine: Engine
    encoder: Encoder
    seconds: float
