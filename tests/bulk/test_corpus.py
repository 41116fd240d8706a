from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.bulk.corpus import COPY, Corpus, open_corpus
from app.bulk.problems import Unusable
from app.bulk.rows import BadRow
from app.bulk.scan import Source

DOCUMENTS: list[dict[str, Any]] = [
    {"_id": "a", "title": "Hours", "text": "Opens at nine."},
    {"id": 7, "text": "Lent for four weeks."},
]


def source(tmp_path: Path, *rows: dict[str, Any]) -> Source:
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return Source(tmp_path / "in.jsonl", path, 1000, 8)


def resolved(tmp_path: Path, fields: dict[str, Any]) -> list[dict[str, Any]]:
    with open_corpus(source(tmp_path, *DOCUMENTS), tmp_path) as corpus:
        assert isinstance(corpus, Corpus)
        return corpus.resolve(fields)


def test_candidates_become_documents_with_their_ids(tmp_path: Path) -> None:
    assert resolved(tmp_path, {"candidates": [7, "a", "7"]}) == [
        {"id": 7, "text": "Lent for four weeks."},
        {"id": "a", "text": "Hours Opens at nine."},
        {"id": "7", "text": "Lent for four weeks."},
    ]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"candidates": ["a", "z"]}, r"candidates\[1\]: document z is not in the corpus"),
        ({"candidates": [True]}, r"candidates\[0\]: must be an id"),
        ({"candidates": []}, "candidates: must be a list of at least one document id"),
        ({"candidates": "a"}, "candidates: must be a list"),
        ({"candidates": ["a"], "documents": []}, "documents: the row has candidates too"),
    ],
)
def test_candidates_that_cannot_be_resolved_name_the_field(
    tmp_path: Path, fields: dict[str, Any], reason: str
) -> None:
    with pytest.raises(BadRow, match=reason):
        resolved(tmp_path, fields)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([{"id": "a", "text": "t"}, {"id": "a", "text": "u"}], "a document id occurs twice"),
        ([{"id": "a", "text": "t"}, {"text": "u"}], "line 2: id: is missing"),
        ([{"id": "a"}], "line 1: text: must be a string"),
        ([{"id": "", "text": "t"}], "line 1: id: must be a string"),
    ],
)
def test_a_corpus_that_cannot_be_used_names_the_line(
    tmp_path: Path, rows: list[dict[str, Any]], reason: str
) -> None:
    files = source(tmp_path, *rows)
    with pytest.raises(Unusable, match=reason), open_corpus(files, tmp_path):
        pass
    assert not (tmp_path / COPY).exists()


def test_the_copy_of_an_earlier_process_is_used_again(tmp_path: Path) -> None:
    with open_corpus(source(tmp_path, *DOCUMENTS), tmp_path):
        pass
    with open_corpus(source(tmp_path), tmp_path) as corpus:
        assert corpus is not None
        assert corpus.resolve({"candidates": ["a"]})[0]["text"] == "Hours Opens at nine."


def test_without_a_corpus_there_is_none(tmp_path: Path) -> None:
    with open_corpus(Source(tmp_path, None, 1, 1), tmp_path) as corpus:
        assert corpus is None
