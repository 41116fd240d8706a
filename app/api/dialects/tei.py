"""Text Embeddings Inference."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from app.api.dialects.dialect import Body, Dialect, Fault, Label, as_text, ranked
from app.api.dialects.fields import (
    DOCUMENTS,
    QUERY,
    Flag,
    Lenient,
    Text,
    Texts,
    example,
    texts_of,
)
from app.errors import Empty
from app.rerank.query import Query, Ranking
from app.text import Side

SIDES: dict[str, Side] = {"Left": "left", "left": "left", "Right": "right", "right": "right"}
ERROR_TYPES = {
    "malformed": "Validation",
    "empty": "Empty",
    "too_large": "Validation",
    "invalid": "Validation",
    "too_long": "Validation",
    "unsupported_media": "Validation",
    "overloaded": "Overloaded",
    "upstream_busy": "Overloaded",
    "loading": "Unhealthy",
    "engine_failed": "Unhealthy",
    "draining": "Unhealthy",
}


class TeiRequest(Lenient):
    model_config = example({"query": QUERY, "texts": DOCUMENTS, "return_text": True})

    query: Text
    texts: Texts
    truncate: Flag = None
    truncation_direction: Literal["Left", "Right", "left", "right"] | None = None
    raw_scores: Flag = None
    return_text: Flag = None


class TeiRank(BaseModel):
    index: int
    score: float
    text: str | None = None


def parse(body: Body) -> Query:
    if body.get("texts") == []:
        raise Empty("`texts` cannot be empty", field="texts")
    request = TeiRequest.model_validate(body)
    return Query(
        text=request.query,
        documents=texts_of(request.texts),
        score="logit" if request.raw_scores else "probability",
        truncate=request.truncate is not False,
        cut=SIDES[request.truncation_direction or "right"],
        return_documents=bool(request.return_text),
    )


def render(ranking: Ranking, _: Label) -> list[Body]:
    """A list without an object around it; of equal scores, the last document comes first."""
    results = ranked(ranking, as_text, score="score", document="text")
    return sorted(results, key=lambda result: (-result["score"], -result["index"]))


def headers(ranking: Ranking) -> dict[str, str]:
    times, query = ranking.times, ranking.query
    seconds = {
        "x-compute-time": times.total,
        "x-total-time": times.total,
        "x-tokenization-time": times.tokenize,
        "x-queue-time": times.queue,
        "x-inference-time": times.compute,
    }
    characters = sum(len(query.text) + len(document.text) for document in query.documents)
    return {name: str(round(value * 1000)) for name, value in seconds.items()} | {
        "x-compute-type": "cpu+gpu",
        "x-compute-characters": str(characters),
        "x-compute-tokens": str(ranking.usage.tokens),
    }


def refuse(fault: Fault) -> Any:
    """No body for a bad key, plain text for a body that is too large."""
    if fault.type == "unauthorized":
        return None
    if fault.type == "too_large":
        return fault.detail
    return {"error": fault.detail, "error_type": ERROR_TYPES.get(fault.type, "Backend")}


DIALECT = Dialect(
    "tei",
    ("/tei/rerank", "/tei/", "/tei/invocations", "/", "/invocations"),
    TeiRequest,
    list[TeiRank],
    parse,
    render,
    refuse,
    prefix="tei",
    recognises=lambda signs: "texts" in signs.keys or signs.path in {"/", "/invocations"},
    statuses={"scoring_failed": 424},
    headers=headers,
    documents="texts",
)
