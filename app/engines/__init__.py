"""Token ids in, logits out. The rest of the service needs no more of engines than this file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from app.text import Side

if TYPE_CHECKING:
    from app.engines.lower_states import StateCache
    from app.engines.slices import Slicing

Ids = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A query and a passage as the engine reads them.

    The first `split` tokens are those of the query, or of what a template has before the passage.
    """

    ids: Ids
    split: int

    @property
    def tokens(self) -> int:
        return len(self.ids)


def tokens_of(pairs: Iterable[Pair]) -> int:
    return sum(pair.tokens for pair in pairs)


class Encoded(NamedTuple):
    """A pair and its tokens; `whole` and `document` are lower bounds where a text was clipped."""

    pair: Pair
    # Before anything was cut off.
    whole: int
    # How many of them are the document's, and how many of those the pair holds.
    document: int
    kept: int

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
    # Tokenizes the query once more for each document.
    repeats_query: bool

    def encode(
        self,
        query: str,
        documents: Sequence[str],
        *,
        instruction: str | None,
        cut: Side,
        document_tokens: int = 0,
        clip: bool = False,
    ) -> list[Encoded]:
        """A document may take `document_tokens`; 0: what the model has room for.

        With `clip`, the length of a document that is cut need not be exact.
        """
        ...


class Engine(Protocol):
    """Pairs to logits. Called from one thread, or from two at once if it has several streams.

    `name` is that of its backend; `slicing` is the form in which it computes a batch best.
    """

    name: str
    device: str
    dtype: str
    slicing: Slicing

    @property
    def state_cache(self) -> StateCache | None:
        """None where the model has no lower part."""
        ...

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
