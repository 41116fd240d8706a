"""What was selected for a question, and the answer made from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from app.answer.citations import Citation
from app.answer.question import Question
from app.events import TopScored
from app.llm import TokenUsage
from app.rerank.query import Result
from app.rerank.ranking import top_of
from app.retrieval.store import Candidate

Outcome = Literal["answered", "extractive", "not_found"]


@dataclass(frozen=True, slots=True)
class Source:
    """A passage that scored high enough. Both ranks, the store's and the reranker's, start at 1."""

    candidate: Candidate
    first_rank: int
    score: float
    rank: int


@dataclass(frozen=True, slots=True)
class Selection:
    """The sources, best first, and all candidates as the stores ordered them.

    `ranked` has every candidate with a score, in the reranker's order. `model` reranked;
    it is empty when there was nothing to rerank. `by` names the other service
    that reranked, if one did.
    """

    sources: Sequence[Source]
    candidates: Sequence[Candidate]
    rerank_tokens: int = 0
    model: str = ""
    by: str = ""
    ranked: Sequence[Result] = ()

    @property
    def top_scored(self) -> TopScored | None:
        return top_of([result.score for result in self.ranked[:2]])

    @property
    def texts(self) -> list[str]:
        return [source.candidate.text for source in self.sources]

    @property
    def bodies(self) -> list[str]:
        return [source.candidate.body for source in self.sources]


@dataclass(frozen=True, slots=True)
class Answer:
    """`invented` holds citation numbers without a source, `times` the seconds by stage."""

    question: Question
    selection: Selection
    outcome: Outcome
    text: str
    citations: Sequence[Citation] = ()
    invented: Sequence[int] = ()
    used: int = 0
    llm: str | None = None
    tokens: TokenUsage = field(default_factory=TokenUsage)
    cached: bool = False
    warnings: Sequence[str] = ()
    times: Mapping[str, float] = field(default_factory=dict)
