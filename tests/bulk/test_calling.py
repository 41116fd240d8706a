from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from app.bulk.calling import ServiceBlocks, address_of, open_service
from app.bulk.problems import RunFailed, Unusable
from app.errors import InvalidRequest, ScoringFailed
from app.rerank.query import Document, Query, Ranking
from tests.virtual_time import in_virtual_time, now

URL = "http://service"
INFO = {
    "model": "lengths",
    "engine": "torch",
    "load_seconds": 3.2,
    "limits": {"documents": 2},
}
Answer = httpx.Response | Exception


class Server:
    """Scores a text by its length; each of `before` is given once, instead of an answer."""

    def __init__(self, *before: Answer) -> None:
        self.before = list(before)
        self.info: object = INFO
        self.bodies: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.times: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.keys.add(request.headers.get("authorization"))
        if request.url.path == "/info":
            return httpx.Response(200, json=self.info)
        self.times.append(now())
        if self.before:
            answer = self.before.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        body = json.loads(request.content)
        self.bodies.append(body)
        scores = {index: float(len(text)) for index, text in enumerate(body["documents"])}
        results = [{"index": index, "relevance_score": score} for index, score in scores.items()]
        usage = {"total_tokens": 5, "truncated_documents": [0]}
        return httpx.Response(
            200, json={"model": "lengths", "results": results[::-1], "usage": usage}
        )


@asynccontextmanager
async def opened(server: Callable[[httpx.Request], httpx.Response]) -> AsyncIterator[ServiceBlocks]:
    transport = httpx.MockTransport(server)
    async with open_service(URL, "key", 2, transport) as service:
        yield ServiceBlocks(service, lambda documents: None)


def query(*texts: str, **options: Any) -> Query:
    return Query("q", [Document(text) for text in texts], **options)


def refusal(status: int, **headers: str) -> httpx.Response:
    return httpx.Response(status, headers=headers, json={"detail": "why", "field": "documents[1]"})


@in_virtual_time
async def test_a_query_is_sent_in_parts_and_ordered_as_a_whole() -> None:
    server = Server()
    async with opened(server) as blocks:
        (ranking,) = await blocks.rank_all([query("aa", "a", "aaaa", "aaa", "aa")])
    assert isinstance(ranking, Ranking)
    assert [result.index for result in ranking.results] == [2, 3, 0, 4, 1]
    assert ranking.usage.tokens == 15
    assert ranking.usage.truncated == [0, 2, 4]
    assert [len(body["documents"]) for body in server.bodies] == [2, 2, 1]
    assert server.keys == {"Bearer key"}


@in_virtual_time
async def test_the_best_results_of_the_whole_are_kept() -> None:
    async with opened(Server()) as blocks:
        (ranking,) = await blocks.rank_all(
            [query("aa", "a", "aaaa", "aaa", top_n=2, min_score=2.0)]
        )
    assert isinstance(ranking, Ranking)
    assert [result.index for result in ranking.results] == [2, 3]


@in_virtual_time
async def test_the_options_of_a_query_are_sent() -> None:
    server = Server()
    async with opened(server) as blocks:
        await blocks.rank_all(
            [query("a", score="logit", truncate=False, cut="left", windows=256, instruction="i")]
        )
        await blocks.rank_all([query("a", windows=0, top_n=1)])
    assert server.bodies == [
        {
            "query": "q",
            "documents": ["a"],
            "score": "logit",
            "truncate": False,
            "truncation_direction": "left",
            "long_documents": "windows",
            "instruction": "i",
        },
        {
            "query": "q",
            "documents": ["a"],
            "score": "probability",
            "truncate": True,
            "truncation_direction": "right",
            "long_documents": "cut",
        },
    ]


@in_virtual_time
async def test_a_busy_service_is_called_again_when_it_says() -> None:
    server = Server(refusal(429, **{"retry-after": "7"}), refusal(503, **{"retry-after": "2"}))
    async with opened(server) as blocks:
        (ranking,) = await blocks.rank_all([query("a")])
        figures = blocks.figures()
    assert isinstance(ranking, Ranking)
    assert server.times == [0, 7, 9]
    assert figures.endswith("1 answers of 429")


@in_virtual_time
async def test_a_service_that_is_replaced_is_waited_for() -> None:
    broken: list[Answer] = [httpx.ConnectError("refused"), httpx.ReadError("reset"), refusal(502)]
    async with opened(Server(*broken)) as blocks:
        (ranking,) = await blocks.rank_all([query("a")])
    assert isinstance(ranking, Ranking)


@in_virtual_time
async def test_a_service_that_stays_away_ends_the_run() -> None:
    server = Server(*[httpx.ConnectError("refused")] * 1000)
    async with opened(server) as blocks:
        with pytest.raises(RunFailed, match="http://service cannot be reached: refused"):
            await blocks.rank_all([query("a"), query("b")])
    assert 600 <= now() < 700


@in_virtual_time
async def test_a_row_that_the_service_refuses_fails_alone() -> None:
    async with opened(Server(refusal(422))) as blocks:
        refused, ranking = await blocks.rank_all([query("a"), query("b")])
    assert isinstance(refused, InvalidRequest)
    assert (str(refused), refused.field) == ("why", "documents[1]")
    assert isinstance(ranking, Ranking)


@in_virtual_time
async def test_a_row_that_the_service_cannot_score_fails_after_three_tries() -> None:
    async with opened(Server(refusal(500), refusal(504), refusal(500))) as blocks:
        (failed,) = await blocks.rank_all([query("a")])
    assert isinstance(failed, ScoringFailed)
    assert str(failed) == "the service answered 500: why"


@in_virtual_time
async def test_a_key_that_is_refused_ends_the_run() -> None:
    async with opened(Server(refusal(401))) as blocks:
        with pytest.raises(RunFailed, match="answered 401: why"):
            await blocks.rank_all([query("a")])


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, json={"model": "m", "results": [], "usage": {}}),
        httpx.Response(200, text="<html>"),
    ],
)
def test_an_answer_that_is_none_ends_the_run(answer: httpx.Response) -> None:
    @in_virtual_time
    async def run() -> None:
        async with opened(Server(answer)) as blocks:
            with pytest.raises(RunFailed, match="http://service"):
                await blocks.rank_all([query("a")])

    run()


@in_virtual_time
async def test_the_model_of_the_service_is_part_of_the_manifest() -> None:
    async with opened(Server()) as blocks:
        assert blocks.facts == {"model": "lengths", "engine": "torch"}


@in_virtual_time
async def test_what_is_not_a_rerankd_is_named() -> None:
    server = Server()
    server.info = {"hello": "world"}
    with pytest.raises(RunFailed, match="http://service is not a rerankd that is ready"):
        async with opened(server):
            pass


@pytest.mark.parametrize("url", ["localhost:8000", "http://", "http://host:port", "ftp://host"])
def test_a_url_that_is_none_is_named(url: str) -> None:
    with pytest.raises(Unusable, match=f"--url {url}"):
        address_of(url)
