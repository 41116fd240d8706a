"""All settings of the service. Each gives an environment variable, a flag and a row in the docs."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, Self

from pydantic import model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.settings.answering import Answering
from app.settings.connections import Connections
from app.settings.delegating import Delegating, is_remote
from app.settings.retrieval import Retrieval
from app.settings.serving import BUNDLED, Serving
from app.settings.sharing import Sharing

__all__ = ["BUNDLED", "PREFIX", "Settings", "UnknownSetting", "is_remote", "load"]

PREFIX = "RERANKD_"


class Settings(Answering, Retrieval, Delegating, Connections, Sharing, Serving, BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", str_strip_whitespace=True
    )

    @model_validator(mode="after")
    def _a_full_request_fits_the_queue(self) -> Self:
        if self.max_documents > self.max_queue_tokens:
            raise ValueError(
                f"max_documents ({self.max_documents}) exceeds max_queue_tokens "
                f"({self.max_queue_tokens}): the queue could never accept such a request"
            )
        return self

    @model_validator(mode="after")
    def _a_body_fits_among_those_in_progress(self) -> Self:
        if self.max_body_bytes > self.max_inflight_mb * 2**20:
            raise ValueError(
                f"max_body_bytes ({self.max_body_bytes}) exceeds max_inflight_mb "
                f"({self.max_inflight_mb} MiB): the service could never accept such a body"
            )
        return self

    @model_validator(mode="after")
    def _a_pair_fits_the_queue(self) -> Self:
        if self.max_length > self.max_queue_tokens:
            raise ValueError(
                f"max_length ({self.max_length}) exceeds max_queue_tokens "
                f"({self.max_queue_tokens}): the queue could never accept such a document"
            )
        return self

    @model_validator(mode="after")
    def _another_service_is_named_without_contradiction(self) -> Self:
        self.refuse_contradictions(self.model)
        if self.calibration is not None and is_remote(self.model):
            raise ValueError("calibration needs a local model, but model names a remote one")
        if self.shared is not None and is_remote(self.model):
            raise ValueError("shared needs a local model, but model names a remote one")
        return self


class UnknownSetting(ValueError):
    """An environment variable with our prefix that is no setting: most likely misspelt."""


def load(environ: Mapping[str, str], **flags: Any) -> Settings:
    """Settings from flags, then environment; an unknown RERANKD_ variable is an error."""
    names = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    for name in sorted(environ):
        if name.upper().startswith(PREFIX) and name.upper() not in names:
            nearest = difflib.get_close_matches(name.upper(), sorted(names), n=1)
            hint = f"; did you mean {nearest[0]}?" if nearest else ""
            raise UnknownSetting(f"unknown setting {name}{hint}")
    return Settings(**flags)
