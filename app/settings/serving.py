"""Settings of the service itself: address, model, limits, keys and logs."""

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
    host: str = Field("127.0.0.1", description="IP address or host name to listen on")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0: any free port")

    model: str = Field(
        BUNDLED,
        min_length=1,
        description="Model: `bundled`, a local folder, a model hub name, or a remote service: "
        f"{HOSTED_NAMES}, or the URL of another rerankd",
    )
    model_name: str = Field(
        "", description="Model name that callers see; empty: the model's own name"
    )
    revision: str = Field(
        "", description="Branch, tag or commit of a hub model; empty: its default branch"
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="Device that the model runs on"
    )
    engine: str = Field(
        AUTO,
        description=f"Backend that runs the model: {_listed(engine_names())}. On a CPU, auto "
        f"measures all of them at the first start and selects the fastest that ranks like "
        f"{REFERENCE.name} float32; on a GPU, auto is {REFERENCE.name}",
    )
    dtype: str = Field(
        AUTO,
        description=f"Precision: {_listed(dtype_names())}. On a CPU, auto is the fastest "
        "that was measured; on a GPU, auto is half precision",
    )
    engines: Path = Field(
        Path("~/.cache/rerankd"),
        description="Folder for models that are converted for the CPU; a model that is already "
        "converted starts in a few seconds",
    )
    max_length: int = Field(
        0,
        ge=0,
        le=131_072,
        description="Maximum tokens of a query with a document; 0: the model's own limit",
    )
    long_documents: Literal["cut", "windows"] = Field(
        "cut",
        description="Treatment of a document that is too long for the model: cut, or read in "
        "overlapping windows of which the best score counts",
    )
    threads: int = Field(
        0,
        ge=0,
        le=1024,
        description="CPU threads of the engine; 0: the number of cores of the machine or container",
    )
    offline: bool = Field(False, description="Never contact a model hub")
    trust_remote_code: bool = Field(False, description="Run the code that is part of a hub model")
    calibration: Path | None = Field(
        None,
        description="File from `rerankd calibrate` that turns scores into calibrated "
        "probabilities; empty: none",
    )

    max_batch_tokens: int = Field(
        0,
        ge=0,
        description="Maximum tokens of a batch, padding included; two batches may run at the same "
        "time; 0: a default for the device",
    )
    max_queue_tokens: int = Field(
        1_000_000,
        ge=1,
        description="Maximum tokens in the queue; above it, requests are refused with 429",
    )
    max_wait_ms: float = Field(
        0,
        ge=0,
        le=1000,
        description="Maximum time that a batch waits for more pairs, in milliseconds; 0: no wait",
    )
    timeout_ms: int = Field(
        120_000,
        ge=1,
        description="Time limit of a request, in milliseconds; a request may set a lower one",
    )
    drain_seconds: float = Field(
        30,
        ge=0,
        description="Time limit for accepted requests after SIGTERM and `lame_duck_seconds`, in "
        "seconds; the process ends at most 10 seconds later",
    )
    lame_duck_seconds: float = Field(
        0,
        ge=0,
        le=3600,
        description="Time between SIGTERM and the drain in which the service is not ready but "
        "serves every request, so that load balancers and clients go elsewhere, in seconds",
    )
    cache_mb: int = Field(64, ge=0, description="Memory for cached scores, in MiB; 0: no cache")
    cache_ttl_seconds: float = Field(
        3600, gt=0, description="Time that the caches keep a score or a state, in seconds"
    )
    state_cache_mb: int = Field(
        128,
        ge=0,
        description="Memory for what the lower layers of the bundled model make of documents, in "
        "MiB, so that another question about the same documents costs less; not used with several "
        "API keys, unless `share_cache` is set; 0: no cache",
    )

    share_cache: bool = Field(
        False,
        description="Let callers with different API keys share cached scores and answers; a caller "
        "can then infer from a fast response what another caller has sent",
    )

    max_body_bytes: int = Field(
        8_388_608, ge=1024, description="Maximum size of a request body, in bytes"
    )
    max_json_values: int = Field(
        0,
        ge=0,
        description="Maximum JSON values in a request body; 0: 50 for each of `max_documents`, at "
        "least 50,000",
    )
    max_inflight_mb: int = Field(
        64,
        ge=1,
        description="Maximum memory for the bodies of all requests in progress, in MiB; above it, "
        "requests are refused with 429",
    )
    max_documents: int = Field(1000, ge=1, description="Maximum documents in a request")
    max_document_chars: int = Field(200_000, ge=1, description="Maximum characters of a document")
    max_query_chars: int = Field(
        20_000, ge=1, description="Maximum characters of a query or an instruction"
    )

    api_keys: Secrets = Field(
        (), description="Accepted API keys, comma-separated; not set: no key is needed"
    )
    api_keys_file: Path | None = Field(None, description="File of accepted API keys, one per line")
    metrics_key: SecretStr | None = Field(
        None, description="Key for `/metrics` alone; not set: no key is needed"
    )
    admin_key: SecretStr | None = Field(
        None, description="Key for `POST /drain` alone; not set: `/drain` is disabled"
    )
    docs: bool = Field(True, description="Serve `/docs` and `/openapi.json`")
    ui: bool = Field(True, description="Serve the playground at `/ui`")
    allowed_hosts: Names = Field(
        (),
        description="Accepted names in the `Host` header, without a port, comma-separated; "
        "`*.example.org`: all its subdomains; empty: any. Probes are always accepted",
    )
    cors_origins: Names = Field(
        (), description="Origins that browsers may call from, comma-separated; empty: none"
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Lowest level of log lines that are written"
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="Format of log lines; auto: console on a terminal, otherwise json"
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

    @field_validator("api_keys", "metrics_key", "admin_key", mode="before")
    @classmethod
    def _a_key_that_is_set_is_not_empty(cls, value: object) -> object:
        """An empty secret is a mistake in the deployment, and would open the service to "
        "everybody."""
        if isinstance(value, str) and not value.replace(",", "").strip():
            raise ValueError(
                "it is set but contains no key: add a key, or unset it to serve everybody"
            )
        return value
