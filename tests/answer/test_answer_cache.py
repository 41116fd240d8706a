from __future__ import annotations

import asyncio
from dataclasses import replace

from app.answer.candidate import Candidate
from app.answer.llm import estimate
from app.answer.prompt import FENCE, LEAST, MARGIN, RULES
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
async def test_callers_that_are_kept_apart_are_not_given_each_others_answers() -> None:
    llm = ScriptedLLM("m", "Four [1].")
    room = Room(llm, cache=60)
    asked = [replace(ASKED, caller=name) for name in ("one", "two", "one", "")]
    assert [(await room.ask(one)).cached for one in asked] == [False, False, True, False]
    assert len(llm.prompts) == 3
