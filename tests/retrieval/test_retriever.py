from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import pytest

from app.errors import InvalidRequest, UpstreamFailed, UpstreamTimeout
from app.events import Event, StoreSearched
from app.retrieval.retriever import Retrieved, Retriever
from app.retrieval.store import Candidate, Search
from tests.virtual_time import in_virtual_time, now

retriever_of = partial(Retriever, passage_chars=200_000)


class FakeStore:
    """Gives each query its own candidates after `seconds`, or fails."""

    def __init__(
        self,
        name: str = "store",
        results: Mapping[str, Sequence[str]] | None = None,
        *,
        reads: Literal["words", "vector"] = "words",
        seconds: float = 0.0,
        error: UpstreamFailed | InvalidRequest | None = None,
    ) -> None:
        self.name = name
        self.reads = reads
        self.searches: list[Search] = []
        self.closed = False
        self._results = results or {}
        self._seconds = seconds
        self._error = error

    async def search(self, search: Search) -> list[Candidate]:
        self.searches.append(search)
        await asyncio.sleep(self._seconds)
        if self._error is not None:
            raise self._error
        names = self._results.get(search.text, ())
        return [Candidate(name, f"the text of {name}", score=9.0) for name in names][: search.k]

    async def close(self) -> None:
        self.closed = True


class FakeEmbedder:
    """A text's vector is its length."""

    name = "embedder"

    def __init__(self, seconds: float = 0.0, error: UpstreamFailed | None = None) -> None:
        self.calls: list[list[str]] = []
        self.closed = False
        self._seconds = seconds
        self._error = error

    async def embed_queries(self, texts: Sequence[str]) -> list[list[float]]:
        self.calls.append(list(texts))
        await asyncio.sleep(self._seconds)
        if self._error is not None:
            raise self._error
        return [[float(len(text))] for text in texts]

    embed_passages = embed_queries

    async def close(self) -> None:
        self.closed = True


DOWN = UpstreamFailed("chroma cannot be reached", upstream="chroma")
SLOW = UpstreamTimeout("embedder did not answer within 5 ms", upstream="embedder")


async def retrieve(retriever: Retriever, *queries: str, k: int = 5, **filters: Any) -> Retrieved:
    return await retriever.retrieve(queries or ("q",), k=k, filters=filters, collection=None)


def ids(retrieved: Retrieved) -> list[str]:
    return [candidate.id for candidate in retrieved.candidates]


@in_virtual_time
async def test_one_store_and_one_query_keep_the_stores_order_and_score() -> None:
    retrieved = await retrieve(retriever_of([FakeStore(results={"q": "cab"})]), k=2)
    assert ids(retrieved) == ["c", "a"]
    assert [candidate.score for candidate in retrieved.candidates] == [9.0, 9.0]
    assert retrieved.warnings == ()


@in_virtual_time
async def test_all_stores_search_for_all_queries_at_once() -> None:
    stores = [FakeStore(results={"q": "ab", "r": "bc"}, seconds=1), FakeStore(seconds=2)]
    assert ids(await retrieve(retriever_of(stores), "q", "r")) == ["b", "a", "c"]
    assert now() == 2
    assert [[search.text for search in store.searches] for store in stores] == [["q", "r"]] * 2


@in_virtual_time
async def test_vectors_are_made_once_while_word_stores_already_search() -> None:
    embedder = FakeEmbedder(seconds=3)
    words, vectors = FakeStore(seconds=3), FakeStore(reads="vector", seconds=1)
    await retrieve(retriever_of([words, vectors], embedder), "q", "long")
    assert now() == 4
    assert embedder.calls == [["q", "long"]]
    assert [search.vector for search in vectors.searches] == [[1.0], [4.0]]
    assert [search.vector for search in words.searches] == [None, None]


@in_virtual_time
async def test_nothing_is_embedded_for_stores_that_read_words() -> None:
    embedder = FakeEmbedder()
    await retrieve(retriever_of([FakeStore()], embedder))
    assert embedder.calls == []


@in_virtual_time
async def test_without_a_query_nothing_is_searched() -> None:
    embedder = FakeEmbedder()
    retriever = retriever_of([FakeStore(reads="vector")], embedder)
    retrieved = await retriever.retrieve([], k=5, filters={}, collection=None)
    assert (retrieved, embedder.calls) == (Retrieved([]), [])


@in_virtual_time
async def test_filters_k_and_collection_reach_every_store() -> None:
    store = FakeStore()
    await retriever_of([store]).retrieve(["q"], k=7, filters={"a": 1}, collection="other")
    assert store.searches == [Search("q", 7, None, {"a": 1}, "other")]


@in_virtual_time
async def test_when_one_store_fails_the_others_answer_and_a_warning_names_it() -> None:
    stores = [FakeStore("chroma", error=DOWN), FakeStore(results={"q": "ab"})]
    retrieved = await retrieve(retriever_of(stores), "q", "r")
    assert ids(retrieved) == ["a", "b"]
    assert retrieved.warnings == ("chroma cannot be reached: its candidates are missing",)


@in_virtual_time
async def test_when_all_stores_fail_the_error_is_theirs() -> None:
    with pytest.raises(UpstreamFailed, match="chroma cannot be reached"):
        await retrieve(retriever_of([FakeStore(error=DOWN), FakeStore(error=DOWN)]))


