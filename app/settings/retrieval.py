"""Settings of the first stage: the stores of candidates, and the embedder."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, SecretStr

from app.retrieval.address import read_address
from app.retrieval.store import COLLECTION
from app.retrieval.stores import DEFAULT_STORE
from app.settings.serving import Secrets


def check_addresses(stores: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    for store in stores:
        read_address(store.get_secret_value())
    return stores


class Retrieval(BaseModel):
    store: Annotated[Secrets, AfterValidator(check_addresses)] = Field(
        (),
        description="URLs of the stores that candidates come from, comma-separated; the lists of "
        f"several stores are fused; empty: `{DEFAULT_STORE}`",
    )
    store_api_key: SecretStr | None = Field(None, description="API key of stores over HTTP")
    store_timeout_ms: int = Field(
        5000, ge=1, description="Time limit of one search in a store, in milliseconds"
    )
    collection: str = Field(
        "rerankd",
        pattern=COLLECTION,
        description="Collection, table or index to search; a request may name another",
    )
    embedder: str = Field(
        "",
        description="Embedding model for queries: a sentence-transformers folder or hub name, or "
        "an OpenAI-compatible URL that ends in /v1; empty: search by words only",
    )
    embedder_model: str = Field("", description="Model name that is sent to an embedder with a URL")
    embedder_api_key: SecretStr | None = Field(
        None, description="API key of an embedder with a URL"
    )
    embedder_timeout_ms: int = Field(
        10_000,
        ge=1,
        description="Time limit of one call to an embedder with a URL, in milliseconds",
    )
