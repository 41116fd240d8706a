"""Settings of `/answer`: the language model, and what is done with its words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, NamedTuple, Self

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from app.llm.formats import DEFAULT, FORMATS
from app.settings.serving import Names, Secrets

NAMED = re.compile(r"(?:([a-z0-9_-]+):)?(https?://[^\s#@/?]+(?:/[^\s#?]*)?)#(\S+)")
NO_KEY = "-"


class NamedLLM(NamedTuple):
    format: str
    url: str
    model: str


def read_llm(text: str, number: int) -> NamedLLM:
    """An error names its number and not its text, which may hold a password."""
    match = NAMED.fullmatch(text)
    if match is None:
        raise ValueError(
            f"llm: number {number} is not a URL and a model, "
            "as in http://localhost:8080/v1#my-model or anthropic:https://host/v1#model"
        )
    name = match[1] or DEFAULT.name
    if name not in FORMATS:
        raise ValueError(f"llm: number {number} has no known format; known: {', '.join(FORMATS)}")
    return NamedLLM(name, match[2], match[3])


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


class Answering(BaseModel):
    llm: Names = Field(
        (),
        description="Language models for `/answer`, first choice first, comma-separated, each as "
        "`http://host/v1#model` or `anthropic:https://host/v1#model`; none: answers are extracted",
    )
    llm_keys: Secrets = Field(
        (),
        description="Their API keys in the same order, comma-separated; `-` where none is needed",
    )
    llm_connect_ms: int = Field(3_000, ge=1, description="Time limit to reach a language model")
    llm_first_token_ms: int = Field(
        20_000, ge=1, description="Time limit for its first word when streaming, retries included"
    )
    llm_timeout_ms: int = Field(60_000, ge=1, description="Time limit for its whole answer")
    llm_attempts: int = Field(3, ge=1, le=10, description="Tries before the next one is asked")
    llm_concurrency: int = Field(8, ge=1, description="Questions at language models at once")
    llm_queue: int = Field(
        16, ge=0, description="Questions that may wait for that; more are answered with extracts"
    )
    llm_daily_tokens: int = Field(
        0, ge=0, description="Tokens a day (UTC), then answers are extracted; 0: no limit"
    )
    llm_budget_file: Path | None = Field(
        None, description="Where the day's tokens are kept over restarts"
    )
    llm_context_tokens: int = Field(
        8_192, ge=256, description="Tokens that prompt and answer may take together"
    )
    llm_max_tokens: int = Field(1_024, ge=1, description="Tokens an answer may take")
    llm_temperature: Annotated[float | None, BeforeValidator(_none_if_empty)] = Field(
        0.1, ge=0, le=2, description="Randomness; empty: not sent, for models that refuse it"
    )
    llm_listwise: bool = Field(
        False, description="Let the language model order the best passages again"
    )

    answer_min_score: float = Field(
        0.05, description="Passages that score less are not used; a caller may ask for another"
    )
    answer_cache_seconds: float = Field(
        0, ge=0, description="How long an answer may be given again; 0 switches it off"
    )
    answer_cache_mb: int = Field(16, ge=1, description="Memory for answers that may be given again")
    feedback_file: Path | None = Field(
        None, description="Where feedback on answers is appended, for `eval` and `finetune`"
    )
    feedback_max_mb: int = Field(
        1_024, ge=1, description="Size of that file at which feedback is refused with 507"
    )
    traces: bool = Field(
        False, description="Send OpenTelemetry traces, by its own OTEL_ variables; needs `[otel]`"
    )
    trace_content: bool = Field(False, description="Put questions, passages and answers in them")

    @property
    def named_llms(self) -> list[NamedLLM]:
        return [read_llm(text, number) for number, text in enumerate(self.llm, 1)]

    @model_validator(mode="after")
    def _llms_can_be_asked(self) -> Self:
        named = self.named_llms
        if self.llm_keys and len(self.llm_keys) != len(named):
            raise ValueError(
                f"llm_keys holds {len(self.llm_keys)} keys for {len(named)} of llm: "
                f"write {NO_KEY} where none is needed"
            )
        if self.llm_max_tokens >= self.llm_context_tokens:
            raise ValueError(
                f"llm_max_tokens ({self.llm_max_tokens}) leaves no room for a prompt in "
                f"llm_context_tokens ({self.llm_context_tokens})"
            )
        if self.llm_daily_tokens and self.llm_budget_file is None:
            raise ValueError("llm_daily_tokens needs llm_budget_file: a restart would forget it")
        if self.llm_listwise and not named:
            raise ValueError("llm_listwise needs llm")
        if self.trace_content and not self.traces:
            raise ValueError("trace_content needs traces")
        return self
