"""JSON lines with a query, its candidates in their first order, and the relevant ones."""

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
        pool = [read_document(row, index, corpus) for index in range(len(row.items("documents")))]
        if len(set(pool)) < len(pool):
            raise row.bad("a document id occurs twice in documents")
        pools[name], grades[name] = pool, read_relevant(row, pool)
    if not queries:
        raise BadInput(path, None, "contains no query")
    return Judged(path.stem.removesuffix(".jsonl"), queries, corpus, grades, pools, ranked=True)


def last_verdicts(path: Path) -> Iterator[Row]:
    """Only the last feedback on each answer, with the candidates from the first one.

    An incomplete line of feedback is skipped; in other data it is an error.
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
        logger.warning("feedback_line_left_out", extra={"fields": {"reason": str(problem)}})
    yield from verdicts.values()


def read_document(row: Row, index: int, corpus: dict[str, str]) -> str:
    """Returns the id, generated for a plain text, and adds the text to the corpus."""
    document = row.fields["documents"][index]
    if isinstance(document, dict):
        fields = Row(row.path, row.line, document)
        name, text = fields.label("id"), fields.text("text")
    elif isinstance(document, str) and document.strip():
        name, text = f"{row.line}#{index}", document
    else:
        raise row.bad(f"documents[{index}] must be a string, or an object with id and text")
    if corpus.setdefault(name, text) != text:
        raise row.bad(f"document {name} has a different text on an earlier line")
    return name


def read_relevant(row: Row, pool: Sequence[str]) -> dict[str, int]:
    """A list of ids or of indexes from 0, or ids with grades. Ids outside the pool are missed.

    Numbers are ids if the documents have ids, and indexes if they are plain texts.
    """
    relevant = row.fields.get("relevant")
    if isinstance(relevant, Mapping):
        if bad := [reference for reference, grade in relevant.items() if type(grade) is not int]:
            raise row.bad(f"relevant: the grade of {bad[0]} is not a whole number")
        return {str(reference): grade for reference, grade in relevant.items()}
    if not isinstance(relevant, list):
        raise row.bad("relevant must be a list of ids or indexes, or an object of ids with grades")
    return {read_reference(row, reference, pool): 1 for reference in relevant}


def read_reference(row: Row, reference: Any, pool: Sequence[str]) -> str:
    plain = not isinstance(row.fields["documents"][0], dict) if pool else False
    if plain:
        if type(reference) is not int or not 0 <= reference < len(pool):
            raise row.bad(f"relevant: {reference!r} is not an index in documents, counted from 0")
        return pool[reference]
    if isinstance(reference, bool) or not isinstance(reference, str | int):
        raise row.bad(f"relevant: {reference!r} is not an id")
    return str(reference)
