"""What the service says about the model that ranks, in `/info`, in the log and in the metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """None where only the service that hosts the model knows."""

    model: str
    reranked_by: str = ""  # the other service; empty for a model of this process
    revision: str | None = None
    architecture: str | None = None
    engine: str
    device: str | None = None
    dtype: str | None = None
    max_length: int | None = None
    max_batch_tokens: int = 0
    max_queue_tokens: int = 0
    takes_instruction: bool
    scores: Sequence[str] = ("probability", "logit")
    load_seconds: float = 0.0
    choosing_engine: bool = False  # a faster one may take over soon
    libraries: Mapping[str, str] = field(default_factory=dict, hash=False)  # that run models here

    def as_fields(self) -> dict[str, object]:
        fields = asdict(self)
        if not self.reranked_by:
            del fields["reranked_by"]
        return fields
