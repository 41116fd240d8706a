"""The tools as agents see them: schemas, descriptions, and errors that can be corrected."""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import InvalidRequest
from app.mcp.tools import ANSWER, RERANK, TOOLS, Tool

LIMITS = {"documents": 7, "query_chars": 99}
EVERY = pytest.mark.parametrize("tool", TOOLS.values(), ids=list(TOOLS))
RERANK_BODY: dict[str, Any] = {
    "id": "1",
    "model": "m",
    "score": "probability",
    "results": [
        {"index": 1, "relevance_score": 0.9, "id": "b", "document": {"text": "B", "page": 3}},
        {"index": 0, "relevance_score": 0.1, "document": {"text": "A"}},
    ],
    "usage": {"total_tokens": 9, "documents": 2, "truncated": 1, "truncated_documents": [0]},
    "warnings": ["a warning"],
}
ANSWER_BODY: dict[str, Any] = {
    "outcome": "answered",
    "answer": "Four weeks [1].",
    "sources": [
        {
            "number": 1,
            "id": "rules-7",
            "metadata": {"source": "rules.md"},
            "first_stage_score": 7.1,
            "first_stage_rank": 4,
            "rerank_score": 0.93,
            "rerank_rank": 1,
        }
    ],
    "warnings": [],
}


@EVERY
def test_a_tool_and_all_its_arguments_are_described(tool: Tool) -> None:
    schema = tool.input_schema({})
    assert len(tool.description) > 100
    assert tool.title
    assert {name for name, field in schema["properties"].items() if "description" not in field} == (
        set()
    )
    assert schema["additionalProperties"] is False


@EVERY
def test_a_schema_has_the_limits_of_the_service(tool: Tool) -> None:
    properties = tool.input_schema(LIMITS)["properties"]
    assert properties["query"]["maxLength"] == 99
    assert properties.get("documents", {}).get("maxItems", 7) == 7
    assert "maxLength" not in tool.input_schema({})["properties"]["query"]


def test_only_the_query_and_the_documents_are_needed() -> None:
    assert RERANK.input_schema({})["required"] == ["query", "documents"]
    assert ANSWER.input_schema({})["required"] == ["query"]


def test_arguments_become_the_body_of_a_request() -> None:
    arguments = {"query": "q", "documents": ["a", {"text": "b", "id": 7}], "top_n": 1}
    assert RERANK.body(arguments) == {**arguments, "return_documents": False}
    body = ANSWER.body({"query": "q", "filters": {"page": 3, "draft": False}})
    assert body["filters"] == {"page": 3, "draft": False}
    assert "collection" not in body


@pytest.mark.parametrize(
    ("tool", "arguments", "field"),
    [
        (RERANK, {"documents": ["a"]}, "query"),
        (RERANK, {"query": " ", "documents": ["a"]}, "query"),
        (RERANK, {"query": "q", "documents": []}, "documents"),
        (RERANK, {"query": "q", "documents": ["a"], "topn": 1}, "topn"),
        (RERANK, {"query": "q", "documents": ["a"], "top_n": 0}, "top_n"),
        (ANSWER, {"query": "q", "final_k": 21}, "final_k"),
        (ANSWER, {"query": "q", "filters": {"a": [1]}}, "filters.a"),
    ],
)
def test_a_wrong_argument_is_named(tool: Tool, arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        tool.body(arguments)
    assert refused.value.field.startswith(field)
    assert str(refused.value).startswith(field)


def test_a_ranking_is_returned_without_what_an_agent_does_not_need() -> None:
    assert RERANK.output(RERANK_BODY).model_dump(exclude_none=True) == {
        "results": [
            {"index": 1, "id": "b", "relevance_score": 0.9, "text": "B"},
            {"index": 0, "relevance_score": 0.1, "text": "A"},
        ],
        "truncated_documents": [0],
        "warnings": ["a warning"],
    }


def test_an_answer_is_returned_with_its_sources() -> None:
    assert ANSWER.output(ANSWER_BODY).model_dump(exclude_none=True) == {
        "outcome": "answered",
        "answer": "Four weeks [1].",
        "sources": [
            {
                "number": 1,
                "id": "rules-7",
                "relevance_score": 0.93,
                "metadata": {"source": "rules.md"},
            }
        ],
    }
