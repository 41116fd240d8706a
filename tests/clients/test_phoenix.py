"""What a real Phoenix has received of `/answer` and `/rerank`, asked for through its API."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from tests.api.asking import llm_of
from tests.clients.phoenix import PROJECT, Phoenix, Span, phoenix
from tests.live.service import running
from tests.llm.server import llm_server, says

pytestmark = pytest.mark.anyio

QUESTION = "how long is a film lent"
PASSAGES = ["A book is lent for four weeks in all.", "A film is lent for one week only."]
CALLER = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Phoenix]:
    with phoenix(tmp_path_factory.mktemp("phoenix")) as started:
        yield started


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """As many passages as `/answer` takes by default."""
    folder = tmp_path_factory.mktemp("notes")
    for number in range(48):
        (folder / f"{number}.md").write_text(f"Film {number} is about a library.")
    for name, passage in zip(("books", "films"), PASSAGES, strict=True):
        (folder / f"{name}.md").write_text(passage)
    address = f"sqlite:{folder / 'store.db'}"
    command = [sys.executable, "-m", "app.cli", "ingest", str(folder), "--store", address]
    subprocess.run(command, check=True, capture_output=True)
    return address


@pytest.fixture(scope="module")
async def answered(collector: Phoenix, store: str) -> dict[str, Span]:
    """A real service answers one question and ranks once. What it has not sent, it sends when it
    is stopped."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        patch.setenv("OTEL_RESOURCE_ATTRIBUTES", f"openinference.project.name={PROJECT}")
        async with llm_server(says("A film is lent for one week [1].")) as server:
            settings = llm_of(server) | {"traces": True, "trace_content": True, "store": store}
            with running(**settings) as service:
                collector.wait_until_up()
                async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
                    body = {"query": QUESTION, "min_score": 0}
                    answer = (await client.post("/answer", json=body)).json()
                    assert answer["outcome"] == "answered", answer
                    await rank(client)
                assert service.stop() == 0
    return collector.spans(5)


async def rank(client: httpx.AsyncClient) -> None:
    body = {"query": QUESTION, "documents": PASSAGES, "top_n": 1}
    headers = {"traceparent": f"00-{CALLER}-b7ad6b7169203331-01"}
    assert (await client.post("/rerank", json=body, headers=headers)).status_code == 200


def spans_of(collector: Phoenix, trace: str, count: int) -> dict[str, Span]:
    return collector.spans(count, trace_id=trace)


async def test_an_answer_is_one_trace_of_its_steps(
    collector: Phoenix, answered: dict[str, Span]
) -> None:
    root = answered["answer"]
    spans = spans_of(collector, root.trace, 4)
    assert {name: span.kind for name, span in spans.items()} == {
        "answer": "CHAIN",
        "retrieve": "RETRIEVER",
        "rerank": "RERANKER",
        "llm": "LLM",
    }
    assert root.parent is None
    assert {spans[name].parent for name in ("retrieve", "rerank", "llm")} == {root.id}
    assert root.attributes["input.value"] == QUESTION
    assert root.attributes["output.value"] == "A film is lent for one week [1]."


async def test_the_retriever_has_its_candidates(
    collector: Phoenix, answered: dict[str, Span]
) -> None:
    retrieve = spans_of(collector, answered["answer"].trace, 4)["retrieve"]
    assert retrieve.attributes["input.value"] == QUESTION
    contents = retrieve.documents("retrieval.documents", "content")
    assert len(contents) == 50
    assert PASSAGES[1] in contents
    assert len(retrieve.documents("retrieval.documents", "id")) == 50
    scores = retrieve.documents("retrieval.documents", "score")
    assert scores == sorted(scores, reverse=True)
    sources = retrieve.documents("retrieval.documents", "metadata.source")
    assert sources[0].endswith("films.md")


async def test_the_reranker_has_the_documents_before_and_after(
    collector: Phoenix, answered: dict[str, Span]
) -> None:
    rerank = spans_of(collector, answered["answer"].trace, 4)["rerank"]
    assert rerank.attributes["reranker.query"] == QUESTION
    assert rerank.attributes["reranker.model_name"] == "rerankd-minilm"
    assert rerank.attributes["reranker.top_k"] == 5
    assert len(rerank.documents("reranker.input_documents", "content")) == 50
    assert rerank.documents("reranker.output_documents", "content")[0] == PASSAGES[1]
    scores = rerank.documents("reranker.output_documents", "score")
    assert len(scores) == 5
    assert scores == sorted(scores, reverse=True)


async def test_the_model_has_its_messages_and_tokens(
    collector: Phoenix, answered: dict[str, Span]
) -> None:
    llm = spans_of(collector, answered["answer"].trace, 4)["llm"]
    attributes = llm.attributes
    assert attributes["llm.model_name"] == "m"
    assert attributes["llm.input_messages.0.message.role"] == "system"
    assert PASSAGES[1] in attributes["llm.input_messages.1.message.content"]
    assert attributes["llm.output_messages.0.message.content"].startswith("A film is lent")
    assert attributes["llm.token_count.total"] == 100


@pytest.mark.usefixtures("answered")
async def test_a_ranking_is_a_part_of_its_callers_trace(collector: Phoenix) -> None:
    (rerank,) = spans_of(collector, CALLER, 1).values()
    assert (rerank.name, rerank.kind, rerank.parent) == ("rerank", "RERANKER", "b7ad6b7169203331")
    assert rerank.documents("reranker.input_documents", "content") == PASSAGES
    assert rerank.documents("reranker.output_documents", "content") == [PASSAGES[1]]
