"""Settings of the first stage: where candidates come from."""

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
        description="Where candidates come from: one URL, or several, comma-separated, whose "
        f"lists are fused; none: `{DEFAULT_STORE}`",
    )
    store_api_key: SecretStr | None = Field(None, description="Key for stores over HTTP")
    store_timeout_ms: int = Field(5000, ge=1, description="Time limit of one search in a store")
    collection: str = Field(
        "rerankd",
        pattern=COLLECTION,
        description="Collection, table or index that is searched, unless a caller names another",
    )
    embedder: str = Field(
        "",
        description="What turns queries into vectors: a sentence-transformers folder or hub "
        "name, or an OpenAI-compatible URL that ends in /v1; none: words only",
    )
    embedder_model: str = Field("", description="Model of an embedder by URL")
    embedder_api_key: SecretStr | None = Field(None, description="Key of an embedder by URL")
    embedder_timeout_ms: int = Field(
        10_000, ge=1, description="Time limit of one call to an embedder by URL"
    )
