from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.answer.answered import Answer, Found, Source
from app.answer.cache import Recent
from app.answer.memory import bytes_of
from app.answer.prompt import FENCE, LEAST, MARGIN, RULES
from app.llm import Turn, estimate
from app.retrieval.store import Candidate
from tests.answer.rooms import ASKED, DOWN, Room, ids
from tests.fakes import ScriptedLLM
from tests.virtual_time import in_virtual_time


@in_virtual_time
async def test_the_same_question_on_the_same_passages_is_answered_again_for_nothing() -> None:
    llm = ScriptedLLM("m", "Four [1].")
    room = Room(llm, cache=60)
    first = await room.ask()
    again = await room.ask()
    assert (again.text, again.citations) == (first.text, first.citations)
    assert (again.cached, again.tokens.total, len(llm.prompts)) == (True, 0, 1)
    assert ids(again) == ids(first)
    assert (await room.listen())[1:-1] == ["Four [1]."]


@in_virtual_time
async def test_an_answer_from_the_cache_keeps_the_warnings_of_its_making() -> None:
    for_one_passage = estimate(RULES) + estimate(ASKED.text) + MARGIN + LEAST + FENCE
    room = Room(ScriptedLLM("m", "Four [7]."), cache=60, room=for_one_passage)
    first, again = await room.ask(), await room.ask(replace(ASKED, initial_k=8))
    assert not first.cached
    assert first.warnings[0].startswith("initial_k (4) is less than")
    assert "1 passages were left out: the language model takes no more" in first.warnings
    assert "citations of passages that are not there were dropped: [7]" in first.warnings
    assert again.cached
    assert again.warnings == first.warnings[1:]


@in_virtual_time
async def test_a_changed_passage_a_new_question_or_a_day_later_is_asked_anew() -> None:
    llm = ScriptedLLM("m", "Four [1].")
    room = Room(llm, cache=60)
    await room.ask()
    room.retriever.candidates[2] = Candidate("p3", "A book is lent for five weeks in all.")
    assert not (await room.ask()).cached
    assert not (await room.ask(replace(ASKED, text="how long is a film lent"))).cached
    await asyncio.sleep(61)
    assert not (await room.ask()).cached
    assert len(llm.prompts) == 4


@in_virtual_time
async def test_what_was_extracted_for_want_of_a_model_is_not_kept() -> None:
    room = Room(ScriptedLLM("m", DOWN), cache=60)
    await room.ask()
    assert not (await room.ask()).cached


@in_virtual_time
async def test_by_default_nothing_is_kept() -> None:
    llm = ScriptedLLM("m", "Four [1].")
    room = Room(llm)
    await room.ask()
    await room.ask()
    assert len(llm.prompts) == 2


@in_virtual_time
async def test_a_kept_answer_holds_nothing_of_the_question() -> None:
    kept: Recent[Answer] = Recent(60, asyncio.get_running_loop().time)
    room = Room(ScriptedLLM("m", "Four [1]."), recent=kept)
    said = [Turn("user", "x" * 20_000)] * 50
    first = await room.ask(replace(ASKED, conversation=said, filters={"a": "x" * 20_000}))
    again = await room.ask(replace(ASKED, conversation=said, filters={"a": "x" * 20_000}))
    assert again.cached
    assert again.question == first.question
    assert kept.size < 5_000


def test_the_least_recently_used_goes_first_by_number_and_by_bytes() -> None:
    kept: Recent[str] = Recent(60, lambda: 0.0, most=3, max_bytes=10_000)
    for name in "abcd":
        kept.put(name, name)
        kept.get("b")
    assert [kept.get(name) for name in "abcd"] == [None, "b", "c", "d"]
    kept.put("e", "e" * 8_500)
    assert (kept.get("e"), kept.get("a")) == ("e" * 8_500, None)
    assert kept.size <= 10_000


def test_what_is_larger_than_the_bound_is_not_kept_nor_what_it_replaces() -> None:
    kept: Recent[str] = Recent(60, lambda: 0.0, max_bytes=1_000)
    kept.put("a", "small")
    kept.put("a", "x" * 2_000)
    assert (kept.get("a"), kept.size, len(kept)) == (None, 0, 0)


def test_what_is_replaced_or_too_old_counts_no_more() -> None:
    clock = [0.0]
    kept: Recent[str] = Recent(60, lambda: clock[0])
    kept.put("a", "x" * 1_000)
    kept.put("a", "x")
    assert kept.size < 500
    clock[0] = 61
    assert (kept.get("a"), kept.size) == (None, 0)


def answers(count: int) -> Iterator[Answer]:
    """Of questions with fifty candidates each, made of new texts."""
    for number in range(count):
        candidates = [
            Candidate(
                f"{number}-{place}", f"{number} {place} " + "text " * 100, {"source": f"{place}.md"}
            )
            for place in range(50)
        ]
        sources = [Source(one, 1, 0.5, 1) for one in candidates[:5]]
        yield Answer(ASKED, Found(sources, candidates), "answered", f"{number} " * 100)


@pytest.mark.parametrize("bound", [5_000_000, 10_000_000])
def test_the_bytes_that_are_counted_are_those_that_are_taken(bound: int) -> None:
    kept: Recent[Answer] = Recent(60, lambda: 0.0, max_bytes=bound)
    tracemalloc.start()
    try:
        for number, answer in enumerate(answers(400)):
            kept.put(str(number), answer)
        del answer
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.9 * bound < kept.size <= bound
    assert 0.9 * kept.size < taken < 1.1 * kept.size


def test_a_value_counts_all_that_it_holds_and_each_part_once() -> None:
    text = "x" * 10_000
    assert 10_000 < bytes_of([text, {"a": text}, (text, {text: None})]) < 11_000
    assert bytes_of({"a": [{"b": "y" * 5_000}]}) > 5_000
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    assert bytes_of(nested) > 5_000_000


@in_virtual_time
async def test_callers_that_are_kept_apart_are_not_given_each_others_answers() -> None:
    llm = ScriptedLLM("m", "Four [1].")
    room = Room(llm, cache=60)
    asked = [replace(ASKED, caller=name) for name in ("one", "two", "one", "")]
    assert [(await room.ask(one)).cached for one in asked] == [False, False, True, False]
    assert len(llm.prompts) == 3