@in_virtual_time
async def test_without_vectors_the_word_stores_answer() -> None:
    stores = [FakeStore(results={"q": "a"}), FakeStore(reads="vector")]
    retrieved = await retrieve(retriever_of(stores, FakeEmbedder(error=SLOW)))
    assert ids(retrieved) == ["a"]
    assert retrieved.warnings == (f"{SLOW}: its candidates are missing",)
    assert stores[1].searches == []


@in_virtual_time
async def test_without_vectors_and_word_stores_the_error_is_the_embedders() -> None:
    with pytest.raises(UpstreamTimeout, match="embedder did not answer"):
        await retrieve(retriever_of([FakeStore(reads="vector")], FakeEmbedder(error=SLOW)))


@in_virtual_time
async def test_every_call_is_observed_with_its_outcome_and_its_seconds() -> None:
    events: list[Event] = []
    stores = [FakeStore("a", seconds=2), FakeStore("chroma", error=DOWN, seconds=1)]
    retriever = retriever_of(
        [*stores, FakeStore("v", reads="vector")],
        FakeEmbedder(error=SLOW),
        events.append,
    )
    await retrieve(retriever)
    assert set(events) == {
        StoreSearched("a", "ok", 2.0),
        StoreSearched("chroma", "failed", 1.0),
        StoreSearched("embedder", "timeout", 0.0),
    }


@in_virtual_time
async def test_a_caller_that_leaves_cancels_all_searches() -> None:
    store, embedder = FakeStore(reads="vector", seconds=9), FakeEmbedder(seconds=9)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await retrieve(retriever_of([store, FakeStore(seconds=9)], embedder))
    assert {task.get_name() for task in asyncio.all_tasks()} & {"embed"} == set()


@in_virtual_time
async def test_closing_closes_everything() -> None:
    store, embedder = FakeStore(), FakeEmbedder()
    await retriever_of([store], embedder).close()
    assert store.closed
    assert embedder.closed


@pytest.mark.parametrize(
    "name", ["", "a/b", "../x", "-x", "a b", "a,b", "*", "_all", "x" * 129, 'a"']
)
def test_a_collections_name_cannot_be_anything_else(name: str) -> None:
    @in_virtual_time
    async def test() -> None:
        with pytest.raises(InvalidRequest, match="collection: at most 128") as caught:
            await retriever_of([FakeStore()]).retrieve(["q"], k=1, filters={}, collection=name)
        assert caught.value.field == "collection"

    test()


@pytest.mark.parametrize("value", [None, [], {}, ["a"], "a\0b", float("nan"), float("inf"), 2**63])
def test_a_filters_value_is_a_text_a_number_or_true_or_false(value: object) -> None:
    @in_virtual_time
    async def test() -> None:
        with pytest.raises(InvalidRequest, match=r"filters\.topic: must be a text") as caught:
            await retrieve(retriever_of([FakeStore()]), topic=value)
        assert caught.value.field == "filters.topic"

    test()


@pytest.mark.parametrize(
    ("filters", "field", "limit"),
    [
        ({f"name{number}": 1 for number in range(33)}, "filters", 32),
        ({"n" * 129: 1}, "filters", 128),
        ({"topic": "t" * 4097}, "filters.topic", 4096),
        ({"": 1}, "filters", None),
        ({"$where": "sleep(1000)"}, "filters", None),
        ({"a\0b": 1}, "filters", None),
    ],
)
def test_filters_are_bounded_and_none_is_an_operator(
    filters: dict[str, Any], field: str, limit: int | None
) -> None:
    @in_virtual_time
    async def test() -> None:
        store = FakeStore()
        with pytest.raises(InvalidRequest) as caught:
            await retriever_of([store]).retrieve(["q"], k=1, filters=filters, collection=None)
        assert (caught.value.field, caught.value.limit) == (field, limit)
        assert len(str(caught.value)) < 200
        assert store.searches == []

    test()


@in_virtual_time
async def test_as_many_and_as_long_filters_as_are_allowed_reach_the_store() -> None:
    store = FakeStore()
    filters = {f"{number:0128}": "t" * 4096 for number in range(32)}
    await retriever_of([store]).retrieve(["q"], k=1, filters=filters, collection=None)
    assert store.searches[0].filters == filters


@in_virtual_time
async def test_a_search_that_a_store_cannot_express_is_an_invalid_request() -> None:
    refusal = InvalidRequest("query holds ..", field="query")
    stores = [FakeStore(results={"q": "a"}, seconds=1), FakeStore(error=refusal)]
    with pytest.raises(InvalidRequest, match=r"query holds \.\."):
        await retrieve(retriever_of(stores))
    assert now() == 1


@in_virtual_time
async def test_a_passage_that_is_too_long_is_cut_and_the_limit_named() -> None:
    store = FakeStore(results={"q": "ab"})
    retrieved = await retrieve(retriever_of([store], passage_chars=12))
    assert [candidate.text for candidate in retrieved.candidates] == ["the text of "] * 2
    assert retrieved.warnings == ("2 passages were cut to 12 characters (max_document_chars)",)
    whole = await retrieve(retriever_of([store], passage_chars=13))
    assert (whole.candidates[0].text, whole.warnings) == ("the text of a", ())
