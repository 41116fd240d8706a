"""What is asked: fresh texts whose lengths in tokens are known, because each word is one token."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

VOCABULARY = (
    "river library book week desk harbour engine copper sail winter summer letter market bridge "
    "garden window paper stone water field forest mountain village city street station train ship "
    "island coast storm cloud rain snow light shadow morning evening night doctor teacher student "
    "farmer soldier captain king queen judge lawyer artist writer reader singer dancer player team "
    "game match score price money bank trade company office factory machine tool wheel metal iron "
    "gold silver glass wood cotton silk wool bread sugar salt coffee tea wine beer fruit apple "
    "orange lemon fish meat animal horse dog cat bird tree flower grass seed root leaf branch"
)
WORDS = VOCABULARY.split()
QUERY_WORDS = 10
MARKERS = 3  # [CLS], and a [SEP] after each text
SPREAD = 0.4  # of the logarithm of a document's length
MOST_WORDS = 480
STREAM = 100_000  # random words that texts are cut from: cheaper than drawing each word

SMALL, LARGE = "small", "large"
DOCUMENTS = {SMALL: 10, LARGE: 200}
ONE_IN = 10  # is large
MEAN_DOCUMENTS = (DOCUMENTS[SMALL] * (ONE_IN - 1) + DOCUMENTS[LARGE]) / ONE_IN


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    tokens: int  # of a pair, on average


SHORT = Kind("short", 86)
CHUNK = Kind("chunk", 240)
KINDS = (SHORT, CHUNK)


@dataclass(frozen=True)
class Request:
    query: str
    documents: tuple[str, ...]

    @cached_property
    def body(self) -> bytes:
        """What the service, Infinity and the plain app all understand."""
        return json.dumps({"query": self.query, "documents": self.documents}).encode()

    @property
    def pairs(self) -> list[tuple[str, str]]:
        return [(self.query, document) for document in self.documents]


class Texts:
    """Requests without end, none like another; the same seed gives the same ones."""

    def __init__(self, kind: Kind, seed: int) -> None:
        self._mean_words = kind.tokens - MARKERS - QUERY_WORDS
        self._chance = random.Random(seed)
        self._stream = self._chance.choices(WORDS, k=STREAM)

    def request(self, documents: int) -> Request:
        texts = tuple(self._words(self._length()) for _ in range(documents))
        return Request(self._words(QUERY_WORDS), texts)

    def _length(self) -> int:
        """Log-normal, as passages are, with the kind's mean."""
        spread = self._chance.gauss(-SPREAD * SPREAD / 2, SPREAD)
        return max(1, min(MOST_WORDS, round(self._mean_words * math.exp(spread))))

    def _words(self, count: int) -> str:
        start = self._chance.randrange(STREAM - count)
        return " ".join(self._stream[start : start + count])


def sizes(count: int, chance: random.Random) -> list[str]:
    """Exactly one in ten is large, at any place: the load is what it is said to be."""
    large = round(count / ONE_IN)
    mixed = [LARGE] * large + [SMALL] * (count - large)
    chance.shuffle(mixed)
    return mixed


def mixture(seed: int) -> Callable[[], Request]:
    """Short requests of both sizes without end, ten at a time in their proportion."""
    texts, chance, waiting = Texts(SHORT, seed), random.Random(seed), list[str]()

    def make() -> Request:
        if not waiting:
            waiting.extend(sizes(ONE_IN, chance))
        return texts.request(DOCUMENTS[waiting.pop()])

    return make
