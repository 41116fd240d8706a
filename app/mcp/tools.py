"""The tools: what they take, what they return, and what agents are told about them.

The texts are written for language models, which choose and fill a tool by them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.validation import as_invalid

INSTRUCTIONS = (
    "rerankd orders texts by their relevance to a query (`rerank`) and answers questions from its "
    "stored documents with citations (`answer`, if it has a store)."
)
MAX_SOURCES = 20
Limits = Mapping[str, int]


class Arguments(BaseModel):
    """A misspelt argument is an error, so that the agent can correct it."""

    model_config = ConfigDict(extra="forbid")


class TextWithId(Arguments):
    text: str
    id: str | int | None = Field(None, description="Your own name for it; results repeat it")


class RerankArguments(Arguments):
    query: Annotated[str, Field(pattern=r"\S")] = Field(
        description="What the texts should be relevant to: a question or a search query, complete "
        "by itself"
    )
    documents: Annotated[list[str | TextWithId], Field(min_length=1)] = Field(
        description="The candidates, each as a text or as an object with `text` and `id`"
    )
    top_n: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Return only this many of the best; by default all"
    )
    min_score: float | None = Field(
        None, description="Leave out texts with a lower score, between 0 and 1"
    )
    return_documents: bool = Field(
        False, description="Repeat the text of each result; otherwise it has only its index and id"
    )


class RankedText(BaseModel):
    index: int = Field(description="Position in `documents`, from 0")
    id: str | int | None = None
    relevance_score: float = Field(description="Between 0 (not relevant) and 1")
    text: str | None = None


class RerankOutput(BaseModel):
    results: list[RankedText] = Field(description="Best first")
    truncated_documents: list[int] | None = Field(
        None, description="Indices of texts that were too long and of which only a part was read"
    )
    warnings: list[str] | None = None


class AnswerArguments(Arguments):
    query: Annotated[str, Field(pattern=r"\S")] = Field(
        description="The question, complete by itself: earlier messages are not known"
    )
    final_k: Annotated[int, Field(ge=1, le=MAX_SOURCES)] = Field(
        5, description="Maximum passages that the answer is based on"
    )
    min_score: float | None = Field(
        None, description="Minimum relevance of a passage, between 0 and 1"
    )
    filters: dict[str, str | bool | int | float] | None = Field(
        None, description="Metadata values that a passage must have, by name"
    )
    collection: str | None = Field(None, description="Collection to search; by default the usual")
    return_documents: bool = Field(False, description="Return the text of each passage too")


class AnswerSource(BaseModel):
    number: int = Field(description="As in `[1]` in the answer")
    id: str
    relevance_score: float
    metadata: dict[str, Any] = Field(description="Such as the file and the section")
    text: str | None = None


class AnswerOutput(BaseModel):
    outcome: Literal["answered", "extractive", "not_found"] = Field(
        description="`answered`: written by a language model; `extractive`: quoted sentences of "
        "the passages; `not_found`: the stored documents have no answer"
    )
    answer: str = Field(description="With the numbers of its sources, such as `[1]`")
    sources: list[AnswerSource]
    warnings: list[str] | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """`output` makes the result of a tool from the body that the service answers with."""

    name: Literal["rerank", "answer"]
    title: str
    description: str
    arguments: type[Arguments]
    result: type[BaseModel]
    output: Callable[[Mapping[str, Any]], BaseModel]

    def body(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The body of the request to the service; or InvalidRequest."""
        try:
            return self.arguments.model_validate(arguments).model_dump(exclude_none=True)
        except ValidationError as error:
            raise as_invalid(error) from error

    def input_schema(self, limits: Limits) -> dict[str, Any]:
        schema = self.arguments.model_json_schema()
        properties = schema["properties"]
        if "query_chars" in limits:
            properties["query"]["maxLength"] = limits["query_chars"]
        if "documents" in limits and "documents" in properties:
            properties["documents"]["maxItems"] = limits["documents"]
        return schema

    def output_schema(self) -> dict[str, Any]:
        return self.result.model_json_schema(mode="serialization")


def ranked(body: Mapping[str, Any]) -> RerankOutput:
    results = [
        RankedText(
            index=result["index"],
            id=result.get("id"),
            relevance_score=result["relevance_score"],
            text=result["document"]["text"] if "document" in result else None,
        )
        for result in body["results"]
    ]
    truncated = body["usage"].get("truncated_documents")
    return RerankOutput(
        results=results, truncated_documents=truncated, warnings=body.get("warnings")
    )


def answered(body: Mapping[str, Any]) -> AnswerOutput:
    sources = [
        AnswerSource(relevance_score=source["rerank_score"], **source) for source in body["sources"]
    ]
    return AnswerOutput(
        outcome=body["outcome"],
        answer=body["answer"],
        sources=sources,
        warnings=body["warnings"] or None,
    )


RERANK = Tool(
    "rerank",
    "Rank texts by relevance",
    "Order texts by their relevance to a query, best first, each with a score between 0 and 1. "
    "Use it to find the few that matter among many search results, passages, files or notes before "
    "reading them. It reads only the texts that it gets, and searches nothing.",
    RerankArguments,
    RerankOutput,
    ranked,
)
ANSWER = Tool(
    "answer",
    "Answer from stored documents",
    "Answer a question from the documents that are stored here, with citations. It searches the "
    "store, ranks the passages that it finds, and answers from the best. If nothing there answers "
    "the question, `outcome` is `not_found`: do not repeat the same question then. With "
    "`return_documents` it is also a search that returns the best passages.",
    AnswerArguments,
    AnswerOutput,
    answered,
)
TOOLS: Mapping[str, Tool] = {tool.name: tool for tool in (RERANK, ANSWER)}
