from __future__ import annotations

import pytest

from app.answer.question import Question
from app.errors import InvalidRequest
from app.llm import Turn


@pytest.mark.parametrize("final_k", [10, 11])
def test_choosing_all_or_more_is_refused_and_the_limit_named(final_k: int) -> None:
    with pytest.raises(InvalidRequest, match=r"must be less than initial_k \(10\)") as caught:
        Question("q", initial_k=10, final_k=final_k)
    assert (caught.value.field, caught.value.limit) == ("final_k", 9)


@pytest.mark.parametrize(("initial_k", "warnings"), [(19, 1), (20, 0)])
def test_few_candidates_are_warned_of(initial_k: int, warnings: int) -> None:
    assert len(Question("q", initial_k=initial_k, final_k=5).warnings) == warnings


def test_a_conversation_brings_a_second_query_and_is_there_for_the_reranker() -> None:
    turns = [Turn("user", "how long is a loan"), Turn("assistant", "Four weeks.")]
    question = Question("and for films?", conversation=turns)
    assert question.queries == ["and for films?", "how long is a loan\nand for films?"]
    assert Question("alone").queries == ["alone"]
