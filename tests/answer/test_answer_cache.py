from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.answer.cache import answer_cache
from app.answer.prompt import FENCE_TOKENS, MARGIN_TOKENS, MIN_PASSAGE_TOKENS, RULES
from app.answer.result import Answer, Selection, Source
from app.llm import Turn, estimate
from app.retrieval.store import Candidate
from tests.answer.rooms import CACHE_BYTES, DOWN, QUESTION, Room, ids
from tests.fakes import ScriptedLLM
from tests.virtual_time import in_virtual_time


@in_virtual_time
async def test_the_same_question_on_the_same_passages_is_answered_again_for_nothing() -> None:
    llm = ScriptedLLM("m", "Four [1].")
    room = Room(llm, cache_seconds=60)
    first = await room.ask()
    again = await room.ask()
    assert (again.text, again.citations) == (first.text, first.citations)
    assert (again.cached, again.tokens.total, len(llm.prompts)) == (True, 0, 1)
    assert ids(again) == ids(first)
    assert (await room.listen())[0][1:] == ["Four [1]."]


@in_virtual_time
async def test_an_answer_from_the_cache_keeps_the_warnings_of_its_making() -> None:
    fixed = estimate(RULES) + estimate(QUESTION.text) + MARGIN_TOKENS
    for_one_passage = fixed + MIN_PASSAGE_TOKENS + FENCE_TOKENS
    llm = ScriptedLLM("m", "Four [7].")
    room = Room(llm, cache_seconds=60, prompt_tokens=for_one_passage)
    first, again = await room.ask(), await room.ask(replace(QUESTION, initial_k=8))
    assert not first.cached
    assert first.warnings[0].startswith("initial_k (4) is less than")
    assert "1 passages were left out: the language model takes no more" in first.warnings
    assert "citations of passages that are not there were dropped: [7]" in first.warnings
    assert again.cached
    assert again.warnings == first.warnings[1:]


@in_virtual_time
async def test_a_changed_passage_a_new_question_or_an_old_answer_needs_a_new_answer() -> None:
    llm = ScriptedLLM("m", "Four [1].")
    room = Room(llm, cache_seconds=60)
    await room.ask()
    room.retriever.candidates[2] = Candidate("p3", "A book is lent for five weeks in all.")
    assert not (await room.ask()).cached
    assert not (await room.ask(replace(QUESTION, text="how long is a film lent"))).cached
    await asyncio.sleep(61)
    assert not (await room.ask()).cached
    assert len(llm.prompts) == 4


@in_virtual_time
async def test_an_extract_made_because_a_model_failed_is_not_kept() -> None:
    room = Room(ScriptedLLM("m", DOWN), cache_seconds=60)
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
    kept = answer_cache(60, asyncio.get_running_loop().time, CACHE_BYTES)
    room = Room(ScriptedLLM("m", "Four [1]."), cache=kept)
    turns = [Turn("user", "x" * 20_000)] * 50
    first = await room.ask(replace(QUESTION, conversation=turns, filters={"a": "x" * 20_000}))
    again = await room.ask(replace(QUESTION, conversation=turns, filters={"a": "x" * 20_000}))
    assert again.cached
    assert again.question == first.question
    assert kept.size < 5_000


def answers(count: int) -> Iterator[Answer]:
    """Of questions with fifty candidates each, made of new texts."""
    for number in range(count):
        candidates = [
            Candidate(
                f"{number}-{index}", f"{number} {index} " + "text " * 100, {"source": f"{index}.md"}
            )
            for index in range(50)
        ]
        sources = [Source(candidate, 1, 0.5, 1) for candidate in candidates[:5]]
        yield Answer(QUESTION, Selection(sources, candidates), "answered", f"{number} " * 100)


@pytest.mark.parametrize("bound", [5_000_000, 10_000_000])
def test_the_bytes_that_are_counted_are_those_that_are_taken(bound: int) -> None:
    kept = answer_cache(60, lambda: 0.0, bound)
    tracemalloc.start()
    try:
        for number, answer in enumerate(answers(400)):
            kept.put(str(number).encode(), answer)
        del answer
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.9 * bound < kept.size <= bound
    assert 0.9 * kept.size < taken < 1.1 * kept.size


@in_virtual_time
async def test_callers_that_are_kept_apart_are_not_given_each_others_answers() -> None:
    llm = ScriptedLLM("m", "Four [1].")
    room = Room(llm, cache_seconds=60)
    questions = [replace(QUESTION, caller=name) for name in ("one", "two", "one", "")]
    assert [(await room.ask(question)).cached for question in questions] == [
        False,
        False,
        True,
        False,
    ]
    assert len(llm.prompts) == 3
