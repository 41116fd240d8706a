"""Converts a logit to a probability of relevance, with a curve fitted on labelled data.

`rerankd calibrate` fits the curve and writes the file that this module reads.
"""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from app.errors import LoadFailed
from app.rerank.query import probability

Share = Annotated[float, Field(ge=0, le=1)]


class Fitted(BaseModel):
    """The fields that every calibration has, independent of its curve."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    model: str = Field(min_length=1)
    queries: int = Field(ge=1)
    pairs: int = Field(ge=1)
    relevant: int = Field(ge=1)
    error_before: Share  # expected calibration error on queries that were not used for the fit
    error_after: Share


class Platt(Fitted):
    """A sigmoid with a fitted slope and intercept."""

    kind: Literal["platt"] = "platt"
    slope: Annotated[FiniteFloat, Field(gt=0)]
    intercept: FiniteFloat

    def __call__(self, logit: float) -> float:
        return probability(self.slope * logit + self.intercept)


class Isotonic(Fitted):
    """A rising, piecewise linear curve through knots; constant outside them."""

    kind: Literal["isotonic"] = "isotonic"
    logits: tuple[FiniteFloat, ...] = Field(min_length=1)
    probabilities: tuple[Share, ...]

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if len(self.logits) != len(self.probabilities):
            raise ValueError("logits and probabilities differ in number")
        if any(a >= b for a, b in zip(self.logits, self.logits[1:], strict=False)):
            raise ValueError("logits must rise")
        if any(a > b for a, b in zip(self.probabilities, self.probabilities[1:], strict=False)):
            raise ValueError("probabilities must not fall")
        return self

    def __call__(self, logit: float) -> float:
        above = bisect_right(self.logits, logit)
        if above == 0:
            return self.probabilities[0]
        if above == len(self.logits):
            return self.probabilities[-1]
        left, right = self.logits[above - 1], self.logits[above]
        low, high = self.probabilities[above - 1], self.probabilities[above]
        return low + (high - low) * (logit - left) / (right - left)


Calibration = Platt | Isotonic
FILE: TypeAdapter[Calibration] = TypeAdapter(Annotated[Calibration, Field(discriminator="kind")])


def read_calibration(path: Path, model: str) -> Calibration:
    """Read the calibration in `path`; raise LoadFailed if it was fitted for another model."""
    try:
        calibration = FILE.validate_json(path.read_bytes())
    except OSError as error:
        raise LoadFailed(f"calibration {path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        reason = f"{field}: {first['msg']}" if field else first["msg"]
        raise LoadFailed(f"calibration {path} is not valid: {reason}") from error
    if calibration.model != model:
        raise LoadFailed(
            f"calibration {path} was fitted for model {calibration.model}, not for {model}: "
            "run `rerankd calibrate` with this model"
        )
    return calibration
