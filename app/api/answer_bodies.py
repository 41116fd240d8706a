"""The request and response bodies of `/answer`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from app.answer.question import Question
from app.answer.result import Answer, Outcome, Selection, Source
from app.api.dialects.fields import QUERY, WHOLE, Lenient
from app.llm import Turn
from app.retrieval.store import COLLECTION, MAX_FILTER_NAME, MAX_FILTER_TEXT, MAX_FILTERS

MAX_FINAL_K = 100
MAX_TURNS = 50
EXAMPLES: dict[str, JsonDict] = {
    "question": {"summary": "Only a question", "value": {"query": QUERY}},
    "strict": {
        "summary": "The best 3 of 20 candidates, with a minimum score and with their texts",
        "value": {
            "query": QUERY,
            "initial_k": 20,
            "final_k": 3,
            "min_score": 0.2,
            "return_documents": True,
        },
    },
    "conversation": {
        "summary": "A question that depends on an earlier turn",
        "value": {
            "query": "and a film?",
            "conversation": [
                {"role": "user", "content": QUERY},
                {"role": "assistant", "content": "Four weeks [1]."},
            ],
        },
    },
}
EXAMPLE_ANSWER: JsonDict = {
    "id": "5f0c6a1e0a8f4d0b9a3c7d21e4b8f906",
    "outcome": "answered",
    "answer": "You may keep it for four weeks [1].",
    "citations": [
        {"start": 0, "end": 30, "text": "You may keep it for four weeks", "sources": [1]}
    ],
    "invented_citations": [],
    "sources": [
        {
            "number": 1,
            "id": "rules-7",
            "metadata": {"source": "rules.md", "section": "Loans"},
            "first_stage_score": 7.1,
            "first_stage_rank": 4,
            "rerank_score": 0.93,
            "rerank_rank": 1,
        }
    ],
    "retrieved_count": 50,
    "used_count": 1,
    "llm": "my-model",
    "cached": False,
    "usage": {
        "prompt_tokens": 310,
        "completion_tokens": 12,
        "total_tokens": 322,
        "rerank_tokens": 4100,
    },
    "times_ms": {"retrieve": 8.1, "rerank": 95.0, "llm": 640.2, "total": 744.0},
    "warnings": [],
}


# The numbers that stores can compare. The first stage also refuses others, with its own error.
NUMBER_BOUND = 2**63
INTEGER: JsonDict = {"type": "integer", "minimum": -NUMBER_BOUND, "maximum": NUMBER_BOUND - 1}
NUMBER: JsonDict = {"type": "number", "minimum": -NUMBER_BOUND, "exclusiveMaximum": NUMBER_BOUND}
Whole = Annotated[int, WithJsonSchema(INTEGER)]
Number = Annotated[float, WithJsonSchema(NUMBER)]


def _few(filters: object) -> object:
    """Check sizes before validation: an error about one of a million names takes half a minute."""
    if isinstance(filters, dict):
        at_most(MAX_FILTERS, len(filters), "names")
        at_most(MAX_FILTER_NAME, max(map(len, filters), default=0), "characters in a name")
    return filters


def at_most(limit: int, count: int, unit: str) -> None:
    if count > limit:
        raise PydanticCustomError(
            "too_many",
            "holds {count} {unit}, more than the limit of {max_length}",
            {"count": count, "unit": unit, "max_length": limit},
        )


Word = Annotated[
    str,
    WithJsonSchema({"type": "string", "maxLength": MAX_FILTER_TEXT, "pattern": r"^[^\u0000]*$"}),
]
Filters = Annotated[dict[str, Word | bool | Whole | Number], BeforeValidator(_few)]
FILTER_NAMES: JsonDict = {
    "minLength": 1,
    "maxLength": MAX_FILTER_NAME,
    "pattern": r"^[^$\u0000][^\u0000]*$",
}


class TurnBody(Lenient):
    role: Literal["user", "assistant"]
    content: str


class AnswerRequest(Lenient):
    query: Annotated[str, Field(pattern=r"\S", description="The question")]
    initial_k: Annotated[int, Field(ge=2), WHOLE] = Field(
        50, description="Number of candidates from the first stage"
    )
    final_k: Annotated[int, Field(ge=1, le=MAX_FINAL_K), WHOLE] = Field(
        5, description="Maximum passages in the answer, after reranking; less than `initial_k`"
    )
    min_score: float | None = Field(
        None, description="Minimum score of a passage; by default the setting of the service"
    )
    filters: Filters | None = Field(
        None,
        description="Metadata values that a passage must have, by name",
        json_schema_extra={"maxProperties": MAX_FILTERS, "propertyNames": FILTER_NAMES},
    )
    collection: Annotated[str, Field(pattern=COLLECTION)] | None = Field(
        None, description="Collection to search; by default the setting of the service"
    )
    conversation: Annotated[list[TurnBody], Field(max_length=MAX_TURNS, fail_fast=True)] = Field(
        default_factory=list, description="Earlier turns, oldest first"
    )
    stream: bool = Field(False, description="Send events while the answer is generated")
    return_documents: bool = Field(False, description="Return the text of each source")
    timeout_ms: Annotated[int, Field(ge=1), WHOLE] | None = Field(
        None, description="Time limit in milliseconds; above it: 504"
    )
    diagnostics: bool = Field(False, description="Return the queries and the ids of all candidates")

    def question(self) -> Question:
        return Question(
            self.query,
            self.initial_k,
            self.final_k,
            self.min_score,
            self.filters or {},
            self.collection,
            [Turn(turn.role, turn.content) for turn in self.conversation],
            self.timeout_ms / 1000 if self.timeout_ms else None,
            self.return_documents,
            self.diagnostics,
        )


class FeedbackRequest(Lenient):
    useful: Literal["up", "down"]
    source: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="Id of the candidate that contains the right answer"
    )
    comment: Annotated[str, Field(max_length=2000)] | None = None


class CitationBody(BaseModel):
    start: int = Field(description="Position in `answer`, in code points")
    end: int
    text: str = Field(description="The part of the answer that these sources support")
    sources: list[int] = Field(description="`number` of each source")


class SourceBody(BaseModel):
    number: int = Field(description="Number of the source, as in `[1]` in the answer")
    id: str
    metadata: dict[str, Any]
    text: str | None = None
    first_stage_score: float | None = None
    first_stage_rank: int
    rerank_score: float
    rerank_rank: int


class AnswerUsage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    rerank_tokens: int


class AnswerDiagnostics(BaseModel):
    queries: list[str]
    candidates: list[str] = Field(description="Ids in the order of the first stage")


class AnswerBody(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_ANSWER]})

    id: str
    outcome: Outcome
    answer: str
    citations: list[CitationBody]
    invented_citations: list[int] = Field(
        description="Numbers of sources that the language model cited but that do not exist; "
        "`answer` does not contain them"
    )
    sources: list[SourceBody]
    retrieved_count: int
    used_count: int = Field(description="Number of sources that the answer is based on")
    llm: str | None = None
    reranked_by: str | None = Field(None, description="Remote service that scored, if any")
    cached: bool
    usage: AnswerUsage
    times_ms: dict[str, float]
    warnings: list[str]
    diagnostics: AnswerDiagnostics | None = None


def render(name: str, answer: Answer) -> dict[str, object]:
    selection, question = answer.selection, answer.question
    body: dict[str, object] = {
        "id": name,
        "outcome": answer.outcome,
        "answer": answer.text,
        "citations": [
            {
                "start": citation.start,
                "end": citation.end,
                "text": answer.text[citation.start : citation.end],
                "sources": list(citation.sources),
            }
            for citation in answer.citations
        ],
        "invented_citations": list(answer.invented),
        "sources": render_sources(selection, texts=question.return_documents),
        "retrieved_count": len(selection.candidates),
        "used_count": answer.used,
        **({"llm": answer.llm} if answer.llm else {}),
        **({"reranked_by": selection.by} if selection.by else {}),
        "cached": answer.cached,
        "usage": {
            "prompt_tokens": answer.tokens.prompt,
            "completion_tokens": answer.tokens.completion,
            "total_tokens": answer.tokens.total,
            "rerank_tokens": selection.rerank_tokens,
        },
        "times_ms": {stage: round(1000 * time, 2) for stage, time in answer.times.items()},
        "warnings": list(answer.warnings),
    }
    if question.diagnostics:
        ids = [candidate.id for candidate in selection.candidates]
        body["diagnostics"] = {"queries": question.queries, "candidates": ids}
    return body


def render_sources(selection: Selection, *, texts: bool) -> list[dict[str, object]]:
    return [
        render_source(number, source, text=texts)
        for number, source in enumerate(selection.sources, 1)
    ]


def render_source(number: int, source: Source, *, text: bool) -> dict[str, object]:
    candidate = source.candidate
    return {
        "number": number,
        "id": candidate.id,
        "metadata": dict(candidate.metadata),
        **({"text": candidate.text} if text else {}),
        "first_stage_score": candidate.score,
        "first_stage_rank": source.first_rank,
        "rerank_score": source.score,
        "rerank_rank": source.rank,
    }
