"""Scores that are computed without the service: by `CrossEncoder.predict`, before it starts."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import CrossEncoder

WORDS = [
    "river",
    "library",
    "book",
    "loan",
    "week",
    "desk",
    "harbour",
    "engine",
    "copper",
    "sail",
    "note",
    "answer",
    "winter",
    "field",
    "stone",
    "letter",
    "bridge",
    "lamp",
    "road",
    "market",
    "paper",
    "cloud",
    "garden",
    "window",
    "salt",
    "iron",
    "music",
    "glass",
]
LOGIT_TOLERANCE = 2e-3


@dataclass(frozen=True)
class Truth:
    """A pool of queries and texts with the logit of every pair of them."""

    queries: list[str]
    texts: list[str]
    logits: NDArray[np.float64]  # a row for each query

    @classmethod
    def compute(cls, model: Path, queries: int, texts: int, seed: int) -> Truth:
        chance = random.Random(seed)
        pool_queries = [f"what about {' '.join(chance.sample(WORDS, 3))}" for _ in range(queries)]
        pool_texts = [
            f"{number} {' '.join(chance.choices(WORDS, k=chance.randint(3, 9)))}"
            for number in range(texts)
        ]
        pairs = [(query, text) for query in pool_queries for text in pool_texts]
        encoder = CrossEncoder(str(model), device="cpu", local_files_only=True)
        scores = encoder.predict(pairs, batch_size=256, activation_fn=torch.nn.Identity())
        rows = np.asarray(scores, dtype=np.float64).reshape(queries, texts)
        return cls(pool_queries, pool_texts, rows)

    def logit(self, query: int, text: int) -> float:
        return float(self.logits[query, text])

    def confusable(self) -> float:
        """The chance that the score of another pair passes for the right one."""
        flat = np.sort(self.logits, axis=None)
        near = np.searchsorted(flat, flat + LOGIT_TOLERANCE) - np.searchsorted(
            flat, flat - LOGIT_TOLERANCE
        )
        return float((near - 1).mean() / (len(flat) - 1))


def probability(logit: float) -> float:
    return 1.0 / (1.0 + math.exp(-logit))


def agrees(score: float, logit: float, *, as_logit: bool) -> bool:
    """Within rounding. A probability is compared as one, for its logit may be far from 0."""
    if as_logit:
        return abs(score - logit) <= LOGIT_TOLERANCE
    return abs(score - probability(logit)) <= LOGIT_TOLERANCE / 4
