"""Verdicts on answers, and that `rerankd eval` and `rerankd finetune` read them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.answer.answered import Answer, Found, Source
from app.answer.candidate import Candidate
from app.answer.citations import Citation
from app.answer.feedback import Feedback, UnknownAnswer, Verdict
from app.answer.question import Question
from app.cli import main
from app.errors import InvalidRequest, LoadFailed
from app.evaluation.judged import Judged
from app.evaluation.pairs import read_labelled
from app.evaluation.sources import read_judged

pytestmark = pytest.mark.anyio

TEXTS = {
    "hours": "The library opens at nine.",
    "loan": "A book is lent for four weeks.",
    "empty": " ",
    "film": "A film is lent for one week.",
}


def answer(**texts: str) -> Answer:
    candidates = [Candidate(name, text) for name, text in (TEXTS | texts).items()]
    sources = [Source(candidates[1], 2, 0.9, 1), Source(candidates[3], 4, 0.5, 2)]
    found = Found(sources, candidates)
    question = Question("how long is a book lent")
    return Answer(question, found, "answered", "Four weeks [1].", [Citation(0, 10, [1])])


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.parametrize(
    ("verdict", "relevant"),
    [
        (Verdict("up"), ["loan"]),
        (Verdict("up", "film"), ["film"]),
        (Verdict("down", "hours"), ["hours"]),
        (Verdict("down"), []),
    ],
)
async def test_a_verdict_names_what_is_relevant(
    tmp_path: Path, verdict: Verdict, relevant: list[str]
) -> None:
    feedback = Feedback(tmp_path / "feedback.jsonl", lambda: 0.0)
    feedback.remember("a1", answer())
    await feedback.take("a1", verdict)
    (row,) = rows(tmp_path / "feedback.jsonl")
    assert [one.partition("@")[0] for one in row["relevant"]] == relevant
    assert [one["text"] for one in row["documents"]] == [
        text for text in TEXTS.values() if text.strip()
    ]
    assert (row["answer"], row["useful"]) == ("a1", verdict.useful)


async def test_an_answer_that_is_not_known_or_too_old_is_said_so(tmp_path: Path) -> None:
    clock = [0.0]
    feedback = Feedback(tmp_path / "feedback.jsonl", lambda: clock[0])
    feedback.remember("a1", answer())
    clock[0] = 90_000
    for name in ("a1", "a2"):
        with pytest.raises(UnknownAnswer):
            await feedback.take(name, Verdict("up"))


async def test_a_source_that_was_no_candidate_is_refused(tmp_path: Path) -> None:
    feedback = Feedback(tmp_path / "feedback.jsonl", lambda: 0.0)
    feedback.remember("a1", answer())
    with pytest.raises(InvalidRequest) as caught:
        await feedback.take("a1", Verdict("up", "nothing"))
    assert caught.value.field == "source"


def test_a_file_that_cannot_be_written_is_known_at_start(tmp_path: Path) -> None:
    with pytest.raises(LoadFailed, match=r"feedback_file .* cannot be written"):
        Feedback(tmp_path / "missing" / "feedback.jsonl", lambda: 0.0)


async def given(folder: Path) -> Path:
    """Two verdicts on one answer, one on another after a passage has changed."""
    file = folder / "feedback.jsonl"
    feedback = Feedback(file, lambda: 0.0)
    feedback.remember("a1", answer())
    feedback.remember("a2", answer(loan="A book is lent for five weeks."))
    for name, verdict in (("a1", Verdict("up")), ("a1", Verdict("down")), ("a2", Verdict("up"))):
        await feedback.take(name, verdict)
    return file


@pytest.mark.parametrize("read", [read_judged, read_labelled], ids=["eval", "finetune"])
async def test_it_is_read_back_even_when_a_passage_has_changed(
    tmp_path: Path, read: Callable[[Path], Judged]
) -> None:
    judged = read(await given(tmp_path))
    assert len(judged.queries) == 2
    assert [len(judged.relevant(name)) for name in judged.queries] == [1, 1]
    assert judged.ranked


def test_eval_measures_it(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = asyncio.run(given(tmp_path))
    out = ["--out", str(tmp_path / "eval")]
    assert main(["eval", str(file), "--model", str(model), "--device", "cpu", *out]) == 0
    assert "nDCG" in capsys.readouterr().out
