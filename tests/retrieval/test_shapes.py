"""Qdrant, Elasticsearch, OpenSearch and templates, against the shapes of their documentation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from app.errors import InvalidRequest, LoadFailed, UpstreamFailed
from app.retrieval.store import Candidate
from tests.answer.upstreams import (
    CHROMA,
    ELASTICSEARCH,
    MILVUS,
    PINECONE,
    QDRANT,
    TEMPLATED,
    VECTOR,
    WEAVIATE,
    Upstream,
    answering,
    opened,
    template,
)

pytestmark = pytest.mark.anyio


async def ask(upstream: Upstream, url: str, **more: object) -> list[Candidate]:
    """With two filters, for seven candidates."""
    filters = {"topic": "pets", "year": 2021}
    async with opened(url, upstream, **more) as retriever:
        result = await retriever.retrieve(["cats"], k=7, filters=filters, collection=None)
    return list(result.candidates)


async def test_qdrant_is_queried_for_points_and_their_payload() -> None:
    upstream = answering(QDRANT)
    candidates = await ask(upstream, "qdrant://qdrant.test", store_key="s3cret")
    request = upstream.requests[0]
    assert (request.method, str(request.url)) == (
        "POST",
        "http://qdrant.test:6333/collections/docs/points/query",
    )
    assert request.headers["api-key"] == "s3cret"
    assert upstream.body == {
        "query": VECTOR,
        "limit": 7,
        "with_payload": True,
        "filter": {
            "must": [
                {"key": "topic", "match": {"value": "pets"}},
                {"key": "year", "match": {"value": 2021}},
            ]
        },
    }
    assert candidates == [
        Candidate("5c56c793-69f3-4fbf-87e6-c4bf54c28c26", "first", {"source": "a.md"}, 0.9),
        Candidate("42", "second", {}, 0.5),
    ]


async def test_qdrants_fields_may_have_other_names() -> None:
    """As LangChain lays them out."""
    point = {"id": 1, "score": 1, "payload": {"page_content": "x", "metadata": {"a": 1}}}
    upstream = answering({"result": {"points": [point]}})
    url = "qdrant+https://qdrant.test:443/proxy?text=page_content&metadata=metadata&vector=dense"
    assert await ask(upstream, url) == [Candidate("1", "x", {"a": 1}, 1.0)]
    assert str(upstream.requests[0].url) == (
        "https://qdrant.test/proxy/collections/docs/points/query"
    )
    assert upstream.body["using"] == "dense"
    assert upstream.body["filter"]["must"][0]["key"] == "metadata.topic"


FOUND = [Candidate("a", "first", {"source": "a.md"}, 1.3), Candidate("b", "second", {}, 0.7)]
TERMS = [{"term": {"topic": "pets"}}, {"term": {"year": 2021}}]


@pytest.mark.parametrize("kind", ["elasticsearch", "opensearch"])
async def test_elasticsearch_matches_words(kind: str) -> None:
    upstream = answering(ELASTICSEARCH)
    assert await ask(upstream, f"{kind}://search.test", store_key="s3cret") == FOUND
    request = upstream.requests[0]
    assert (request.method, str(request.url)) == ("POST", "http://search.test:9200/docs/_search")
    assert request.headers["Authorization"] == "ApiKey s3cret"
    match = {"match": {"text": {"query": "cats"}}}
    assert upstream.body == {
        "size": 7,
        "_source": {"excludes": ["embedding"]},
        "query": {"bool": {"must": [match], "filter": TERMS}},
    }


async def test_elasticsearch_finds_neighbours() -> None:
    upstream = answering(ELASTICSEARCH)
    assert await ask(upstream, "elasticsearch+https://u:p%40w@search.test/?vector=dense") == FOUND
    assert upstream.requests[0].headers["Authorization"].startswith("Basic ")
    assert upstream.body == {
        "size": 7,
        "_source": {"excludes": ["dense"]},
        "knn": {
            "field": "dense",
            "query_vector": VECTOR,
            "k": 7,
            "num_candidates": 70,
            "filter": TERMS,
        },
    }


async def test_opensearch_finds_neighbours_in_its_own_way() -> None:
    upstream = answering(ELASTICSEARCH)
    candidates = await ask(upstream, "opensearch://search.test?vector=dense&metadata=facts")
    assert candidates == [Candidate("a", "first", {}, 1.3), Candidate("b", "second", {}, 0.7)]
    knn = upstream.body["query"]["knn"]["dense"]
    assert knn["vector"] == VECTOR
    assert knn["k"] == 7
    assert knn["filter"]["bool"]["must"][0] == {"term": {"facts.topic": "pets"}}


async def test_a_template_is_filled_and_its_answer_read_by_paths(tmp_path: Path) -> None:
    upstream = answering(TEMPLATED)
    candidates = await ask(upstream, template(tmp_path), store_key="s3cret", embedder="")
    request = upstream.requests[0]
    assert str(request.url) == "http://search.test/find/docs"
    assert request.headers["Authorization"] == "Token s3cret"
    assert upstream.body == {
        "q": "cats",
        "top": 7,
        "where": {"topic": "pets", "year": 2021},
        "note": "for cats, 7 of {x}",
    }
    assert candidates == [
        Candidate("1", "first", {"source": "a.md"}, 2.0),
        Candidate("b", "second", {}, 1.5),
    ]


async def test_a_question_in_an_address_is_quoted_and_its_braces_stay(tmp_path: Path) -> None:
    upstream = answering([{"i": "a", "t": "x"}])
    url = template(
        tmp_path,
        url="http://search.test/?q={query}&n={k}",
        method="GET",
        body=None,
        results="",
        id="i",
        text="t",
        metadata=None,
        score=None,
    )
    async with opened(url, upstream, embedder="") as retriever:
        result = await retriever.retrieve(["{k} & more/?"], k=3, filters={}, collection=None)
    assert dict(upstream.requests[0].url.params) == {"q": "{k} & more/?", "n": "3"}
    assert result.candidates == [Candidate("a", "x", {}, None)]


IN_PATH = {"url": "http://search.test/find/{query}/all?k={k}", "method": "GET", "body": None}


@pytest.mark.parametrize("query", [".", "..", "../admin", "a/../../admin", "..\\admin", "a/."])
async def test_a_question_in_a_path_leads_to_no_other_path(tmp_path: Path, query: str) -> None:
    upstream = answering(TEMPLATED)
    async with opened(template(tmp_path, **IN_PATH), upstream, embedder="") as retriever:
        with pytest.raises(InvalidRequest, match=r"query holds \. or \.\. between") as caught:
            await retriever.retrieve([query], k=3, filters={}, collection=None)
    assert caught.value.field == "query"
    assert upstream.requests == []


@pytest.mark.parametrize("query", ["...", "a..b", "what is ..", "a/b", "%2e%2e", "?x#y"])
async def test_any_other_question_is_one_segment_of_the_path(tmp_path: Path, query: str) -> None:
    upstream = answering(TEMPLATED)
    async with opened(template(tmp_path, **IN_PATH), upstream, embedder="") as retriever:
        await retriever.retrieve([query], k=3, filters={}, collection=None)
    path = upstream.requests[0].url.raw_path.decode()
    assert path == f"/find/{quote(query, safe='')}/all?k=3"


async def test_dots_are_searched_for_where_the_question_is_no_part_of_the_path(
    tmp_path: Path,
) -> None:
    upstream = answering(TEMPLATED)
    url = template(tmp_path, url="http://search.test/find?q={query}")
    async with opened(url, upstream, embedder="") as retriever:
        await retriever.retrieve([".."], k=3, filters={}, collection=None)
    assert dict(upstream.requests[0].url.params) == {"q": ".."}


@pytest.mark.parametrize("host", ["{query}", "{collection}.search.test", "search.test:{k}"])
async def test_no_value_of_a_caller_chooses_the_host(tmp_path: Path, host: str) -> None:
    with pytest.raises(LoadFailed, match=r"search\.json: url: a placeholder may not stand in"):
        async with opened(template(tmp_path, url=f"http://{host}/find"), answering({})):
            pass


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "Invalid JSON"),
        ('{"url": "http://x.test"}', "results: Field required"),
        ('{"url": "ftp://x", "results": "", "id": "i", "text": "t"}', "url: String should match"),
        ('{"url": "http://x", "results": "", "id": "i", "text": "t", "tex": ""}', "tex: Extra"),
    ],
)
async def test_a_template_that_cannot_be_used_is_refused_at_start(
    tmp_path: Path, content: str, reason: str
) -> None:
    path = tmp_path / "search.json"
    path.write_text(content)
    with pytest.raises(LoadFailed, match=rf"search\.json: .*{reason}"):
        async with opened(f"template:{path}", answering({})):
            pass
    with pytest.raises(LoadFailed, match=r"none\.json cannot be read: No such file"):
        async with opened(f"template:{tmp_path / 'none.json'}", answering({})):
            pass


def without(value: Any, text: str) -> Any:
    """The answer without this text, whatever its name."""
    if isinstance(value, dict):
        return {name: without(part, text) for name, part in value.items() if part != text}
    if isinstance(value, list):
        return [None if part == text else without(part, text) for part in value]
    return value


STORES = [
    ("chroma://store.test", CHROMA),
    ("qdrant://store.test", QDRANT),
    ("elasticsearch://store.test?vector=dense", ELASTICSEARCH),
    ("weaviate://store.test", WEAVIATE),
    ("milvus://store.test", MILVUS),
    ("pinecone://store.test", PINECONE),
    ("", TEMPLATED),
]


@pytest.mark.parametrize(("url", "answer"), STORES)
async def test_a_hit_without_a_text_is_left_out(url: str, answer: Any, tmp_path: Path) -> None:
    url = url or template(tmp_path)
    candidates = await ask(answering(without(answer, "first")), url)
    assert [candidate.text for candidate in candidates] == ["second"]
    with pytest.raises(UpstreamFailed, match="found only what has no text: if texts lie in"):
        await ask(answering(without(without(answer, "first"), "second")), url)


@pytest.mark.parametrize(("url", "answer"), STORES)
async def test_what_only_python_takes_for_json_is_replaced(
    url: str, answer: Any, tmp_path: Path
) -> None:
    """A text that was cut in the middle of an emoji, and NaN as pandas writes it."""
    broken = json.dumps(answer).replace("first", r"first\ud83d")
    broken = broken.replace('"a.md"', r'["a\ud83d", {"\ud83d": NaN}]')
    upstream = Upstream(lambda _: httpx.Response(200, content=broken))
    first, _ = await ask(upstream, url or template(tmp_path))
    assert (first.text, first.metadata) == ("first?", {"source": ["a?", {"?": None}]})


@pytest.mark.parametrize(("url", "answer"), STORES)
async def test_metadata_that_is_nested_too_deep_to_be_written_is_junk(
    url: str, answer: Any, tmp_path: Path
) -> None:
    nested = json.dumps(answer).replace('"a.md"', "[" * 300 + "]" * 300)
    upstream = Upstream(lambda _: httpx.Response(200, content=nested))
    with pytest.raises(UpstreamFailed, match="JSON that is not what was asked for"):
        await ask(upstream, url or template(tmp_path))


async def test_hits_that_are_not_a_list_are_junk() -> None:
    with pytest.raises(UpstreamFailed, match="JSON that is not what was asked for"):
        await ask(answering({"hits": []}), "opensearch://search.test")
