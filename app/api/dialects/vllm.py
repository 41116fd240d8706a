"""vLLM: `/rerank`, which always echoes documents, and the options that `/score` shares."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from app.api.dialects.dialect import Body, Dialect, Label, body_with_status, ranked
from app.api.dialects.fields import (
    DOCUMENTS,
    LEAST_URGENT,
    QUERY,
    Count,
    Either,
    Lenient,
    Text,
    Whole,
    example,
)
from app.rerank.query import Document, Query, Ranking, ScoreKind
from app.text import Side

MAX_PARTS_PER_TEXT = 1_000
# app.api.dialects.score implements these.
SCORE_PATHS = ("/score", "/v1/score", "/vllm/score", "/vllm/v1/score")


class VllmPart(Lenient):
    type: Literal["text"]
    text: str


class VllmContent(Lenient):
    content: Annotated[
        list[VllmPart], Field(min_length=1, max_length=MAX_PARTS_PER_TEXT, fail_fast=True)
    ]


Content = Either[str, VllmContent]


class VllmOptions(Lenient):
    """The fields that `/rerank` and `/score` share."""

    model: str | None = None
    truncation_side: Side | None = None
    use_activation: bool | None = None
    # The name of `use_activation` in older versions.
    activation: bool | None = None
    priority: Whole | None = None

    @property
    def score(self) -> ScoreKind:
        return "logit" if False in (self.use_activation, self.activation) else "probability"

    @property
    def urgency(self) -> int:
        """The priority, limited to the range of this service; vLLM has no limits."""
        return min(max(self.priority or 0, 0), LEAST_URGENT)


class VllmRequest(VllmOptions):
    model_config = example(
        {"model": "BAAI/bge-reranker-v2-m3", "query": QUERY, "documents": DOCUMENTS, "top_n": 1}
    )

    query: Either[Text, VllmContent]
    documents: Annotated[list[Content], Field(min_length=1, fail_fast=True)]
    top_n: Count = None
    max_tokens_per_doc: Count = None
    instruction: str | None = None


class VllmDocument(BaseModel):
    text: str | None
    multi_modal: None = None


class VllmResult(BaseModel):
    index: int
    document: VllmDocument
    relevance_score: float


class VllmAnswer(BaseModel):
    id: str
    model: str
    usage: dict[str, int]
    results: list[VllmResult]


def text_of(content: str | VllmContent) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part.text for part in content.content)


def parse(body: Body) -> Query:
    request = VllmRequest.model_validate(body)
    return Query(
        text=text_of(request.query),
        documents=[Document(text_of(document)) for document in request.documents],
        top_n=request.top_n or None,
        score=request.score,
        cut=request.truncation_side or "right",
        document_tokens=request.max_tokens_per_doc or 0,
        instruction=request.instruction or None,
        priority=request.urgency,
        return_documents=True,
    )


def echo(document: Document) -> Any:
    return {"text": document.text, "multi_modal": None}


def render(ranking: Ranking, label: Label) -> Body:
    tokens = ranking.usage.tokens
    return {
        "id": f"rerank-{label.id}",
        "model": label.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "results": ranked(ranking, echo),
    }


DIALECT = Dialect(
    "vllm",
    ("/vllm/rerank", "/vllm/v1/rerank", "/vllm/v2/rerank"),
    VllmRequest,
    VllmAnswer,
    parse,
    render,
    body_with_status,
    prefix="vllm",
    recognises=lambda signs: signs.path in SCORE_PATHS,
    statuses={"invalid": 400},
)
