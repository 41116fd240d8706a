from __future__ import annotations

import asyncio
from dataclasses import replace

from app.answer.candidate import Candidate
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
