"""Settings of the first stage: where candidates come from."""

from __future__ import annotations

from pydantic import BaseModel


class Retrieval(BaseModel):
    pass
