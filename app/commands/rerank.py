"""`rerankd rerank`: rank candidates in the terminal, without a service."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from app import logs
from app.api.dialects import native
from app.api.dialects.dialect import Label
from app.commands.flags import add_flags, settings_from, stop
from app.compose.model import open_model
from app.errors import ServiceError
from app.rerank.query import Query, Ranking
from app.settings import Settings
from app.validation import as_invalid

MODEL_SETTINGS = (
    "model",
    "revision",
    "device",
    "engine",
    "dtype",
    "engines",
    "max_length",
    "long_documents",
    "threads",
    "offline",
    "trust_remote_code",
    "calibration",
    "upstream_url",
)
WIDTH = 100


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("query", help="query or question")
    parser.add_argument(
        "candidates",
        nargs="?",
        default="-",
        help="file with one candidate per line, as text or as JSON; -: standard input",
    )
    parser.add_argument("--top-n", type=int, metavar="N", help="maximum results")
    parser.add_argument(
        "--score", choices=("probability", "logit", "calibrated"), default="probability"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the response of the service as JSON"
    )
    add_flags(parser, MODEL_SETTINGS)


def run(arguments: argparse.Namespace) -> int:
    settings = settings_from(arguments)
    logs.configure("warning", settings.log_format)
    body = {
        "query": arguments.query,
        "documents": read_candidates(arguments.candidates),
        "top_n": arguments.top_n,
        "score": arguments.score,
        "return_documents": True,
    }
    try:
        ranking = asyncio.run(rank(settings, native.parse(body)))
    except ValidationError as error:
        stop(str(as_invalid(error)), 2)
    except ServiceError as error:
        stop(str(error), 1)
    answer = native.render(ranking, Label("local", ranking.model, 0))
    print(to_json(answer, indent=2).decode() if arguments.json else table(answer))
    return 0


async def rank(settings: Settings, query: Query) -> Ranking:
    async with open_model(settings) as served:
        return await served.reranker.rank(query)


def read_candidates(source: str) -> list[Any]:
    """One candidate per line; a line that starts with a brace is a JSON object."""
    try:
        raw = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
        lines = raw.decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        stop(f"{source} cannot be read as text: {error}", 2)
    candidates = [
        read_line(source, number, line) for number, line in enumerate(lines, 1) if line.strip()
    ]
    if not candidates:
        stop(f"{source} contains no candidate", 2)
    return candidates


def read_line(source: str, number: int, line: str) -> Any:
    if not line.lstrip().startswith("{"):
        return line
    try:
        return from_json(line)
    except ValueError as error:
        stop(f"{source}, line {number}: not valid JSON: {error}", 2)


def table(answer: dict[str, Any]) -> str:
    rows = [f"{'rank':>4}  {'score':>9}  {'given':>5}  document"]
    for rank, result in enumerate(answer["results"], 1):
        text = " ".join(result["document"]["text"].split())
        shown = text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"
        score = f"{result['relevance_score']:9.4f}"
        rows.append(f"{rank:>4}  {score}  {result['index'] + 1:>5}  {shown}")
    return "\n".join(rows)
