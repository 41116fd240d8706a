"""Labelled pairs and triples as JSON lines, for training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from app.evaluation.data.beir import read_beir
from app.evaluation.data.judged import Judged
from app.evaluation.data.lists import read_lists
from app.evaluation.data.reading import Row, read_rows
from app.evaluation.problems import BadInput

SIDES = {"positive": 1, "positives": 1, "negative": 0, "negatives": 0}
FORMS = "positive (and negative), or document and label, or documents and relevant"


def read_labelled(path: Path, split: str = "train") -> Judged:
    """Reads a BEIR folder, or JSON lines in any format; only queries with a relevant document."""
    if not path.exists():
        raise BadInput(path, None, "does not exist")
    if path.is_dir():
        return read_beir(path, split).measurable()
    first = next(read_rows(path, torn=[]), None)
    if first is None:
        raise BadInput(path, None, "contains no line")
    lists = "documents" in first.fields or "useful" in first.fields
    return (read_lists(path) if lists else read_pairs(path)).measurable()


def read_pairs(path: Path) -> Judged:
    """Lines with the same query text, or the same document text, share one id."""
    queries: dict[str, str] = {}
    documents: dict[str, str] = {}
    grades: dict[str, dict[str, int]] = {}
    for row in read_rows(path):
        query = queries.setdefault(row.text("query"), f"q{len(queries)}")
        for text, grade in labelled_texts(row):
            document = documents.setdefault(text, f"d{len(documents)}")
            if grades.setdefault(query, {}).setdefault(document, grade) != grade:
                raise row.bad("a document is both relevant and not relevant to the query")
    return Judged(
        name=path.name.partition(".")[0],
        queries={name: text for text, name in queries.items()},
        corpus={name: text for text, name in documents.items()},
        grades=grades,
    )


def labelled_texts(row: Row) -> Iterator[tuple[str, int]]:
    if "document" in row.fields:
        label = row.fields.get("label")
        if label not in {0, 1}:
            raise row.bad("label must be 0 or 1")
        yield row.text("document"), int(label)
        return
    if not SIDES.keys() & row.fields.keys():
        raise row.bad(f"needs {FORMS}")
    for side, grade in SIDES.items():
        texts = row.fields.get(side, [])
        for text in [texts] if isinstance(texts, str) else row.items(side) if texts else []:
            if not isinstance(text, str) or not text.strip():
                raise row.bad(
                    f"{side} must be a string that is not empty, or a list of such strings"
                )
            yield text, grade
