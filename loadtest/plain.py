"""What every tutorial shows: FastAPI around `CrossEncoder.predict`. One of the `peers`.

MODEL=folder python -m uvicorn loadtest.plain:app
"""

from __future__ import annotations

import os
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import CrossEncoder

from app.engines.torch import duet  # noqa: F401 (teaches transformers the bundled architecture)

app = FastAPI()
model = CrossEncoder(os.environ["MODEL"], device=os.environ.get("DEVICE", "cpu"))


class Request(BaseModel):
    query: str
    documents: list[str]


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/rerank")
def rerank(request: Request) -> dict[str, Any]:
    scores = model.predict([(request.query, document) for document in request.documents])
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    return {
        "results": [{"index": index, "relevance_score": float(scores[index])} for index in order]
    }
