"""What is asked of `/answer`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.errors import InvalidRequest
from app.llm import Turn

FEWEST = 4  # times final_k: with fewer candidates there is little to choose from


@dataclass(frozen=True, slots=True)
class Question:
    text: str
    initial_k: int = 50
    final_k: int = 5
    min_score: float | None = None  # None: what the service has as its own
    filters: Mapping[str, Any] = field(default_factory=dict)
    collection: str | None = None
    conversation: Sequence[Turn] = ()
    timeout: float | None = None  # seconds
    return_documents: bool = False
    diagnostics: bool = False
    caller: str = ""  # whose scores and answers are kept apart; empty: everybody's are the same

    def __post_init__(self) -> None:
        if self.final_k >= self.initial_k:
            raise InvalidRequest(
                f"final_k ({self.final_k}) must be less than initial_k ({self.initial_k}): "
                "reranking has to choose",
                field="final_k",
                limit=self.initial_k - 1,
            )

    @property
    def warnings(self) -> list[str]:
        if self.initial_k >= FEWEST * self.final_k:
            return []
        few = f"initial_k ({self.initial_k}) is less than {FEWEST} times final_k ({self.final_k})"
        return [f"{few}: reranking has little to choose from"]

    @property
    def in_context(self) -> str:
        """With what the user said before it, so that "and for students?" can be understood."""
        said = [turn.text for turn in self.conversation if turn.role == "user"]
        return f"{said[-1]}\n{self.text}" if said else self.text

    @property
    def queries(self) -> list[str]:
        return list(dict.fromkeys((self.text, self.in_context)))
