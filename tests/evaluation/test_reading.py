from __future__ import annotations

import gzip
import lzma
import shutil
from pathlib import Path
from typing import Any

import pytest

from app.evaluation.data.sources import read_judged
from app.evaluation.problems import BadInput, NotMeasurable
from app.training.finetune.pairs import read_labelled
from tests.evaluation.conftest import HANDBOOK, WriteLines

GOOD = {"query": "which river", "documents": ["the Danube", "a hill"], "relevant": [0]}


def test_a_beir_folder_is_read_with_titles_and_grades() -> None:
    judged = read_judged(HANDBOOK)
    assert (judged.name, len(judged.corpus), len(judged.queries)) == ("handbook", 40, 44)
    assert judged.corpus["h01"].startswith("Loans Books are lent")
    assert judged.grades["q43"] == {"h01": 2, "h35": 1}


@pytest.mark.parametrize(("suffix", "pack"), [(".xz", lzma.compress), (".gz", gzip.compress)])
def test_compressed_files_say_the_same(tmp_path: Path, suffix: str, pack: Any) -> None:
    for file in HANDBOOK.iterdir():
        (tmp_path / f"{file.name}{suffix}").write_bytes(pack(file.read_bytes()))
    assert read_judged(tmp_path).corpus == read_judged(HANDBOOK).corpus


def test_the_qrels_of_a_split_are_found_in_their_folder(tmp_path: Path) -> None:
    shutil.copytree(HANDBOOK, tmp_path / "set")
    (tmp_path / "set/qrels").mkdir()
    (tmp_path / "set/qrels/dev.tsv").write_text("q01\th01\t1\n")
    assert list(read_judged(tmp_path / "set", "dev").queries) == ["q01"]


def test_json_lines_bring_their_own_ranks(write_lines: WriteLines) -> None:
    path = write_lines(
        "mine.jsonl",
        GOOD,
        {
            "id": "second",
            "query": "how high",
            "documents": [{"id": "a", "text": "a hill"}, {"id": "b", "text": "a peak"}],
            "relevant": {"b": 2, "a": 0, "elsewhere": 1},
        },
    )
    judged = read_judged(path)
    assert judged.ranked
    assert judged.pools == {"1": ["1#0", "1#1"], "second": ["a", "b"]}
    assert judged.relevant("1") == ["1#0"]
    assert judged.relevant("second") == ["b", "elsewhere"]


def test_a_query_without_anything_relevant_is_not_measured(write_lines: WriteLines) -> None:
    path = write_lines("mine.jsonl", GOOD, {**GOOD, "relevant": []})
    assert list(read_judged(path).queries) == ["1"]
    with pytest.raises(NotMeasurable, match="no query has a relevant document"):
        read_judged(write_lines("none.jsonl", {**GOOD, "relevant": []}))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not valid JSON"),
        ("[]", "must be a JSON object"),
        ({**GOOD, "query": " "}, "query must be a string"),
        ({**GOOD, "documents": "one"}, "documents must be a list"),
        ({**GOOD, "documents": [""]}, r"documents\[0\] must be a string, or an object"),
        ({**GOOD, "documents": [{"id": 1}]}, "text must be a string"),
        ({**GOOD, "relevant": [2]}, "2 is not an index in documents"),
        ({**GOOD, "relevant": ["x"]}, "'x' is not an index in documents"),
        ({**GOOD, "relevant": "0"}, "relevant must be a list"),
        ({**GOOD, "relevant": {"1#0": "yes"}}, "the grade of 1#0 is not a whole number"),
        ({**GOOD, "id": "1"}, "query id 1 occurs twice"),
        ({**GOOD, "documents": [{"id": 1, "text": "x"}] * 2}, "a document id occurs twice"),
    ],
)
def test_a_bad_line_is_named_with_its_file(
    write_lines: WriteLines, line: object, says: str
) -> None:
    path = write_lines("bad.jsonl", GOOD, line)
    with pytest.raises(BadInput, match=f"bad.jsonl, line 2: .*{says}"):
        read_judged(path)


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("corpus.jsonl", '{"_id": "a", "text": 3}', "corpus.jsonl, line 1: text must be a string"),
        ("corpus.jsonl", '{"text": "x"}', "corpus.jsonl, line 1: _id must be an id"),
        ("corpus.jsonl", "", "corpus.jsonl: contains no document"),
        ("queries.jsonl", '{"_id": "q01"}', "queries.jsonl, line 1: text must be a string"),
        ("qrels.tsv", "q01 h01 1", "qrels.tsv, line 1: has 1 tab-separated fields, not 3 or 4"),
        ("qrels.tsv", "a\tb\tc\nq01\th01\tx", "qrels.tsv, line 2: grade 'x' is not a whole"),
        ("qrels.tsv", "q99\th01\t1", "qrels.tsv, line 1: query q99 is not among"),
        ("qrels.tsv", "q01\th99\t1", "qrels.tsv, line 1: document h99 is not in the corpus"),
    ],
)
def test_a_bad_file_of_a_folder_is_named(
    tmp_path: Path, file: str, content: str, says: str
) -> None:
    shutil.copytree(HANDBOOK, tmp_path / "set")
    (tmp_path / "set" / file).write_text(content)
    with pytest.raises(BadInput, match=says):
        read_judged(tmp_path / "set")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("bad.jsonl.xz", b"no archive", "bad.jsonl.xz, line 1: cannot be decompressed"),
        ("bad.jsonl.gz", b"no archive", "bad.jsonl.gz, line 1: cannot be decompressed"),
        ("bad.jsonl", b'{"query": "\xff"}', "bad.jsonl, line 1: not UTF-8 text"),
        ("bad.jsonl", b"", "bad.jsonl: contains no query"),
    ],
)
def test_a_file_that_is_no_text_is_named(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=says):
        read_judged(tmp_path / name)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"contains no corpus\.jsonl"):
        read_judged(tmp_path)
    with pytest.raises(BadInput, match=r"nowhere: does not exist"):
        read_judged(tmp_path / "nowhere")


def test_pairs_triples_and_labels_are_read_alike(write_lines: WriteLines) -> None:
    path = write_lines(
        "pairs.jsonl",
        {"query": "a", "positive": "yes"},
        {"query": "a", "positive": "also", "negative": "no"},
        {"query": "b", "positives": ["yes"], "negatives": ["no", "never"]},
        {"query": "b", "document": "also", "label": 0},
    )
    judged = read_labelled(path)
    texts = judged.corpus
    seen = {
        judged.queries[query]: {texts[name]: grade for name, grade in grades.items()}
        for query, grades in judged.grades.items()
    }
    assert seen == {
        "a": {"yes": 1, "also": 1, "no": 0},
        "b": {"yes": 1, "no": 0, "never": 0, "also": 0},
    }


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ({"query": "a"}, "needs positive"),
        ({"query": "a", "positive": 3}, "positive must be a list"),
        ({"query": "a", "positive": [""]}, "positive must be a string that is not empty"),
        ({"query": "a", "document": "x", "label": 2}, "label must be 0 or 1"),
        ({"query": "a", "negative": "yes"}, "both relevant and not relevant"),
    ],
)
def test_a_bad_pair_is_named_with_its_file(
    write_lines: WriteLines, line: object, says: str
) -> None:
    path = write_lines("bad.jsonl", {"query": "a", "positive": "yes"}, line)
    with pytest.raises(BadInput, match=f"bad.jsonl, line 2: .*{says}"):
        read_labelled(path)
