"""Lines as the service writes them, for periods whose distributions a test knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

# A Monday.
MONDAY = datetime(2026, 11, 2, tzinfo=UTC).timestamp()
HOUR, DAY, WEEK = 3600.0, 86_400.0, 604_800.0

Draw = Callable[[np.random.Generator], float]
Line = dict[str, Any]


def iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")


def request_line(moment: float, top: float, gap: float | None = 0.1, **fields: Any) -> Line:
    line = {
        "time": iso(moment).replace("+00:00", "Z"),
        "level": "info",
        "event": "request",
        "request_id": "r",
        "method": "POST",
        "route": "/rerank",
        "status": 200,
        "outcome": "ok",
        "ms": 12.5,
        "documents": 20,
        "model": "rerankd-minilm",
        "top_score": top,
    }
    return line | ({} if gap is None else {"score_gap": gap}) | fields


def answer_line(moment: float, outcome: str, **fields: Any) -> Line:
    line = request_line(moment, 0.5, route="/answer", answer=outcome, retrieved=50, **fields)
    del line["documents"]
    return line


def ready_line(moment: float, **card: Any) -> Line:
    facts = {"model": "rerankd-minilm", "engine": "openvino", "dtype": "int8", "load_seconds": 1.2}
    return {"time": iso(moment), "level": "info", "event": "ready", **facts, **card}


def steady(generator: np.random.Generator) -> float:
    return float(generator.beta(4, 2))


def lower(generator: np.random.Generator) -> float:
    return float(generator.beta(3, 3))


def requests(start: float, hours: int, draw: Draw, seed: int, each: int = 20) -> list[Line]:
    """So many requests each hour."""
    generator = np.random.default_rng(seed)
    return [
        request_line(start + (hour + n / each) * HOUR, draw(generator), float(generator.random()))
        for hour in range(hours)
        for n in range(each)
    ]


def verdict_line(
    moment: float,
    number: int,
    rank: int,
    *,
    useful: str = "up",
    outcome: str = "answered",
    **fields: Any,
) -> Line:
    """A verdict on an answer to question `number` that found the right document at `rank`."""
    names = [f"d{position}@0" for position in range(5)]
    order = [*range(1, 5)]
    order.insert(rank - 1, 0)
    return {
        "id": f"v{moment}-{number}",
        "query": f"question {number}",
        "documents": [{"id": name, "text": "text"} for name in names],
        "model": "rerankd-minilm",
        "ranking": order,
        "scores": [0.9, 0.7, 0.5, 0.3, 0.1],
        "outcome": outcome,
        "answer": f"a{moment}-{number}",
        "useful": useful,
        "relevant": names[:1] if useful == "up" else [],
        "comment": None,
        "at": iso(moment),
        **fields,
    }


def verdicts(start: float, ranks: Sequence[int]) -> Iterator[Line]:
    for number, rank in enumerate(ranks):
        yield verdict_line(start + number * HOUR, number, rank)
