from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.answer.rooms import DOWN, Room, ids
from tests.fakes import ScriptedLLM
from tests.virtual_time import in_virtual_time


@in_virtual_time
async def test_the_model_may_order_the_best_again() -> None:
    room = Room(ScriptedLLM("m", "2 > 1"), listwise=True)
    answer = await room.ask()
    assert ids(answer) == ["p2", "p3"]
    assert [one.rank for one in answer.found.sources] == [2, 1]
    assert answer.tokens.total == 20


@pytest.mark.parametrize("said", ["Passage 2 is best.", "2 > 2", "9 > 1", "", DOWN])
def test_an_order_that_is_none_leaves_the_rerankers_and_warns(said: str | Exception) -> None:
    @in_virtual_time
    async def test() -> None:
        pieces: Sequence[str | Exception] = [said]
        answer = await Room(ScriptedLLM("m", *pieces), listwise=True).ask()
        assert ids(answer) == ["p3", "p2"]
        assert any(one.startswith("the order is the reranker's") for one in answer.warnings)

    test()
