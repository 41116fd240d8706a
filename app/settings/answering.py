"""Settings of `/answer`: the language model, and what is done with its words."""

from __future__ import annotations

from pydantic import BaseModel


class Answering(BaseModel):
    pass
