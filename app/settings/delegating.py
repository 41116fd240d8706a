"""Settings of remote rerankers: instead of the local model, or as its fallback."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr

from app.remote.providers import HOSTED, HOSTED_FORMS

REMOTE = re.compile(rf"(?:{'|'.join(HOSTED)}):\S+|https?://\S+")
# At least two letters, because `C:` is a drive.
PREFIXED = re.compile(r"[A-Za-z][\w-]+:.*")
HOSTED_NAMES = ", ".join(f"`{form}`" for form in HOSTED_FORMS)


def is_remote(model: str) -> bool:
    return REMOTE.fullmatch(model) is not None


class Delegating(BaseModel):
    fallback: str = Field(
        "",
        description="Service that ranks while the local model is not ready, has failed or has a "
        f"full queue: {HOSTED_NAMES}, or the URL of another rerankd; empty: none",
    )
    fallback_on_request: bool = Field(
        False,
        description='Let callers of `/rerank` choose the fallback with `"ranker": "fallback"`, and '
        "the playground compare it with the local model; such requests count in "
        "`fallback_daily_documents`",
    )
    fallback_daily_documents: int = Field(
        0,
        ge=0,
        description="Maximum documents sent to the fallback per day (UTC); above it, the caller "
        "gets the local error; 0: no limit",
    )
    fallback_budget_file: Path | None = Field(
        None,
        description="File that stores the documents sent to the fallback today; processes with the "
        "same file share the count; empty: a restart resets the count",
    )
    upstream_api_key: SecretStr | None = Field(
        None, description="API key of the service that `model` or `fallback` names"
    )
    upstream_url: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        description="URL of that service, for example of a proxy; empty: the address of the "
        "provider",
    )
    upstream_timeout_ms: int = Field(
        30_000, ge=1, description="Time limit of one attempt at the remote service, in milliseconds"
    )

    def refuse_contradictions(self, model: str) -> None:
        remote = is_remote(model)
        self._refuse_unknown_provider(model)
        if self.fallback and remote:
            raise ValueError("fallback needs a local model, but model names a remote one")
        named = self.fallback or (model if remote else "")
        hosted = bool(named) and not named.startswith("http")
        if hosted and not (self.upstream_api_key or self.upstream_url):
            raise ValueError(f"upstream_api_key is needed for {named}")
        if self.upstream_url and not hosted:
            raise ValueError(f"upstream_url works only with {', '.join(HOSTED_FORMS)}")
        self._refuse_what_cannot_be_sent(self.upstream_url or ("" if hosted else named))

    def _refuse_unknown_provider(self, model: str) -> None:
        forms = f"{', '.join(HOSTED_FORMS)} nor the URL of another rerankd"
        if self.fallback and not is_remote(self.fallback):
            raise ValueError(f"fallback {self.fallback} is neither {forms}")
        if PREFIXED.fullmatch(model) and not is_remote(model) and not Path(model).exists():
            raise ValueError(f"model {model} is neither a folder, a model hub name, {forms}")

    def _refuse_what_cannot_be_sent(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            right = not url or (parts.hostname and parts.port != 0)
        except ValueError:
            right = False
        if not right:
            raise ValueError(f"{url} contains no host or a wrong port")
        key = self.upstream_api_key.get_secret_value() if self.upstream_api_key else ""
        if not (key.isascii() and key.isprintable()):
            raise ValueError(
                "upstream_api_key contains characters that an HTTP header cannot contain"
            )
