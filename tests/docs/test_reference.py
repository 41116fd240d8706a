"""docs/reference says what the code says."""

from __future__ import annotations

import re

import pytest
from pydantic import BaseModel

from app.api.answer_bodies import AnswerRequest, FeedbackRequest
from app.api.dialects.native import NativeRequest
from app.api.problems import TYPES
from app.retrieval.stores import STORES
from tests.docs.reference import BLOCKS, REFERENCE, rendered, written


@pytest.mark.parametrize(("page", "block"), list(BLOCKS))
def test_a_generated_block_is_what_the_code_says(page: str, block: str) -> None:
    expected = rendered(block, BLOCKS[page, block]())
    assert written(page, block) == expected, "run `make docs`"


@pytest.mark.parametrize(
    ("model", "page"),
    [
        (NativeRequest, "rerank.md"),
        (AnswerRequest, "answer.md"),
        (FeedbackRequest, "answer.md"),
    ],
)
def test_every_field_of_a_request_is_documented(model: type[BaseModel], page: str) -> None:
    text = (REFERENCE / page).read_text()
    assert [name for name in model.model_fields if f"| `{name}` |" not in text] == []


def test_every_store_has_a_section_with_its_title() -> None:
    headings = (REFERENCE / "../how-to/stores.md").read_text().splitlines()
    assert [kind.title for kind in STORES.values() if f"## {kind.title}" not in headings] == []


def test_every_problem_type_says_when_it_occurs() -> None:
    text = (REFERENCE / "errors.md").read_text().split("<!-- /errors -->")[1]
    explained = {
        name
        for line in re.findall(r"^\| (`.+?`) \|", text, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", line)
    }
    assert explained - {"type"} == TYPES
