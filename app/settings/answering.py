"""Settings of `/answer`: language models, answers, feedback and traces."""

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
    """An error contains the number and not the text, which may contain a password."""
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
        description="Language models for `/answer`, comma-separated, in order of preference, each "
        "as `http://host/v1#model` or `anthropic:https://host/v1#model`; empty: answers are "
        "extracts",
    )
    llm_keys: Secrets = Field(
        (),
        description="API keys of the language models, comma-separated, in the same order; `-`: no "
        "key",
    )
    llm_connect_ms: int = Field(
        3_000, ge=1, description="Time limit for a connection to a language model, in milliseconds"
    )
    llm_first_token_ms: int = Field(
        20_000,
        ge=1,
        description="Time limit for the first word of a streamed answer, retries included, in "
        "milliseconds",
    )
    llm_timeout_ms: int = Field(
        60_000,
        ge=1,
        description="Time limit for a whole answer of a language model, in milliseconds",
    )
    llm_attempts: int = Field(
        3, ge=1, le=10, description="Attempts with a language model before the next one is used"
    )
    llm_concurrency: int = Field(
        8, ge=1, description="Maximum questions that language models answer at the same time"
    )
    llm_queue: int = Field(
        16,
        ge=0,
        description="Maximum questions that wait for a language model; above it, answers are "
        "extracts",
    )
    llm_daily_tokens: int = Field(
        0,
        ge=0,
        description="Maximum tokens of language models per day (UTC); above it, answers are "
        "extracts; 0: no limit",
    )
    llm_budget_file: Path | None = Field(
        None,
        description="File that stores the tokens used today, so that a restart keeps the count; "
        "empty: none",
    )
    llm_context_tokens: int = Field(
        8_192, ge=256, description="Maximum tokens of prompt and answer together"
    )
    llm_max_tokens: int = Field(1_024, ge=1, description="Maximum tokens of an answer")
    llm_temperature: Annotated[float | None, BeforeValidator(_none_if_empty)] = Field(
        0.1,
        ge=0,
        le=2,
        description="Temperature of the language models; empty: not sent, for models that refuse "
        "it",
    )
    llm_listwise: bool = Field(
        False, description="Let a language model rank the best passages again"
    )

    answer_min_score: float = Field(
        0.05, description="Minimum score of a passage in an answer; a request may set its own"
    )
    answer_cache_seconds: float = Field(
        0, ge=0, description="Time that the cache keeps an answer, in seconds; 0: no cache"
    )
    answer_cache_mb: int = Field(16, ge=1, description="Memory for cached answers, in MiB")
    feedback_file: Path | None = Field(
        None,
        description="File to which feedback on answers is appended, for `eval` and `finetune`; "
        "empty: none",
    )
    feedback_max_mb: int = Field(
        1_024,
        ge=1,
        description="Maximum size of the feedback file, in MiB; above it, feedback is refused with "
        "507",
    )
    traces: bool = Field(
        False,
        description="Send OpenTelemetry traces, configured by the OTEL_ variables; needs the extra "
        "`[otel]`",
    )
    trace_content: bool = Field(
        False, description="Include questions, passages and answers in traces"
    )

    @property
    def named_llms(self) -> list[NamedLLM]:
        return [read_llm(text, number) for number, text in enumerate(self.llm, 1)]

    @model_validator(mode="after")
    def _llms_can_be_asked(self) -> Self:
        named = self.named_llms
        if self.llm_keys and len(self.llm_keys) != len(named):
            raise ValueError(
                f"llm_keys holds {len(self.llm_keys)} keys, but llm names {len(named)} "
                f"language models: write {NO_KEY} for a model without a key"
            )
        if self.llm_max_tokens >= self.llm_context_tokens:
            raise ValueError(
                f"llm_max_tokens ({self.llm_max_tokens}) leaves no room for a prompt in "
                f"llm_context_tokens ({self.llm_context_tokens})"
            )
        if self.llm_daily_tokens and self.llm_budget_file is None:
            raise ValueError(
                "llm_daily_tokens needs llm_budget_file: without it a restart resets the count"
            )
        if self.llm_listwise and not named:
            raise ValueError("llm_listwise needs llm")
        if self.trace_content and not self.traces:
            raise ValueError("trace_content needs traces")
        return self
