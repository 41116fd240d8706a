"""Every problem is told in the dialect of the request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from httpx import AsyncClient, Response

from app.errors import QueueFull, ScoringFailed, UpstreamBusy, UpstreamFailed
from tests.desk import Desk

pytestmark = pytest.mark.anyio

Read = Callable[[Any], Any]
PASSAGES = {"query": {"text": "q"}, "passages": [{"text": "a"}]}
DOCUMENTS = {"query": "q", "documents": ["a"]}
# By path: a body that is right, where clients look for the sentence, the status of a bad request.
DIALECTS: dict[str, tuple[dict[str, Any], Read, int]] = {
    "/rerank": (DOCUMENTS, lambda body: body["detail"], 422),
    "/v1/rerank": (DOCUMENTS, lambda body: body["detail"], 422),
    "/v2/rerank": (DOCUMENTS, lambda body: body["message"], 422),
    "/cohere/v1/rerank": (DOCUMENTS, lambda body: body["message"], 422),
    "/jina/v1/rerank": (DOCUMENTS, lambda body: body["detail"], 422),
    "/voyage/v1/rerank": (DOCUMENTS, lambda body: body["detail"], 400),
    "/tei/rerank": ({"query": "q", "texts": ["a"]}, lambda body: body["error"], 422),
    "/infinity/rerank": (DOCUMENTS, lambda body: body["error"]["message"], 422),
    "/vllm/rerank": (DOCUMENTS, lambda body: body["error"]["message"], 400),
    "/llamacpp/reranking": (DOCUMENTS, lambda body: body["error"]["message"], 400),
    "/v1/ranking": (PASSAGES, lambda body: body["detail"], 422),
    "/xinference/v1/rerank": (DOCUMENTS, lambda body: body["detail"], 400),
    "/sglang/v1/rerank": (DOCUMENTS, lambda body: body["message"], 400),
    "/mixedbread/v1/reranking": (
        {"query": "q", "input": ["a"]},
        lambda body: body["message"],
        422,
    ),
    "/siliconflow/v1/rerank": (DOCUMENTS, lambda body: body["message"], 400),
    "/weaviate/rerank": (DOCUMENTS, lambda body: body["error"], 422),
    "/score": ({"text_1": "q", "text_2": "a"}, lambda body: body["error"]["message"], 400),
}
ROWS = [(path, *row) for path, row in DIALECTS.items()]


def raising(error: Exception) -> Callable[[], Any]:
    def reranker() -> Any:
        raise error

    return reranker


@pytest.mark.parametrize(("path", "body", "read", "status"), ROWS)
async def test_a_bad_request_names_its_field_where_clients_look(
    client: AsyncClient, path: str, body: dict[str, Any], read: Read, status: int
) -> None:
    field = "text_1" if path == "/score" else "query"
    response = await client.post(path, json=body | {field: 7})
    assert response.status_code == status
    assert read(response.json()).startswith(field)
    assert response.headers["X-Request-ID"]


async def test_overload_and_its_hints_reach_every_client(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk.open() as client:
        full = raising(QueueFull("no room", retry_after=0.05))
        monkeypatch.setattr(desk.app.state.wiring.service, "reranker", full)
        for path, body, read, _ in ROWS:
            response = await client.post(path, json=body)
            assert response.status_code == 429
            assert read(response.json()) == "no room"
            assert response.headers["Retry-After"] == "1"
            assert response.headers["retry-after-ms"] == "50"


async def test_an_error_of_another_service_reaches_every_client(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = [
        (UpstreamBusy("full up there", upstream="there", retry_after=9), 429, "9"),
        (UpstreamFailed("there is down", upstream="there", retry_after=2.5), 502, "3"),
        (UpstreamFailed("there sent junk", upstream="there"), 502, None),
    ]
    async with desk.open() as client:
        for error, status, seconds in errors:
            monkeypatch.setattr(desk.app.state.wiring.service, "reranker", raising(error))
            for path, body, read, _ in ROWS:
                response = await client.post(path, json=body)
                assert response.status_code == status
                assert read(response.json()) == str(error)
                assert response.headers.get("Retry-After") == seconds


async def test_without_a_key_each_dialect_says_401_as_it_does(desk: Desk) -> None:
    async with desk.open(api_keys="one") as client:
        for path, body, read, _ in ROWS:
            response = await client.post(path, json=body)
            assert response.status_code == 401
            assert response.headers["WWW-Authenticate"] == "Bearer"
            if path == "/tei/rerank":
                assert response.content == b""
            else:
                assert "an API key is needed" in read(response.json())
            right = await client.post(path, json=body, headers={"Authorization": "Bearer one"})
            assert right.status_code == 200


async def test_tei_s_own_statuses(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(**more: Any) -> tuple[int, str]:
        response = await client.post("/rerank", json={"query": "q", "texts": ["a"]} | more)
        return response.status_code, response.json()["error_type"]

    async with desk.open(max_documents=3, max_body_bytes=2000) as client:
        assert await ask(texts=[]) == (400, "Empty")
        labels = {"route": "/rerank", "outcome": "empty"}  # and not malformed: it is JSON
        registry, name = desk.app.state.wiring.metrics.registry, "rerankd_request_seconds_count"
        assert registry.get_sample_value(name, labels) == 1
        assert await ask(texts=["a"] * 4) == (422, "Validation")
        assert await ask(texts=["book " * 99], truncate=False) == (422, "Validation")
        large = await client.post("/tei/rerank", json={"query": "q", "texts": ["a" * 3000]})
        assert large.status_code == 413
        assert large.headers["Content-Type"].startswith("text/plain")
        service = desk.app.state.wiring.service
        monkeypatch.setattr(service, "reranker", raising(ScoringFailed("broken")))
        path_knows = await client.post("/tei/rerank", json={"query": "q", "texts": ["a"]})
        assert path_knows.status_code == 424
        assert path_knows.json() == {"error": "broken", "error_type": "Backend"}


@pytest.mark.parametrize(
    ("path", "word", "as_sent"),
    [
        ("/tei/rerank", "texts", lambda text: text),
        ("/v1/ranking", "passages", lambda text: {"text": text}),
        ("/mixedbread/v1/reranking", "input", lambda text: text),
        ("/infinity/rerank", "documents", lambda text: text),
    ],
)
async def test_limits_are_named_with_the_client_s_word_for_documents(
    desk: Desk, path: str, word: str, as_sent: Callable[[str], Any]
) -> None:
    def body(*texts: str) -> dict[str, Any]:
        query = {"text": "q"} if word == "passages" else "q"
        return {"query": query, word: [as_sent(text) for text in texts], "truncate": "NONE"}

    read = DIALECTS[path][1]
    async with desk.open(max_documents=3, max_document_chars=500) as client:
        many = await client.post(path, json=body(*"abcd") | {"truncate": None})
        long = await client.post(path, json=body("a", "b" * 501) | {"truncate": None})
        assert read(many.json()).startswith(f"{word} holds 4 documents, more than the limit of 3")
        assert read(long.json()).startswith(f"{word}[1] holds 501 characters, more than")
        if word == "passages":
            cut = await client.post(path, json=body("a", "book " * 90))
            assert read(cut.json()).startswith("passages[1] takes")


@pytest.mark.parametrize(("path", "body", "read", "status"), ROWS)
async def test_too_many_documents_are_refused_before_each_is_looked_at(
    desk: Desk, path: str, body: dict[str, Any], read: Read, status: int
) -> None:
    word = "text_2" if path == "/score" else list(body)[-1]
    async with desk.open(max_documents=3) as client:
        response = await client.post(path, json=body | {word: [7] * 4})
    assert response.status_code == status
    assert read(response.json()).startswith(f"{word} holds 4 documents, more than the limit of 3")


async def test_cohere_1_looks_for_so_many_fields_and_for_each_once(client: AsyncClient) -> None:
    async def ask(*fields: str) -> Response:
        body = {"query": "q", "documents": [{"a": "x", "b": "y"}], "rank_fields": fields}
        return await client.post("/v1/rerank", json=body)

    many = await ask(*map(str, range(101)))
    assert (many.status_code, many.json()["error"]["param"]) == (422, "rank_fields")
    assert "at most 100 items" in many.json()["message"]
    once, often = await ask("a", "b"), await ask("a", "b", *["a"] * 98)
    assert once.json()["results"] == often.json()["results"]


async def test_infinity_s_client_finds_a_422_as_a_list(client: AsyncClient) -> None:
    response = await client.post("/rerank", json={"query": 7, "raw_scores": False})
    (complaint,) = response.json()["detail"]
    assert complaint["loc"] == ["body", "query"]
    assert "valid string" in complaint["msg"]


async def test_an_unknown_path_is_refused_in_the_dialect_of_the_prefix(client: AsyncClient) -> None:
    nothing: Response = await client.post("/cohere/v1/embed", json={})
    assert (nothing.status_code, "message" in nothing.json()) == (404, True)
    wrong = await client.get("/tei/rerank")
    assert (wrong.status_code, wrong.json()["error_type"]) == (405, "Backend")
    assert wrong.headers["Allow"] == "POST"


async def test_an_unforeseen_error_is_written_in_the_dialect_too(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk.open() as client:
        broken = raising(RuntimeError("secret"))
        monkeypatch.setattr(desk.app.state.wiring.service, "reranker", broken)
        response = await client.post("/v2/rerank", json=DOCUMENTS)
    assert response.status_code == 500
    assert "secret" not in response.text
    assert "unexpected" in response.json()["message"]


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"text_1": ["a", "b"], "text_2": ["a", "b", "c"]}, "text_1"),
        ({"text_1": "a"}, "text_1"),
        ({"text_1": "a", "text_2": []}, "text_2"),
        ({"text_1": "a", "text_2": ["a"] * 1001}, "text_2"),
        ({"queries": ["a"] * 1001, "documents": ["a"] * 1001}, "queries"),
    ],
)
async def test_scores_need_two_sides_that_can_be_paired(
    client: AsyncClient, more: dict[str, Any], field: str
) -> None:
    response = await client.post("/score", json=more)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == field
