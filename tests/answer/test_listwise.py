from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from app.llm import estimate_prompt
from app.retrieval.store import Candidate
from tests.answer.rooms import DOWN, QUESTION, Room, ids
from tests.fakes import ScriptedLLM
from tests.virtual_time import in_virtual_time


@in_virtual_time
async def test_the_model_may_order_the_best_again() -> None:
    room = Room(ScriptedLLM("m", "2 > 1"), listwise=True)
    answer = await room.ask()
    assert ids(answer) == ["p2", "p3"]
    assert [source.rank for source in answer.selection.sources] == [2, 1]
    assert answer.tokens.total == 20


@pytest.mark.parametrize("reply", ["Passage 2 is best.", "2 > 2", "9 > 1", "", "9" * 5000, DOWN])
def test_an_order_that_is_none_leaves_the_rerankers_and_warns(reply: str | Exception) -> None:
    @in_virtual_time
    async def test() -> None:
        pieces: Sequence[str | Exception] = [reply]
        answer = await Room(ScriptedLLM("m", *pieces), listwise=True).ask()
        assert ids(answer) == ["p3", "p2"]
        assert any(warning.startswith("the order is the reranker's") for warning in answer.warnings)

    test()


@pytest.mark.parametrize(("prompt_tokens", "shown"), [(7168, 10), (1500, 4), (400, 0)])
def test_the_model_orders_the_ten_best_or_as_many_as_it_takes(
    prompt_tokens: int, shown: int
) -> None:
    @in_virtual_time
    async def test() -> None:
        numbers = range(shown, 0, -1)
        llm = ScriptedLLM("m", " > ".join(map(str, numbers)))
        room = Room(llm, listwise=True, prompt_tokens=prompt_tokens)
        long = "A book is lent for four weeks. " * 50
        room.retriever.candidates = [Candidate(f"p{i}", f"{i}. {long}") for i in range(1, 31)]
        answer = await room.ask(replace(QUESTION, initial_k=100, final_k=20))
        assert estimate_prompt(llm.prompts[0]) <= prompt_tokens
        assert ids(answer) == [f"p{i}" for i in (*numbers, *range(shown + 1, 21))]
        refused = "the order is the reranker's: the language model takes no two passages"
        assert (refused in answer.warnings) == (shown == 0)

    test()
