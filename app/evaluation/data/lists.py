"""JSON lines of a query, its candidates in the order found, and which of them are relevant."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.evaluation.data.judged import Judged
from app.evaluation.data.reading import Row, read_rows
from app.evaluation.problems import BadInput

logger = logging.getLogger(__name__)


def read_lists(path: Path) -> Judged:
    queries: dict[str, str] = {}
    corpus: dict[str, str] = {}
    pools: dict[str, list[str]] = {}
    grades: dict[str, dict[str, int]] = {}
    for row in last_verdicts(path):
        name = row.label("id") if "id" in row.fields else str(row.line)
        if name in queries:
            raise row.bad(f"query id {name} occurs twice")
        queries[name] = row.text("query")
        pool = [read_document(row, place, corpus) for place in range(len(row.items("documents")))]
        if len(set(pool)) < len(pool):
            raise row.bad("a document id occurs twice in documents")
        pools[name], grades[name] = pool, read_relevant(row, pool)
    if not queries:
        raise BadInput(path, None, "holds no query")
    return Judged(path.stem.removesuffix(".jsonl"), queries, corpus, grades, pools, ranked=True)


def last_verdicts(path: Path) -> Iterator[Row]:
    """Of the feedback on one answer only the last: it takes the candidates from the first.

    A line of feedback that a process did not end is left out; in other data it is a mistake.
    """
    verdicts: dict[str, Row] = {}
    torn: list[BadInput] = []
    for row in read_rows(path, torn):
        answer = row.fields.get("answer")
        if "useful" not in row.fields or not isinstance(answer, str):
            yield row
            continue
        former = verdicts.get(answer)
        fields = {**former.fields, **row.fields} if former else row.fields
        if "documents" in fields:
            verdicts[answer] = Row(row.path, row.line, fields)
        else:
            torn.append(row.bad("the first verdict on its answer is missing"))
    if torn and not verdicts:
        raise torn[0]
    for problem in torn:
        logger.warning("%s: the line is left out", problem)
    yield from verdicts.values()


def read_document(row: Row, place: int, corpus: dict[str, str]) -> str:
    """Its id, or a made-up one for a plain text; the text goes into the corpus."""
    given = row.fields["documents"][place]
    if isinstance(given, dict):
        one = Row(row.path, row.line, given)
        name, text = one.label("id"), one.text("text")
    elif isinstance(given, str) and given.strip():
        name, text = f"{row.line}#{place}", given
    else:
        raise row.bad(f"documents[{place}] must be a text, or an object with id and text")
    if corpus.setdefault(name, text) != text:
        raise row.bad(f"document {name} has another text than on an earlier line")
    return name


def read_relevant(row: Row, pool: Sequence[str]) -> dict[str, int]:
    """A list of ids or of places from 0, or ids with grades. Ids outside the pool count as missed.

    Numbers are ids where documents have ids, and places where they are plain texts.
    """
    given = row.fields.get("relevant")
    if isinstance(given, Mapping):
        if bad := [one for one, grade in given.items() if type(grade) is not int]:
            raise row.bad(f"relevant: the grade of {bad[0]} is not a whole number")
        return {str(one): grade for one, grade in given.items()}
    if not isinstance(given, list):
        raise row.bad("relevant must be a list of ids or places, or ids with grades")
    return {read_reference(row, one, pool): 1 for one in given}


def read_reference(row: Row, one: Any, pool: Sequence[str]) -> str:
    plain = not isinstance(row.fields["documents"][0], dict) if pool else False
    if plain:
        if type(one) is not int or not 0 <= one < len(pool):
            raise row.bad(f"relevant: {one!r} is not a place in documents, counted from 0")
        return pool[one]
    if isinstance(one, bool) or not isinstance(one, str | int):
        raise row.bad(f"relevant: {one!r} is not an id")
    return str(one)
