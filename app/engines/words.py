"""How much documents resemble a query by their words, before any layer has read them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.engines import Ids, Pair
from app.engines.tensors import WEIGHTS, read_tensors

Floats = NDArray[np.float32]

# As the bundled model and those that are trained from it name them.
VECTORS, RARITY = "word.weight", "evidence.weight.weight"
# As BM25 counts.
SATURATION, SLOPE = 0.9, 0.4


class WordEvidence:
    """Reads the weights of a model that has learned how much each word matters.

    Only rows of words that occur are read from the file.
    """

    def __init__(self, vectors: NDArray[np.floating], rarity: NDArray[np.floating]) -> None:
        """A row for each word of the vocabulary."""
        self._vectors = vectors
        self._rarity = rarity

    @classmethod
    def of(cls, folder: Path) -> WordEvidence | None:
        """None if the model in this folder has no such weights."""
        file = folder / WEIGHTS
        tensors = read_tensors(file) if file.is_file() else {}
        if VECTORS not in tensors or RARITY not in tensors:
            return None
        return cls(tensors[VECTORS], tensors[RARITY][:, 0])

    def compare(self, pairs: Sequence[Pair]) -> Floats:
        """The higher, the more alike, among these pairs of one query.

        The sum of three kinds of evidence: equal words counted as BM25 counts them, the most
        similar word for each of the query, and the similarity of all words together.
        """
        query = words_of(pairs[0].ids[: pairs[0].split])
        documents = [words_of(pair.ids[pair.split :]) for pair in pairs]
        vocabulary = np.unique(np.concatenate([query, *documents]))
        vectors = unit(self._vectors[vocabulary].astype(np.float32))
        rarity = self._rarity[vocabulary].astype(np.float32).clip(0)
        query_words = np.searchsorted(vocabulary, query)
        present = [
            np.unique(np.searchsorted(vocabulary, words), return_counts=True) for words in documents
        ]
        wanted = np.unique(query_words)
        alike = vectors[wanted] @ vectors.T
        whole = rarity[query_words] @ vectors[query_words]
        best = np.array(
            [alike[:, words].max(1, initial=0) @ rarity[wanted] for words, _ in present]
        )
        together = unit(
            np.array([(counts * rarity[words]) @ vectors[words] for words, counts in present])
        )
        counted = bm25(wanted, present, len(vocabulary))
        return standard(counted) + standard(best) + standard(together @ unit(whole))


def words_of(part: Ids) -> Ids:
    """Without the markers around it."""
    return part[1:-1]


def bm25(
    wanted: NDArray[np.integer],
    present: Sequence[tuple[NDArray[np.integer], NDArray[np.integer]]],
    vocabulary: int,
) -> Floats:
    """A word is rare if few of these documents have it."""
    counts = np.zeros((len(present), vocabulary), dtype=np.float32)
    for row, (words, times) in zip(counts, present, strict=True):
        row[words] = times
    lengths = counts.sum(1, keepdims=True)
    counts = counts[:, wanted]
    having = (counts > 0).sum(0)
    rarity = np.log1p((len(present) - having + 0.5) / (having + 0.5))
    pace = SATURATION * (1 - SLOPE + SLOPE * lengths / max(lengths.mean(), 1))
    result: Floats = (counts / (counts + pace)) @ rarity.astype(np.float32)
    return result


def unit(rows: Floats) -> Floats:
    result: Floats = rows / np.linalg.norm(rows, axis=-1, keepdims=True).clip(1e-6)
    return result


def standard(values: Floats) -> Floats:
    """With a mean of 0 and a deviation of 1, so that no kind of evidence outweighs the others."""
    result: Floats = (values - values.mean()) / max(float(values.std()), 1e-6)
    return result
