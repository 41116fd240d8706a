"""Lower layers compute a query or a document once, and what they make of it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from app.engines import LoadedModel, Pair
from app.engines.lower_states import StateCache, parts_of, side_by_side
from app.engines.published import find_published, open_published
from app.engines.spec import ModelSpec
from app.engines.streams import StreamedEngine

CHANNELS = 4


def pair(query: Sequence[int], document: Sequence[int]) -> Pair:
    return Pair(np.array([*query, *document], dtype=np.int32), len(query))


class Counting:
    """A state is its token; a score is the sum of the states. Counts what the lower part reads."""

    def __init__(self) -> None:
        self.parts: list[list[int]] = []

    def lower(self, parts: Sequence[Pair], width: int) -> NDArray[np.generic]:
        self.parts += [part.ids.tolist() for part in parts]
        states = np.full((len(parts), width, CHANNELS), 99.0, dtype=np.float32)  # padding
        for row, part in zip(states, parts, strict=True):
            row[: part.tokens] = part.ids[:, None]
        return states

    def score(
        self, pairs: Sequence[Pair], width: int, lower: NDArray[np.float32] | None
    ) -> list[float]:
        assert lower is not None
        assert lower.shape == (len(pairs), width, CHANNELS)
        return [float(row.sum()) / CHANNELS for row in lower]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def engine_of(stream: Counting, cache: StateCache) -> StreamedEngine:
    engine = StreamedEngine("counting", "float32", 64, [stream], state_cache=cache)
    stream.parts.clear()  # of its start
    return engine


QUERY, OTHER = [1, 2], [3]
DOCUMENTS = [[10, 11, 12], [20], [30, 31]]


def test_a_query_is_computed_once_for_all_documents_of_a_batch() -> None:
    stream = Counting()
    engine = engine_of(stream, StateCache(0, 0, "float32"))
    scores = engine.score([pair(QUERY, document) for document in DOCUMENTS])
    assert scores == [36, 23, 64]
    assert sorted(stream.parts) == sorted([QUERY, *DOCUMENTS])


def test_another_question_about_the_same_documents_computes_the_question_alone() -> None:
    stream = Counting()
    cache = StateCache(2**20, 60, "float32")
    engine = engine_of(stream, cache)
    engine.score([pair(QUERY, document) for document in DOCUMENTS])
    stream.parts.clear()
    assert engine.score([pair(OTHER, document) for document in DOCUMENTS]) == [36, 23, 64]
    assert stream.parts == [OTHER]
    assert (cache.hits, cache.misses) == (3, 5)


def test_what_is_not_kept_is_computed_in_each_batch_and_scores_the_same() -> None:
    stream = Counting()
    engine = engine_of(stream, StateCache(0, 60, "float32"))
    batch = [pair(QUERY, document) for document in DOCUMENTS]
    assert engine.score(batch) == engine.score(batch)
    assert len(stream.parts) == 8


def test_states_are_forgotten_after_their_time() -> None:
    clock = Clock()
    cache = StateCache(2**20, 60, "float32", clock)
    cache.keep(b"part", np.ones((2, CHANNELS), dtype=np.float32))
    clock.now = 59
    assert list(cache.find([b"part"])) == [b"part"]
    clock.now = 60
    assert cache.find([b"part"]) == {}


def test_states_never_exceed_their_memory_and_the_oldest_go_first() -> None:
    cache = StateCache(10_000, 60, "float32")
    states = np.ones((200, CHANNELS), dtype=np.float32)  # 3,200 bytes
    for part in (b"a", b"b", b"c", b"d"):
        cache.keep(part, states)
        assert 3_200 <= cache.size <= 10_000
    assert list(cache.find([b"a", b"b", b"c", b"d"])) == [b"c", b"d"]


def test_a_copy_is_kept_because_the_next_call_overwrites_the_states() -> None:
    states = np.ones((2, CHANNELS), dtype=np.float32)
    cache = StateCache(2**20, 60, "float32")
    cache.keep(b"part", states)
    states[:] = 7
    assert cache.find([b"part"])[b"part"].tolist() == [[1.0] * CHANNELS] * 2


@pytest.mark.parametrize(("dtype", "kept"), [("float32", np.float32), ("int8", np.float16)])
def test_engines_in_eight_bits_read_the_precision_that_is_kept(
    dtype: str, kept: type[np.generic]
) -> None:
    """Else a score would depend on whether its document was known."""
    cache = StateCache(2**20, 60, dtype)
    first = cache.keep(b"part", np.full((1, CHANNELS), 1 / 3, dtype=np.float32))
    again = cache.find([b"part"])[b"part"]
    assert first.dtype == again.dtype == kept
    assert np.array_equal(first, again)


def test_states_stand_side_by_side_and_padding_is_zero() -> None:
    batch = [pair(QUERY, [10]), pair(OTHER, [10, 20, 30])]
    states = {
        part: np.repeat(ids[:, None], CHANNELS, 1).astype(np.float32)
        for part, ids in parts_of(batch).items()
    }
    assert len(states) == 4
    joined = side_by_side(batch, 5, states)
    assert joined[:, :, 0].tolist() == [[1, 2, 10, 0, 0], [3, 10, 20, 30, 0]]


@pytest.fixture(scope="module", params=[0, 2**24])
def bundled(request: pytest.FixtureRequest) -> LoadedModel:
    spec = ModelSpec(device="cpu", engine="auto", state_bytes=request.param, state_seconds=60)
    published = find_published(spec)
    assert published is not None
    assert published.graphs.lower == Path(published.folder) / "float32-lower.onnx"
    return open_published(spec, published)


def test_the_bundled_model_scores_the_same_with_known_and_with_new_documents(
    bundled: LoadedModel,
) -> None:
    documents = ["Books are lent for four weeks.", "The river is long. " * 9, "no"]

    def score(query: str) -> list[float]:
        encoded = bundled.encoder.encode(query, documents, instruction=None, cut="right")
        return bundled.engine.score([each.pair for each in encoded])

    first = score("how long may I keep a book")
    score("which river is long")
    assert score("how long may I keep a book") == first
    cache = bundled.engine.state_cache
    assert cache is not None
    assert (cache.hits > 0) == (cache.size > 0)
