"""Settings of the service itself: its address, its model, its limits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from app.engines.backends import AUTO, REFERENCE, dtype_names, engine_names
from app.settings.delegating import HOSTED_NAMES

BUNDLED = "bundled"
JSON_VALUES_PER_DOCUMENT = 50
MIN_JSON_VALUES = 50_000


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split)]


class Serving(BaseModel):
    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 picks a free one")

    model: str = Field(
        BUNDLED,
        min_length=1,
        description="`bundled`, a local folder, a model hub name, or another service: "
        f"{HOSTED_NAMES}, or the URL of a rerankd",
    )
    model_name: str = Field("", description="Name shown to callers; by default the model's own")
    revision: str = Field("", description="Branch, tag or commit of a hub model")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="Where the model runs"
    )
    engine: str = Field(
        AUTO,
        description=f"What runs the model: {_listed(engine_names())}. On a CPU, auto measures all "
        f"of them at the first start and takes the fastest that ranks as {REFERENCE.name} float32 "
        f"does; on a GPU it is {REFERENCE.name}",
    )
    dtype: str = Field(
        AUTO,
        description=f"Precision: {_listed(dtype_names())}. On a CPU, auto is what was fastest; "
        "on a GPU it is half precision",
    )
    engines: Path = Field(
        Path("~/.cache/rerankd"),
        description="Folder of models converted for the CPU; what is there already starts in a "
        "second",
    )
    max_length: int = Field(
        0,
        ge=0,
        le=131_072,
        description="Tokens a query and document may take; 0: the model's own",
    )
    long_documents: Literal["cut", "windows"] = Field(
        "cut",
        description="What is longer than the model takes is cut, or read in overlapping windows "
        "whose best score counts",
    )
    threads: int = Field(
        0,
        ge=0,
        le=1024,
        description="CPU threads of the engine; 0: as many as the machine or its container has",
    )
    offline: bool = Field(False, description="Never contact a model hub")
    trust_remote_code: bool = Field(False, description="Run code that ships with a hub model")
    calibration: Path | None = Field(
        None, description="File from `rerankd calibrate`, for scores that mean probabilities"
    )

    max_batch_tokens: int = Field(
        0,
        ge=0,
        description="Tokens of a batch, padding included; two batches may be under way; "
        "0: by device",
    )
    max_queue_tokens: int = Field(
        1_000_000, ge=1, description="Tokens that may wait; more is refused with 429"
    )
    max_wait_ms: float = Field(
        0,
        ge=0,
        le=1000,
        description="How long a batch that is not full may be held back",
    )
    timeout_ms: int = Field(
        120_000, ge=1, description="Time limit of a request; a caller may ask for less"
    )
    drain_seconds: float = Field(
        30,
        ge=0,
        description="After SIGTERM, how long accepted requests may take to finish; the process "
        "ends 10 seconds later in any case",
    )
    cache_mb: int = Field(64, ge=0, description="Memory for known scores; 0 switches it off")
    cache_ttl_seconds: float = Field(3600, gt=0, description="How long a known score stays valid")

    share_cache: bool = Field(
        False,
        description="Let callers with different API keys share known scores and answers: how fast "
        "one comes tells what another has asked",
    )

    max_body_bytes: int = Field(8_388_608, ge=1024, description="Size of a request body")
    max_json_values: int = Field(
        0,
        ge=0,
        description="JSON values in a request body; 0: 50 for each of "
        "`max_documents`, and no less than 50,000",
    )
    max_inflight_mb: int = Field(
        64,
        ge=1,
        description="Bodies of all requests being read or answered; more is refused with 429",
    )
    max_documents: int = Field(1000, ge=1, description="Documents a request")
    max_document_chars: int = Field(200_000, ge=1, description="Characters a document")
    max_query_chars: int = Field(20_000, ge=1, description="Characters a query or instruction")

    api_keys: Secrets = Field((), description="Accepted API keys, comma-separated; not set: open")
    api_keys_file: Path | None = Field(None, description="File of accepted API keys, one a line")
    metrics_key: SecretStr | None = Field(
        None, description="Key that `/metrics` asks for, and nothing else does; not set: open"
    )
    docs: bool = Field(True, description="Serve `/docs` and `/openapi.json`")
    allowed_hosts: Names = Field(
        (),
        description="Names, without a port, that requests may have in `Host`, comma-separated; "
        "`*.example.org` for all below it; not set: any. Probes are not asked",
    )
    cors_origins: Names = Field((), description="Origins that browsers may call from")

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe log line written"
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto is console on a terminal, else json"
    )

    @property
    def json_values(self) -> int:
        derived = max(MIN_JSON_VALUES, JSON_VALUES_PER_DOCUMENT * self.max_documents)
        return self.max_json_values or derived

    @field_validator("engine")
    @classmethod
    def _an_engine_is_one_of_the_backends(cls, value: str) -> str:
        if value not in engine_names():
            raise ValueError(f"unknown engine {value!r}; known: {', '.join(engine_names())}")
        return value

    @field_validator("dtype")
    @classmethod
    def _a_dtype_is_one_of_a_backend(cls, value: str) -> str:
        if value not in dtype_names():
            raise ValueError(f"unknown dtype {value!r}; known: {', '.join(dtype_names())}")
        return value

    @field_validator("api_keys", "metrics_key", mode="before")
    @classmethod
    def _a_key_that_is_set_is_not_empty(cls, value: object) -> object:
        """An empty secret is a mistake of whoever deploys, and would open the service."""
        if isinstance(value, str) and not value.replace(",", "").strip():
            raise ValueError("it is set and holds no key: name one, or unset it to serve everybody")
        return value
