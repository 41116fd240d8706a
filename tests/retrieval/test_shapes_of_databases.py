"""Weaviate, Milvus and Pinecone, against the shapes of their documentation."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.errors import InvalidRequest, LoadFailed, UpstreamFailed
from app.retrieval.endpoint import Endpoint
from app.retrieval.opening import open_retriever, open_writer
from app.retrieval.store import Candidate
from app.retrieval.stores import pinecone
from app.retrieval.stores.labels import label, labels_of
from tests.answer.upstreams import (
    EMBEDDER,
    MILVUS,
    PINECONE,
    VECTOR,
    WEAVIATE,
    Upstream,
    answering,
    opened,
)
from tests.retrieval.stage import stage_of

pytestmark = pytest.mark.anyio

FILTERS = {"topic": "pets", "year": 2021}


async def ask(
    upstream: Upstream, url: str, filters: dict[str, Any] = FILTERS, **more: object
) -> list[Candidate]:
    async with opened(url, upstream, **more) as retriever:
        result = await retriever.retrieve(["cats"], k=7, filters=filters, collection=None)
    return list(result.candidates)


# --- Weaviate ------------------------------------------------------------------------------


NEAR = (
    "{ Get { Docs(limit: 7, nearVector: {vector: [0.1, 0.2]}, "
    'where: {operator: And, operands: [{path: ["topic"], operator: Equal, valueText: "pets"}, '
    '{path: ["year"], operator: Equal, valueInt: 2021}]}) '
    "{ text source topic year _additional { id distance score } } } }"
)


async def test_weaviate_is_asked_in_graphql_for_the_properties_of_its_class() -> None:
    upstream = answering(WEAVIATE)
    candidates = await ask(upstream, "weaviate+https://weaviate.test:443", store_key="s3cret")
    request = upstream.requests[0]
    assert (request.method, str(request.url)) == ("POST", "https://weaviate.test/v1/graphql")
    assert request.headers["Authorization"] == "Bearer s3cret"
    assert upstream.body == {"query": NEAR}
    assert candidates == [
        Candidate("5c56c793", "first", {"source": "a.md"}, 0.9),
        Candidate("7e57d004", "second", {}, 0.6),
    ]


@pytest.mark.parametrize(
    ("kind", "operator"),
    [
        ("words", 'bm25: {query: "cats", properties: ["text"]}'),
        (
            "hybrid",
            'hybrid: {query: "cats", properties: ["text"], vector: [0.1, 0.2]}',
        ),
    ],
)
async def test_weaviate_finds_words_or_both_and_writes_their_scores_as_texts(
    kind: str, operator: str
) -> None:
    scored = {"_additional": {"id": "x", "distance": None, "score": "0.75"}, "text": "first"}
    upstream = answering({"data": {"Get": {"Docs": [scored]}}})
    (candidate,) = await ask(upstream, f"weaviate://weaviate.test?search={kind}", {})
    assert candidate == Candidate("x", "first", {}, 0.75)
    assert f"Docs(limit: 7, {operator})" in upstream.body["query"]


async def test_without_an_embedder_weaviate_finds_words() -> None:
    scored = {"_additional": {"id": "x", "distance": None, "score": "2"}, "text": "first"}
    upstream = answering({"data": {"Get": {"Docs": [scored]}}})
    await ask(upstream, "weaviate://weaviate.test", {}, embedder="")
    assert "bm25" in upstream.body["query"]


@pytest.mark.parametrize("text", ['say "cats"', "a\\b", "tab\t", "}) { secret", "猫 🐈", "\x01"])
async def test_a_question_is_never_more_than_a_value_of_graphql(text: str) -> None:
    from graphql import parse  # noqa: PLC0415 (of the packages for development)
    from graphql.utilities import value_from_ast_untyped  # noqa: PLC0415

    scored = {"_additional": {"id": "x", "distance": None, "score": "2"}, "text": "first"}
    upstream = answering({"data": {"Get": {"Docs": [scored]}}})
    async with opened("weaviate://weaviate.test?search=words", upstream) as retriever:
        await retriever.retrieve([text], k=1, filters={"topic": text}, collection=None)
    tree: Any = parse(upstream.body["query"])
    get = tree.definitions[0].selection_set.selections[0].selection_set.selections[0]
    arguments = {each.name.value: value_from_ast_untyped(each.value) for each in get.arguments}
    assert arguments["bm25"]["query"] == text
    assert arguments["where"]["operands"][0]["valueText"] == text


@pytest.mark.parametrize(
    "filters", [{"nowhere": 1}, {"year": "2021"}, {"year": True}, {"hasAuthor": "Ada"}]
)
async def test_what_no_property_of_weaviate_can_equal_is_not_searched(
    filters: dict[str, Any],
) -> None:
    upstream = answering(WEAVIATE)
    assert await ask(upstream, "weaviate://weaviate.test", filters) == []
    assert upstream.requests == []


async def test_an_error_of_graphql_is_shown_with_a_hint() -> None:
    for message, hint in (
        ("vector lengths don't match: 384 vs 2", "another embedder"),
        ('Cannot query field "Docs" on type "GetObjectsObj".', "`rerankd ingest` makes it"),
    ):
        upstream = answering({"data": None, "errors": [{"message": message}]})
        with pytest.raises(UpstreamFailed, match=f"weaviate refused the search: .*{hint}"):
            await ask(upstream, "weaviate://weaviate.test")


async def test_names_that_weaviate_cannot_have_are_refused_before_any_request() -> None:
    upstream = answering(WEAVIATE)
    async with opened("weaviate://weaviate.test", upstream) as retriever:
        with pytest.raises(InvalidRequest, match="letters, digits and _") as caught:
            await retriever.retrieve(["q"], k=1, filters={}, collection="my-docs")
    assert caught.value.field == "collection"
    with pytest.raises(LoadFailed, match="setting collection: in Weaviate a name"):
        async with open_writer(stage_of(["weaviate://h"], collection="a.b", embedder=EMBEDDER)):
            pass
    for option, reason in (
        ("search=fuzzy", "search= is one of vector, words, hybrid"),
        ("text=a b", "letters, digits and _ only"),
    ):
        with pytest.raises(LoadFailed, match=reason):
            async with open_retriever(stage_of([f"weaviate://h?{option}"], embedder=EMBEDDER)):
                pass


def test_labels_tell_unlike_values_apart() -> None:
    values = ["1", 1, True, 1.5, "true", "1.5", ""]
    assert len({label("v", value) for value in values}) == len(values)
    assert label("v", 1.0) == label("v", 1)
    assert label("a=1", 1) != label("a", "1=1")
    assert labels_of({"a": [1], "b": None, "c": {}, "d": False}) == ["d=false"]


# --- Milvus --------------------------------------------------------------------------------


async def test_milvus_is_asked_for_neighbours_and_their_fields() -> None:
    upstream = answering(MILVUS)
    candidates = await ask(upstream, "milvus://milvus.test/library", store_key="root:Milvus")
    request = upstream.requests[0]
    assert (request.method, str(request.url)) == (
        "POST",
        "http://milvus.test:19530/v2/vectordb/entities/search",
    )
    assert request.headers["Authorization"] == "Bearer root:Milvus"
    assert upstream.body == {
        "dbName": "library",
        "collectionName": "docs",
        "data": [VECTOR],
        "annsField": "vector",
        "limit": 7,
        "outputFields": ["*"],
        "filter": 'topic == "pets" and year == 2021',
    }
    assert candidates == [
        Candidate("a", "first", {"source": "a.md"}, 0.9),
        Candidate("42", "second", {}, 0.5),
    ]


async def test_milvus_fields_may_have_other_names_and_metadata_be_json() -> None:
    """As LangChain names the primary field; Milvus writes JSON as a text."""
    row = {"pk": 7, "distance": 0.5, "body": "x", "facts": '{"a": 1}', "emb": [0.1]}
    upstream = answering({"code": 0, "data": [row]})
    url = "milvus://milvus.test?id=pk&text=body&vector=emb&metadata=facts"
    assert await ask(upstream, url) == [Candidate("7", "x", {"a": 1}, 0.5)]
    assert upstream.body["annsField"] == "emb"
    assert upstream.body["filter"] == 'facts["topic"] == "pets" and facts["year"] == 2021'


@pytest.mark.parametrize(
    ("name", "value", "condition"),
    [
        ("a", 'say "hi" \\', r'a == "say \"hi\" \\"'),
        ("in", True, '$meta["in"] == true'),
        ("odd name", 2.5, '$meta["odd name"] == 2.5'),
        ('x" or 1 == 1', 1, r'$meta["x\" or 1 == 1"] == 1'),
    ],
)
async def test_a_filter_is_never_more_than_a_comparison_of_milvus(
    name: str, value: Any, condition: str
) -> None:
    upstream = answering(MILVUS)
    await ask(upstream, "milvus://milvus.test", {name: value})
    assert upstream.body["filter"] == condition


async def test_an_error_of_milvus_has_the_status_of_success_and_a_code() -> None:
    for code, reason in ((100, "`rerankd ingest` makes it"), (1100, "code 1100.*another embedder")):
        upstream = answering({"code": code, "message": "no"})
        with pytest.raises(UpstreamFailed, match=reason):
            await ask(upstream, "milvus://milvus.test")


async def test_fields_that_milvus_cannot_have_are_refused_at_start() -> None:
    with pytest.raises(LoadFailed, match="letters, digits and _ only"):
        async with open_retriever(stage_of(["milvus://h?id=a-b"], embedder=EMBEDDER)):
            pass


# --- Pinecone ------------------------------------------------------------------------------


async def test_pinecone_is_asked_for_matches_of_a_namespace() -> None:
    upstream = answering(PINECONE)
    candidates = await ask(upstream, "pinecone://docs-1.svc.pinecone.test", store_key="s3cret")
    request = upstream.requests[0]
    assert (request.method, str(request.url)) == (
        "POST",
        "https://docs-1.svc.pinecone.test/query",
    )
    assert request.headers["Api-Key"] == "s3cret"
    assert request.headers["X-Pinecone-Api-Version"] == "2025-10"
    assert upstream.body == {
        "namespace": "docs",
        "vector": VECTOR,
        "topK": 7,
        "includeMetadata": True,
        "filter": {"$and": [{"topic": {"$eq": "pets"}}, {"year": {"$eq": 2021}}]},
    }
    assert candidates == [
        Candidate("a", "first", {"source": "a.md"}, 0.9),
        Candidate("b", "second", {}, 0.5),
    ]


async def test_pinecone_has_a_namespace_without_a_name_of_ours() -> None:
    upstream = answering(PINECONE)
    url = "pinecone://index.test?namespace=__default__"
    await ask(upstream, url, {"topic": "pets"})
    assert upstream.body["namespace"] == "__default__"
    assert upstream.body["filter"] == {"topic": {"$eq": "pets"}}


@pytest.mark.parametrize(("namespaces", "is_there"), [({"docs": {}}, True), ({"x": {}}, False)])
async def test_nothing_in_a_namespace_is_told_from_no_namespace(
    namespaces: dict[str, Any], is_there: bool
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        is_search = request.url.path == "/query"
        return httpx.Response(
            200, json={"matches": []} if is_search else {"namespaces": namespaces}
        )

    upstream = Upstream(answer)
    if is_there:
        assert await ask(upstream, "pinecone://index.test") == []
    else:
        with pytest.raises(UpstreamFailed, match="`rerankd ingest` makes it"):
            await ask(upstream, "pinecone://index.test")


async def test_metadata_that_pinecone_cannot_keep_come_back_all_the_same() -> None:
    odd = {"a": None, "b": {"c": [1]}, "d": [1, 2], "e": 2**60, "f": ["x"], "g": 1.5, "h": True}
    index = pinecone.Index(Endpoint("pinecone", httpx.AsyncClient(), 1.0), "text")
    metadata = index.metadata_of(Candidate("x", "cats", odd))
    assert set(metadata) == {"text", "rerankd_json", "f", "g", "h"}
    assert index.facts_of(metadata) == odd
    with pytest.raises(UpstreamFailed, match=r"in the field text, .* with \?text="):
        index.metadata_of(Candidate("x", "cats", {"text": "other"}))
    await index.endpoint.close()


def test_what_is_written_to_pinecone_at_once_is_never_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pinecone, "MAX_UPSERT_BYTES", 100)
    records = [{"id": str(number), "values": [0.5] * 5} for number in range(10)]
    batches = list(pinecone.batches(records))
    assert [record for batch in batches for record in batch] == records
    assert [len(batch) for batch in batches] == [2, 2, 2, 2, 2]
    assert len(list(pinecone.batches([{"values": [0.5] * 99}]))) == 1
