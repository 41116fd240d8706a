"""The clients against a running service with small limits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from rerankd.client import (
    InvalidRequest,
    NotFound,
    Overloaded,
    Ranking,
    RetryPolicy,
    Unauthorized,
)
from tests.client.callers import Caller, Streamed, opened
from tests.client.conftest import KEY, MAX_DOCUMENTS, PIECES, Library
from tests.clients.full import no_room
from tests.desk import Desk

QUERY = "how long may I keep the book?"
TEXTS = [
    "The library opens at nine.",
    "Books are lent for four weeks.",
    "",
    "Which river runs through ten lands?",
]
MANY = [f"{text} Note {number}." for number in range(6) for text in TEXTS] + ["", TEXTS[1]]


# The service accepts few candidates.
FEW = {"initial_k": MAX_DOCUMENTS, "final_k": 2}


@pytest.fixture
def caller(kind: str, library: Library) -> Iterator[Caller]:
    with opened(kind, library.url, api_key=KEY) as caller:
        yield caller


def order(ranking: Ranking[Any]) -> list[int]:
    return [result.index for result in ranking.results]


def test_a_ranking_has_the_documents_of_the_call_with_all_that_was_not_sent(
    caller: Caller,
) -> None:
    documents = [{"text": text, "id": n, "secret": object()} for n, text in enumerate(TEXTS)]
    ranking = caller.call("rerank", QUERY, documents, top_n=2)
    assert order(ranking)[0] == 1
    assert len(ranking.results) == 2
    assert ranking.results[0].document is documents[1]
    assert ranking.results[0].text == TEXTS[1]
    assert ranking.documents[0] is documents[1]
    assert ranking.score == "probability"
    assert ranking.usage.documents == len(TEXTS)
    assert ranking.parts == 1
    assert ranking.reranked_by is None


def test_the_options_reach_the_service(caller: Caller) -> None:
    ranking = caller.call(
        "rerank", QUERY, TEXTS, score="logit", diagnostics=True, explain=True, min_score=-99.0
    )
    assert ranking.score == "logit"
    assert ranking.diagnostics.total_ms > 0
    assert len(ranking.results) == 3  # the empty text is below the minimum
    reading = ranking.results[0].reading
    assert (reading.start, reading.end) == (0, len(TEXTS[1]))
    assert reading.sentences[0].end == len(TEXTS[1])


def test_a_long_list_is_split_and_merged_as_if_each_document_had_been_ranked_alone(
    caller: Caller,
) -> None:
    alone = [caller.call("rerank", QUERY, [text]).results[0].score for text in MANY]
    ranking = caller.call("rerank", QUERY, MANY, diagnostics=True)
    expected = sorted(range(len(MANY)), key=lambda index: (-alone[index], index))
    assert ranking.parts == -(-len(MANY) // MAX_DOCUMENTS)
    assert {result.index: result.score for result in ranking.results} == pytest.approx(
        dict(enumerate(alone)), abs=2e-3
    )
    assert [alone[index] for index in order(ranking)] == pytest.approx(
        [alone[index] for index in expected], abs=2e-3
    )
    assert ranking.usage.documents == len(MANY)
    assert ranking.diagnostics.cached > 0
    assert all(result.document is MANY[result.index] for result in ranking.results)


def test_the_best_of_a_split_list_are_those_of_the_whole(caller: Caller) -> None:
    whole = caller.call("rerank", QUERY, MANY)
    best = caller.call("rerank", QUERY, MANY, top_n=3)
    assert order(best) == order(whole)[:3]
    assert best.usage.documents == len(MANY)


def test_a_limit_that_was_learnt_splits_the_next_list_at_once(library: Library, kind: str) -> None:
    with opened(kind, library.url, api_key=KEY, retries=0) as caller:
        caller.call("rerank", QUERY, MANY)
        before = refusals(library)
        assert caller.call("rerank", QUERY, MANY).parts == 4
        assert refusals(library) == before


def refusals(library: Library) -> int:
    return sum(entry.get("outcome") == "invalid" for entry in library.service.log)


def test_a_body_that_is_too_large_is_split(kind: str, caller: Caller) -> None:
    texts = [f"{kind} {n} " + "Books are lent. " * 60 for n in range(MAX_DOCUMENTS)]
    ranking = caller.call("rerank", QUERY, texts)
    assert ranking.parts > 1
    assert sorted(order(ranking)) == list(range(len(texts)))


def test_more_tokens_than_the_queue_holds_are_split(kind: str, caller: Caller) -> None:
    texts = [f"{kind} {n} " + "a b c d e " * 45 for n in range(MAX_DOCUMENTS)]
    ranking = caller.call("rerank", QUERY, texts)
    assert ranking.parts > 1
    assert sorted(order(ranking)) == list(range(len(texts)))


def test_a_document_that_no_request_can_hold_is_an_error_with_the_limit(caller: Caller) -> None:
    with pytest.raises(InvalidRequest) as raised:
        caller.call("rerank", QUERY, [*TEXTS, "x" * 10_000])
    assert (raised.value.status, raised.value.type) == (413, "too_large")
    assert raised.value.limit == 4096


def test_an_error_names_the_document_by_its_position_in_the_whole_list(caller: Caller) -> None:
    texts = [*MANY[:20], "too long " * 300, *MANY[:2]]
    with pytest.raises(InvalidRequest) as raised:
        caller.call("rerank", QUERY, texts, truncate=False)
    assert raised.value.type == "too_long"
    assert raised.value.field == "documents[20]"
    assert "documents[20]" in raised.value.detail


def test_an_invalid_field_is_an_error_that_names_it_and_the_request(caller: Caller) -> None:
    with pytest.raises(InvalidRequest) as raised:
        caller.call("rerank", " ", TEXTS)
    assert (raised.value.status, raised.value.type, raised.value.field) == (422, "invalid", "query")
    assert raised.value.request_id
    assert raised.value.request_id in str(raised.value)


def test_no_documents_are_refused_by_the_service(caller: Caller) -> None:
    with pytest.raises(InvalidRequest) as raised:
        caller.call("rerank", QUERY, [])
    assert raised.value.field == "documents"


@pytest.mark.parametrize("key", [None, "wrong"])
def test_a_wrong_key_is_an_error_of_its_own(library: Library, kind: str, key: str | None) -> None:
    with opened(kind, library.url, api_key=key) as caller, pytest.raises(Unauthorized):
        caller.call("rerank", QUERY, TEXTS)


def test_an_answer_has_its_sources_and_citations(caller: Caller) -> None:
    answer = caller.call("answer", QUERY, return_documents=True, diagnostics=True, **FEW)
    assert answer.outcome == "answered"
    assert answer.text == "".join(PIECES)
    assert "four weeks" in answer.sources[0].text
    assert answer.sources[0].metadata
    assert answer.citations[0].sources == (1,)
    assert answer.llm == "stub"
    assert answer.usage.prompt_tokens == 90
    assert answer.diagnostics.queries == (QUERY,)
    assert answer.times_ms["total"] > 0


def test_a_stream_has_the_sources_first_and_the_text_while_it_is_written(
    library: Library, caller: Caller
) -> None:
    seen = Streamed()

    def at_piece() -> None:
        """The model writes on only after the caller has the first piece."""
        if len(seen.pieces) == 1:
            library.let_the_model_write_on()

    caller.stream(seen, at_piece, QUERY, return_documents=True, **FEW)
    assert "".join(seen.pieces) == "".join(PIECES)
    assert len(seen.pieces) > 1
    assert seen.sources[0].text
    assert seen.answer
    assert seen.answer.text == "".join(PIECES)
    assert seen.answer.sources == seen.sources


def test_a_refusal_of_a_stream_is_that_of_the_service(caller: Caller) -> None:
    with pytest.raises(InvalidRequest) as raised:
        caller.stream(Streamed(), lambda: None, QUERY, final_k=1000)
    assert raised.value.field == "final_k"


def test_feedback_is_stored_under_the_id_of_the_answer(library: Library, caller: Caller) -> None:
    answer = caller.call("answer", QUERY, **FEW)
    source = answer.sources[0].id
    caller.call("feedback", answer.id, "up", source=source, comment="right")
    (line,) = [line for line in library.feedback.read_text().splitlines() if answer.id in line]
    assert json.loads(line)["useful"] == "up"


def test_feedback_on_an_unknown_answer_is_not_found(caller: Caller) -> None:
    with pytest.raises(NotFound) as raised:
        caller.call("feedback", "0" * 32, "down")
    assert raised.value.type == "unknown_answer"


def test_info_has_the_model_and_the_limits(caller: Caller) -> None:
    info = caller.call("info")
    assert info.is_ready
    assert info.limits["documents"] == MAX_DOCUMENTS
    assert info.model == caller.call("rerank", QUERY, TEXTS).model
    assert info.fields["engine"]


def test_a_full_queue_is_tried_again_and_then_an_error_with_the_hint(desk: Desk, kind: str) -> None:
    policy = RetryPolicy(retries=2, first_wait=0.01)
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(desk.listening(api_keys=KEY)) as url,
        opened(kind, url, api_key=KEY, retries=policy) as caller,
    ):
        desk.app.state.wiring.service.reranker = no_room
        with pytest.raises(Overloaded) as raised:
            caller.call("rerank", QUERY, TEXTS)
    assert raised.value.type == "overloaded"
    assert raised.value.retry_after == pytest.approx(0.05)
