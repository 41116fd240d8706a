from __future__ import annotations

import re
import sys

import pytest

from loadtest import two_stage
from tests.evaluation.conftest import HANDBOOK


def test_two_stage_measures_the_first_stage_and_the_second(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["two_stage", str(HANDBOOK), "--sample", "5", "--initial-k", "5,20"]
    monkeypatch.setattr(sys, "argv", words)
    two_stage.main()
    printed = capsys.readouterr().out
    assert printed.startswith("handbook: 5 queries, 40 documents\n")
    rows = re.findall(r"^\| (BM25.*?) \| (0|1)\.\d{3} \| (0|1)\.\d{3} \|$", printed, re.MULTILINE)
    assert [row[0] for row in rows] == [
        "BM25 alone",
        "BM25, best 5 reranked",
        "BM25, best 20 reranked",
    ]
