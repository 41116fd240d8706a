from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from app.answer.result import Selection
from app.errors import DeadlineExceeded, UpstreamFailed
from app.llm import Turn
from app.llm.slots import Slots
from app.retrieval.store import Candidate
from tests.answer.rooms import DOWN, QUESTION, Room, ids
from tests.fakes import ScriptedLLM
from tests.virtual_time import in_virtual_time, now


@in_virtual_time
async def test_the_best_passages_are_given_to_the_model_and_cited() -> None:
    llm = ScriptedLLM("m", "Four ", "weeks [1]", ".")
    room = Room(llm)
    answer = await room.ask()
    assert (answer.outcome, answer.text, answer.llm) == ("answered", "Four weeks [1].", "m")
    assert ids(answer) == ["p3", "p2"]
    assert [(source.first_rank, source.rank) for source in answer.selection.sources] == [
        (3, 1),
        (2, 2),
    ]
    (citation,) = answer.citations
    assert answer.text[citation.start : citation.end] == "Four weeks"
    assert (len(answer.selection.candidates), answer.used, answer.tokens.total) == (4, 2, 10)
    assert "A book is lent for four weeks" in llm.prompts[0].turns[-1].text
    assert "Bananas" not in llm.prompts[0].turns[-1].text
    assert room.stages == [("retrieve", "ok"), ("rerank", "ok"), ("llm", "ok")]
    assert answer.warnings == (
        "initial_k (4) is less than 4 times final_k (2): reranking has little to choose from",
    )


@in_virtual_time
async def test_the_retriever_gets_the_filters_and_the_collection_of_the_caller() -> None:
    room = Room()
    await room.ask(replace(QUESTION, filters={"source": "a.md"}, collection="rules"))
    assert room.retriever.calls == [
        {
            "queries": ["how long is a book lent"],
            "k": 4,
            "filters": {"source": "a.md"},
            "collection": "rules",
        }
    ]


@in_virtual_time
async def test_a_follow_up_is_searched_and_ranked_with_the_previous_turn() -> None:
    room = Room(ScriptedLLM("m", "One week [1]."))
    turns = [Turn("user", "how long is a book lent"), Turn("assistant", "Four weeks.")]
    answer = await room.ask(replace(QUESTION, text="and a film?", conversation=turns))
    assert room.retriever.calls[0]["queries"][1] == "how long is a book lent\nand a film?"
    assert room.reranker.queries[0].text == "how long is a book lent\nand a film?"
    assert set(ids(answer)) == {"p2", "p3"}


@in_virtual_time
async def test_the_selection_comes_first_then_the_words_then_the_answer() -> None:
    events, answer = await Room(ScriptedLLM("m", "Four ", "weeks [1].")).listen()
    assert isinstance(events[0], Selection)
    assert "".join(map(str, events[1:])) == answer.text == "Four weeks [1]."


@in_virtual_time
async def test_without_a_model_the_answer_is_extracted() -> None:
    answer = await Room().ask()
    assert (answer.outcome, answer.llm) == ("extractive", None)
    assert answer.text.startswith("A book is lent for four weeks in all. [1]")


@pytest.mark.parametrize("stream", [True, False])
def test_when_all_models_fail_the_answer_is_extracted_and_says_why(stream: bool) -> None:
    @in_virtual_time
    async def test() -> None:
        room = Room(ScriptedLLM("m", DOWN))
        answer = (await room.listen())[1] if stream else await room.ask()
        assert answer.outcome == "extractive"
        assert "extracted, not written: m is down" in answer.warnings
        assert ("llm", "failed") in room.stages

    test()


@in_virtual_time
async def test_a_fallback_is_warned_of() -> None:
    answer = await Room(ScriptedLLM("m", DOWN), ScriptedLLM("n", "Four [1].")).ask()
    assert (answer.outcome, answer.llm) == ("answered", "n")
    assert "m is down" in answer.warnings


@in_virtual_time
async def test_models_that_are_too_slow_leave_time_for_an_extract() -> None:
    answer = await Room(ScriptedLLM("m", 100.0, "Four.")).ask(replace(QUESTION, timeout=5.0))
    assert answer.outcome == "extractive"
    assert 4 < now() < 5


@in_virtual_time
async def test_a_stream_that_stalls_ends_with_an_error_and_not_with_another_answer() -> None:
    room = Room(ScriptedLLM("m", "Four ", 100.0))
    with pytest.raises(UpstreamFailed):
        await room.listen(replace(QUESTION, timeout=5.0))
    assert now() < 5


@in_virtual_time
async def test_a_slow_store_is_not_waited_for_beyond_the_limit() -> None:
    room = Room()
    room.retriever.seconds = 60
    with pytest.raises(DeadlineExceeded, match="not answered within 2000 ms"):
        await room.ask(replace(QUESTION, timeout=2.0))
    assert now() == 2


