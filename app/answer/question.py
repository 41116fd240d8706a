"""The question of one `/answer` request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app.errors import InvalidRequest
from app.llm import Turn
from app.tracing.tracer import CallerTrace

# Times final_k: with fewer candidates there is little to choose from.
FEW_CANDIDATES = 4
FilterValue = str | bool | int | float


@dataclass(frozen=True, slots=True)
class Question:
    """`min_score` None means the service's own. `timeout` is in seconds.

    Scores and answers are cached for each `caller` apart; they are shared where it is empty.
    """

    text: str
    initial_k: int = 50
    final_k: int = 5
    min_score: float | None = None
    filters: Mapping[str, FilterValue] = field(default_factory=dict)
    collection: str | None = None
    conversation: Sequence[Turn] = ()
    timeout: float | None = None
    return_documents: bool = False
    diagnostics: bool = False
    caller: str = ""
    trace: CallerTrace | None = None

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
        if self.initial_k >= FEW_CANDIDATES * self.final_k:
            return []
        times = f"{FEW_CANDIDATES} times final_k ({self.final_k})"
        few = f"initial_k ({self.initial_k}) is less than {times}"
        return [f"{few}: reranking has little to choose from"]

    @property
    def in_context(self) -> str:
        """With the user's last turn before it, so that "and for students?" can be understood."""
        turns = [turn.text for turn in self.conversation if turn.role == "user"]
        return f"{turns[-1]}\n{self.text}" if turns else self.text

    @property
    def queries(self) -> list[str]:
        return list(dict.fromkeys((self.text, self.in_context)))
