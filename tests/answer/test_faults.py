"""What goes wrong with a service on the way: an error with a reason, soon, and never its key."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.errors import UpstreamFailed, UpstreamTimeout
from app.retrieval import endpoint
from tests.answer.upstreams import (
    CHROMA,
    ELASTICSEARCH,
    EMBEDDING,
    MILVUS,
    PINECONE,
    QDRANT,
    TEMPLATED,
    WEAVIATE,
    Upstream,
    answering,
    opened,
    template,
)
from tests.retrieval.stores import ids
from tests.virtual_time import in_virtual_time, now

URLS = {
    "chroma": ("chroma://store.test", CHROMA),
    "qdrant": ("qdrant://store.test", QDRANT),
    "elasticsearch": ("elasticsearch://store.test?vector=dense", ELASTICSEARCH),
    "opensearch": ("opensearch://store.test", ELASTICSEARCH),
    "weaviate": ("weaviate://store.test", WEAVIATE),
    "milvus": ("milvus://store.test", MILVUS),
    "pinecone": ("pinecone://store.test", PINECONE),
    "template": ("", TEMPLATED),
}
every_store = pytest.mark.parametrize("kind", URLS)


def url_of(kind: str, folder: Path) -> str:
    return URLS[kind][0] or template(folder)


def failing(
    kind: str, folder: Path, upstream: Callable[[httpx.Request], Any]
) -> tuple[UpstreamFailed, float]:
    """The error of one search, and how long it took to come."""
    caught: list[tuple[UpstreamFailed, float]] = []

    @in_virtual_time
    async def search() -> None:
        async with opened(url_of(kind, folder), upstream, store_key="s3cret") as retriever:
            with pytest.raises(UpstreamFailed) as error:
                await ids(retriever, "a private question")
            caught.append((error.value, now()))

    search()
    error = caught[0][0]
    assert error.upstream == kind
    assert "s3cret" not in str(error)
    assert "private" not in str(error)
    return caught[0]


def status(code: int) -> Upstream:
    return Upstream(lambda _: httpx.Response(code, text="s3cret, a private question"))


@every_store
def test_a_store_that_is_well_is_understood(kind: str, tmp_path: Path) -> None:
    @in_virtual_time
    async def test() -> None:
        async with opened(url_of(kind, tmp_path), answering(URLS[kind][1])) as retriever:
            assert len(await ids(retriever, "cats")) == 2

    test()


@every_store
def test_a_slow_store_is_given_up_at_its_limit(kind: str, tmp_path: Path) -> None:
    async def hang(request: httpx.Request) -> httpx.Response:
        if request.url.host == "embedder.test":
            return httpx.Response(200, json=EMBEDDING)
        await asyncio.sleep(3600)
        raise AssertionError("never reached")

    error, seconds = failing(kind, tmp_path, hang)
    assert isinstance(error, UpstreamTimeout)
    assert str(error) == f"{kind} did not answer within 5000 ms"
    assert seconds == 5


@every_store
def test_a_store_that_is_down_is_tried_again_and_named(kind: str, tmp_path: Path) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    upstream = Upstream(refuse)
    error, seconds = failing(kind, tmp_path, upstream)
    assert str(error) == f"{kind} cannot be reached"
    assert len(upstream.requests) == 2
    assert seconds < 5


@every_store
def test_a_store_that_asks_for_more_time_than_there_is_is_not_waited_for(
    kind: str, tmp_path: Path
) -> None:
    busy = Upstream(lambda _: httpx.Response(429, headers={"Retry-After": "30"}))
    error, seconds = failing(kind, tmp_path, busy)
    assert str(error) == f"{kind} answered 429"
    assert (error.retry_after, seconds) == (30, 0)


@every_store
@pytest.mark.parametrize("code", [401, 403])
def test_a_refused_key_says_which_setting_to_set(kind: str, code: int, tmp_path: Path) -> None:
    error, _ = failing(kind, tmp_path, status(code))
    hint = "the key is missing or wrong: set RERANKD_STORE_API_KEY"
    assert str(error) == f"{kind} answered {code}: {hint}"


@pytest.mark.parametrize(
    "kind", ["chroma", "qdrant", "elasticsearch", "opensearch", "weaviate", "milvus"]
)
def test_a_missing_collection_says_which_setting_to_set(kind: str, tmp_path: Path) -> None:
    error, _ = failing(kind, tmp_path, status(404))
    assert "it has no such" in str(error)
    assert "set RERANKD_COLLECTION" in str(error)


@every_store
@pytest.mark.parametrize("code", [400, 500, 503])
def test_any_other_refusal_gives_its_status(kind: str, code: int, tmp_path: Path) -> None:
    error, _ = failing(kind, tmp_path, status(code))
    assert str(error).startswith(f"{kind} answered {code}")
    assert error.status == code


JUNK = (
    b"",
    b"<html>",
    b"{",
    b"\xff",
    b"null",
    b"[]",
    b"{}",
    b"7",
    b'"x"',
    b'{"hits": 1}',
    b"[" * 99_999,
)


@every_store
@pytest.mark.parametrize("content", JUNK)
def test_junk_is_called_junk(kind: str, content: bytes, tmp_path: Path) -> None:
    error, _ = failing(kind, tmp_path, Upstream(lambda _: httpx.Response(200, content=content)))
    assert "answered something that is not JSON" in str(error) or "not what was asked" in str(error)


@every_store
def test_an_answer_that_is_too_large_is_not_read_to_its_end(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "MAX_ANSWER_BYTES", 999)
    huge = Upstream(lambda _: httpx.Response(200, content=b" " * 1000))
    error, _ = failing(kind, tmp_path, huge)
    assert "answered with more than 999 bytes" in str(error)


def spoiled(value: Any) -> list[Any]:
    """The answer with each of its values in turn replaced by one of another type."""
    if isinstance(value, dict):
        parts: list[Any] = list(value.items())
        return [{**value, name: bad} for name, part in parts for bad in (*spoiled(part), {"x": []})]
    if isinstance(value, list):
        return [
            [*value[:index], bad, *value[index + 1 :]]
            for index, part in enumerate(value)
            for bad in (*spoiled(part), True)
        ]
    return []


@every_store
def test_no_answer_of_the_wrong_type_is_anything_but_an_answer_or_a_reason(
    kind: str, tmp_path: Path
) -> None:
    answers = spoiled(URLS[kind][1])
    assert len(answers) > 8
    reasons = set()

    @in_virtual_time
    async def test() -> None:
        for answer in answers:
            async with opened(url_of(kind, tmp_path), answering(answer)) as retriever:
                try:
                    await ids(retriever, "cats")
                except UpstreamFailed as error:
                    reasons.add(str(error))

    test()
    assert reasons == {f"{kind} answered JSON that is not what was asked for"}


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"data": []},
        {"data": [{"index": 0, "embedding": None}]},
        {"data": [{"index": 0, "embedding": ["x"]}]},
        {"data": [{"index": 0, "embedding": [1e300]}]},
        {"data": [{"index": 0, "embedding": "b64"}]},
        {"data": [{"index": None, "embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0]}]},
    ],
)
def test_an_embedder_that_sends_junk_is_named(answer: Any) -> None:
    @in_virtual_time
    async def test() -> None:
        upstream = lambda _: httpx.Response(200, json=answer)  # noqa: E731
        async with opened("qdrant://store.test", upstream) as retriever:
            with pytest.raises(UpstreamFailed, match="embedder answered JSON that is not"):
                await ids(retriever, "cats")

    test()


def test_an_embedder_that_refuses_the_key_names_its_own_setting() -> None:
    @in_virtual_time
    async def test() -> None:
        upstream = lambda _: httpx.Response(401)  # noqa: E731
        async with opened("qdrant://store.test", upstream) as retriever:
            with pytest.raises(UpstreamFailed, match="set RERANKD_EMBEDDER_API_KEY"):
                await ids(retriever, "cats")

    test()


def test_nothing_of_a_question_or_a_key_is_logged(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG, "app")
    caplog.set_level(logging.DEBUG, "stamina")
    for kind in URLS:
        failing(kind, tmp_path, status(503))
    assert "s3cret" not in caplog.text
    assert "private" not in caplog.text
