"""The folder layout of BEIR: corpus.jsonl, queries.jsonl, qrels."""

from __future__ import annotations

from pathlib import Path

from app.evaluation.data.judged import Judged
from app.evaluation.data.reading import find, read_fields, read_rows, require
from app.evaluation.problems import BadInput


def read_beir(folder: Path, split: str = "test") -> Judged:
    corpus = read_corpus(require(folder, "corpus.jsonl"))
    queries = read_queries(require(folder, "queries.jsonl"))
    grades = read_qrels(require(folder, f"qrels/{split}.tsv", "qrels.tsv"), queries, corpus)
    candidates = find(folder, "candidates.jsonl")
    return Judged(
        name=folder.resolve().name,
        queries=queries,
        corpus=corpus,
        grades=grades,
        pools=read_pools(candidates, corpus) if candidates else {},
    )


def read_corpus(path: Path) -> dict[str, str]:
    corpus: dict[str, str] = {}
    for row in read_rows(path):
        name = row.label("_id")
        if name in corpus:
            raise row.bad(f"document {name} occurs twice")
        text = f"{row.fields.get('title') or ''} {row.fields.get('text') or ''}".strip()
        if not isinstance(row.fields.get("text"), str):
            raise row.bad("text must be a string")
        corpus[name] = text
    if not corpus:
        raise BadInput(path, None, "contains no document")
    return corpus


def read_queries(path: Path) -> dict[str, str]:
    queries: dict[str, str] = {}
    for row in read_rows(path):
        name = row.label("_id")
        if name in queries:
            raise row.bad(f"query {name} occurs twice")
        queries[name] = row.text("text")
    return queries


def read_qrels(
    path: Path, queries: dict[str, str], corpus: dict[str, str]
) -> dict[str, dict[str, int]]:
    """Reads query, document and grade, or TREC's four fields. A header is skipped."""
    grades: dict[str, dict[str, int]] = {}
    for number, fields in read_fields(path, "\t", (3, 4)):
        query, document, grade = fields[0], fields[-2], fields[-1]
        if not grade.lstrip("-").isdecimal():
            if number == 1:
                continue
            raise BadInput(path, number, f"grade {grade!r} is not a whole number")
        if query not in queries:
            raise BadInput(path, number, f"query {query} is not among the queries")
        if document not in corpus:
            raise BadInput(path, number, f"document {document} is not in the corpus")
        grades.setdefault(query, {})[document] = int(grade)
    return grades


def read_pools(path: Path, corpus: dict[str, str]) -> dict[str, list[str]]:
    """The candidates of each query, without an order."""
    pools: dict[str, list[str]] = {}
    for row in read_rows(path):
        pool = [str(document) for document in row.items("candidates")]
        if missing := [document for document in pool if document not in corpus]:
            raise row.bad(f"document {missing[0]} is not in the corpus")
        pools[row.label("_id")] = pool
    return pools