@in_virtual_time
async def test_what_follows_a_slow_store_gets_the_time_that_is_left_and_no_more() -> None:
    room = Room()
    room.retriever.seconds = 1.9995
    await room.ask(replace(QUESTION, timeout=2.0))
    limits = [query.timeout for query in room.reranker.queries]
    assert limits == pytest.approx([0.0005] * len(limits))


@in_virtual_time
async def test_a_store_that_fails_is_a_clear_error() -> None:
    room = Room()
    room.retriever.error = UpstreamFailed("chroma answered 500", upstream="chroma")
    with pytest.raises(UpstreamFailed, match="chroma answered 500"):
        await room.ask()
    assert room.stages == [("retrieve", "failed")]


@pytest.mark.parametrize("filters", [{}, {"source": "none.md"}])
def test_where_nothing_was_retrieved_no_model_is_asked(filters: dict[str, str]) -> None:
    @in_virtual_time
    async def test() -> None:
        llm = ScriptedLLM("m", "I made this up.")
        room = Room(llm)
        room.retriever.candidates = []
        answer = await room.ask(replace(QUESTION, filters=filters))
        assert (answer.outcome, answer.text) == ("not_found", "I don't know.")
        assert any(warning.startswith("nothing was retrieved") for warning in answer.warnings)
        assert llm.prompts == []

    test()


@in_virtual_time
async def test_where_nothing_is_good_enough_no_model_is_asked() -> None:
    llm = ScriptedLLM("m", "I made this up.")
    answer = await Room(llm).ask(replace(QUESTION, min_score=0.99))
    assert (answer.outcome, answer.used, llm.prompts) == ("not_found", 0, [])
    assert "no passage scored 0.99 or more; the best has 0.667" in answer.warnings


@in_virtual_time
async def test_a_model_that_does_not_know_is_not_an_answer() -> None:
    answer = await Room(ScriptedLLM("m", "I don't know.")).ask()
    assert (answer.outcome, answer.llm) == ("not_found", "m")


@in_virtual_time
async def test_invented_citations_are_dropped_with_a_warning() -> None:
    answer = await Room(ScriptedLLM("m", "Four [7].")).ask()
    assert (answer.text, answer.invented) == ("Four.", (7,))
    assert "citations of passages that are not there were dropped: [7]" in answer.warnings
    assert "the answer cites no passage" in answer.warnings


@in_virtual_time
async def test_a_model_that_only_cites_what_is_not_there_gave_no_answer() -> None:
    assert (await Room(ScriptedLLM("m", "[7]")).ask()).outcome == "extractive"


@in_virtual_time
async def test_an_answer_tells_when_one_ranked_the_passages_and_another_the_sentences() -> None:
    room = Room()
    room.reranker.by = ["local", "cohere:m"]
    answer = await room.ask(replace(QUESTION, initial_k=8))
    assert (answer.selection.model, answer.selection.by) == ("overlap", "local")
    assert answer.warnings == ("local ranked the passages, cohere:m chose the sentences",)


@in_virtual_time
async def test_the_title_that_stands_above_a_passage_is_ranked_but_never_cited() -> None:
    room = Room()
    title = "Rules > How long is a book lent"
    passage = Candidate("p", f"{title}\n\nFour weeks for a book in all.", {"section": title})
    room.retriever.candidates = [passage]
    answer = await room.ask()
    assert answer.text == "Four weeks for a book in all. [1]"
    assert room.reranker.queries[0].documents[0].text.startswith(title)


@in_virtual_time
async def test_questions_that_would_wait_too_long_get_their_extracts_at_once() -> None:
    room = Room(ScriptedLLM("m", 10.0, "Four [1]."), slots=Slots(2, 16))
    await room.ask()  # so that it is known how long a call takes
    began = now()

    async def ask() -> tuple[str, float]:
        answer = await room.ask(replace(QUESTION, timeout=40.0))
        if answer.outcome == "extractive":
            assert any("questions wait for the language models" in each for each in answer.warnings)
        return answer.outcome, now() - began

    outcomes = await asyncio.gather(*(ask() for _ in range(12)))
    assert (
        outcomes
        == [("answered", end) for end in (10, 10, 20, 20, 30, 30)] + [("extractive", 0)] * 6
    )


@in_virtual_time
async def test_without_time_for_an_order_by_a_model_the_order_is_the_rerankers() -> None:
    room = Room(ScriptedLLM("m", 10.0, "2 > 1"), slots=Slots(1, 0), listwise=True)
    first = asyncio.create_task(room.ask())
    await asyncio.sleep(1)
    answer = await room.ask()
    assert now() == 1
    assert ids(answer) == ["p3", "p2"]
    assert any(warning.startswith("the order is the reranker's") for warning in answer.warnings)
    await first


@in_virtual_time
async def test_a_listener_that_fails_ends_the_answer_and_the_call() -> None:
    llm = ScriptedLLM("m", "Four ", 10.0, "weeks.")

    def listen(event: object) -> None:
        if event == "Four":
            raise LookupError

    with pytest.raises(LookupError):
        await Room(llm).answerer.answer(QUESTION, listen)
    assert (llm.closed, now()) == (1, 0)
