"""Training rows: queries, the passages of their source, and BM25's candidates among them."""

import io
import json
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int32]


@dataclass(frozen=True)
class Source:
    """One collection; row i of `candidates`: passages for query i, best first, without gold."""

    name: str
    passages: list[str]
    queries: list[str]
    positives: list[list[int]]
    candidates: Indices


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


class Passages:
    """Distinct texts, numbered in order of appearance."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.numbers: dict[str, int] = {}

    def add(self, text: str) -> int:
        number = self.numbers.setdefault(text, len(self.texts))
        if number == len(self.texts):
            self.texts.append(text)
        return number


def read_source(folder: Path, name: str) -> tuple[list[str], list[str], list[list[int]]]:
    passages = Passages()
    gold: dict[str, list[int]] = {}
    for row in read_lines(folder / f"{name}.jsonl.xz"):
        positives = gold.setdefault(row["query"], [])
        positives.extend(n for n in map(passages.add, row["positives"]) if n not in positives)
        for text in row["negatives"]:
            passages.add(text)
    distractors = folder / "distractors" / f"{name}.jsonl.xz"
    if distractors.exists():
        for row in read_lines(distractors):
            passages.add(row["text"])
    return passages.texts, list(gold), list(gold.values())


def mine(
    passages: list[str], queries: list[str], positives: list[list[int]], depth: int
) -> Indices:
    """The best `depth` BM25 passages per query, without positives and texts similar to them."""
    import bm25s  # noqa: PLC0415 (not needed if the candidates are already mined)
    import Stemmer  # noqa: PLC0415

    stemmer = Stemmer.Stemmer("english")
    index = bm25s.BM25(k1=0.9, b=0.4)
    index.index(
        bm25s.tokenize(passages, stopwords="en", stemmer=stemmer, show_progress=False),
        show_progress=False,
    )
    tokens = bm25s.tokenize(queries, stopwords="en", stemmer=stemmer, show_progress=False)
    reach = min(depth + 20, len(passages))
    best, _ = index.retrieve(tokens, k=reach, show_progress=False)
    rows = np.full((len(queries), depth), -1, dtype=np.int32)
    for row, hits, gold in zip(rows, best, positives, strict=True):
        starts = {passages[n][:120] for n in gold}
        kept = [n for n in hits if n not in gold and passages[n][:120] not in starts][:depth]
        row[: len(kept)] = kept
    return rows


def load_source(
    folder: Path, name: str, cache: Path, *, limit: int, depth: int, seed: int
) -> Source:
    passages, queries, positives = read_source(folder, name)
    order = np.random.default_rng(seed).permutation(len(queries))[:limit]
    queries = [queries[n] for n in order]
    positives = [positives[n] for n in order]
    mined = remembered(cache / f"{name}.npy")
    if mined is None:
        mined = mine(passages, queries, positives, depth)
        cache.mkdir(parents=True, exist_ok=True)
        np.save(cache / f"{name}.npy", mined)
    return Source(name, passages, queries, positives, mined)


def remembered(path: Path) -> Indices | None:
    packed = path.with_name(f"{path.name}.xz")
    if path.exists():
        return np.asarray(np.load(path), dtype=np.int32)
    if packed.exists():
        unpacked = io.BytesIO(lzma.decompress(packed.read_bytes()))
        return np.asarray(np.load(unpacked), dtype=np.int32)
    return None


def load_sources(
    folder: Path, cache: Path, *, limit: int = 8000, depth: int = 60, seed: int = 0
) -> list[Source]:
    names = sorted(path.name.removesuffix(".jsonl.xz") for path in folder.glob("*.jsonl.xz"))
    return [load_source(folder, name, cache, limit=limit, depth=depth, seed=seed) for name in names]
