"""The types of answers and of `/info`, and how they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypedDict

from rerankd.conversation import Call
from rerankd.errors import InvalidInput
from rerankd.fields import Fields, fields_of

PATH = "answer"


class Turn(TypedDict):
    """An earlier turn of a conversation."""

    role: Literal["user", "assistant"]
    content: str


class AnswerOptions(TypedDict, total=False):
    """Fields of `POST /answer`; those that are absent are decided by the service."""

    initial_k: int
    final_k: int
    min_score: float
    filters: Mapping[str, str | bool | int | float]
    collection: str
    conversation: Sequence[Turn]
    return_documents: bool
    diagnostics: bool


Verdict: TypeAlias = Literal["up", "down"]


@dataclass(frozen=True, slots=True)
class Citation:
    """The part of the answer that `sources` support, by their numbers."""

    start: int
    end: int
    text: str
    sources: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A passage; `number` is that of `[1]` in the answer. `text` needs `return_documents`."""

    number: int
    id: str
    metadata: Mapping[str, Any]
    text: str | None
    first_stage_score: float | None
    first_stage_rank: int
    rerank_score: float
    rerank_rank: int


@dataclass(frozen=True, slots=True)
class AnswerUsage:
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    rerank_tokens: int


@dataclass(frozen=True, slots=True)
class AnswerDiagnostics:
    queries: tuple[str, ...]
    candidates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """`outcome` is `answered`, `extractive` or `not_found`; `id` is for `feedback`."""

    id: str
    outcome: str
    text: str
    citations: tuple[Citation, ...]
    invented_citations: tuple[int, ...]
    sources: tuple[Source, ...]
    retrieved_count: int
    used_count: int
    llm: str | None
    reranked_by: str | None
    cached: bool
    usage: AnswerUsage
    times_ms: Mapping[str, float]
    warnings: tuple[str, ...]
    diagnostics: AnswerDiagnostics | None


@dataclass(frozen=True, slots=True)
class Info:
    """What the service says about itself; `fields` has everything, such as `engine`."""

    version: str
    status: str
    model: str | None
    reranked_by: str | None
    limits: Mapping[str, int]
    fields: Mapping[str, Any]

    @property
    def is_ready(self) -> bool:
        return self.status == "ready"


def question(query: str, options: AnswerOptions, *, streamed: bool) -> Call:
    unknown = options.keys() - AnswerOptions.__annotations__.keys()
    if unknown:
        known_names = ", ".join(sorted(AnswerOptions.__annotations__))
        raise InvalidInput(f"{min(unknown)}: no such option; available: {known_names}")
    body = {name: value for name, value in options.items() if value is not None}
    if streamed:
        body["stream"] = True
    # A language model may have been paid for a question that was sent.
    return Call(PATH, {"query": query, **body}, repeatable=False, streamed=streamed)


def verdict(answer_id: str, useful: Verdict, source: str | None, comment: str | None) -> Call:
    if not answer_id.isalnum():
        raise InvalidInput(f"answer_id: {answer_id!r} is not the id of an answer")
    optional = {"source": source, "comment": comment}
    body = {name: value for name, value in optional.items() if value is not None}
    path = f"{PATH}/{answer_id}/feedback"
    return Call(path, {"useful": useful, **body}, repeatable=False, timed=False)


def read_answer(fields: Fields) -> Answer:
    usage = fields.within("usage")
    measured = fields.values.get("diagnostics") is not None
    return Answer(
        id=fields.text("id"),
        outcome=fields.text("outcome"),
        text=fields.text("answer"),
        citations=fields.items("citations", read_citation),
        invented_citations=fields.wholes("invented_citations"),
        sources=fields.items("sources", read_source),
        retrieved_count=fields.whole("retrieved_count"),
        used_count=fields.whole("used_count"),
        llm=fields.optional("llm", fields.text),
        reranked_by=fields.optional("reranked_by", fields.text),
        cached=fields.flag("cached"),
        usage=AnswerUsage(
            usage.whole("prompt_tokens"),
            usage.whole("completion_tokens"),
            usage.whole("total_tokens"),
            usage.whole("rerank_tokens"),
        ),
        times_ms=fields.numbers("times_ms"),
        warnings=fields.texts("warnings"),
        diagnostics=read_diagnostics(fields.within("diagnostics")) if measured else None,
    )


def read_citation(fields: Fields) -> Citation:
    return Citation(
        fields.whole("start"), fields.whole("end"), fields.text("text"), fields.wholes("sources")
    )


def read_source(fields: Fields) -> Source:
    return Source(
        number=fields.whole("number"),
        id=fields.text("id"),
        metadata=fields.within("metadata").values,
        text=fields.optional("text", fields.text),
        first_stage_score=fields.optional("first_stage_score", fields.number),
        first_stage_rank=fields.whole("first_stage_rank"),
        rerank_score=fields.number("rerank_score"),
        rerank_rank=fields.whole("rerank_rank"),
    )


def read_diagnostics(fields: Fields) -> AnswerDiagnostics:
    return AnswerDiagnostics(fields.texts("queries"), fields.texts("candidates"))


def read_info(raw: bytes) -> Info:
    fields = fields_of(raw)
    limits = fields.within("limits")
    return Info(
        version=fields.text("version"),
        status=fields.text("status"),
        model=fields.optional("model", fields.text),
        reranked_by=fields.optional("reranked_by", fields.text),
        limits={name: limits.whole(name) for name in limits.values},
        fields=fields.values,
    )
