"""What was found for a question, and what was answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from app.answer.citations import Citation
from app.answer.question import Question
from app.llm import Tokens
from app.retrieval.store import Candidate

Outcome = Literal["answered", "extractive", "not_found"]


@dataclass(frozen=True, slots=True)
class Source:
    """A passage that was found good enough. Ranks, the reranker's among them, count from 1."""

    candidate: Candidate
    first_rank: int
    score: float
    rank: int


@dataclass(frozen=True, slots=True)
class Found:
    sources: Sequence[Source]
    candidates: Sequence[Candidate]  # all, as the first stage ordered them
    rerank_tokens: int = 0
    model: str = ""  # that reranked; none where there was nothing to rerank
    by: str = ""  # who reranked, where it was another service

    @property
    def texts(self) -> list[str]:
        return [one.candidate.text for one in self.sources]

    @property
    def bodies(self) -> list[str]:
        return [one.candidate.body for one in self.sources]


@dataclass(frozen=True, slots=True)
class Answer:
    question: Question
    found: Found
    outcome: Outcome
    text: str
    citations: Sequence[Citation] = ()
    invented: Sequence[int] = ()  # markers that name no source
    used: int = 0
    llm: str | None = None
    tokens: Tokens = field(default_factory=Tokens)
    cached: bool = False
    warnings: Sequence[str] = ()
    times: Mapping[str, float] = field(default_factory=dict)  # seconds by stage


@dataclass(frozen=True, slots=True)
class StageDone:
    """`outcome` is ok, failed or client_gone."""

    stage: str
    outcome: str
    seconds: float
