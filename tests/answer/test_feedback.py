"""Verdicts on answers, and that `rerankd eval` and `rerankd finetune` read them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.answer.citations import Citation
from app.answer.feedback import (
    MAX_CHANGES,
    Feedback,
    FeedbackFinal,
    FeedbackFull,
    UnknownAnswer,
    Verdict,
)
from app.answer.question import Question
from app.answer.result import Answer, Selection, Source
from app.cli import main
from app.errors import InvalidRequest, LoadFailed
from app.evaluation.data.judged import Judged
from app.evaluation.data.sources import read_judged
from app.evaluation.problems import BadInput
from app.retrieval.store import Candidate
from app.training.finetune.pairs import read_labelled
from tests.logged import fields_logged

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
    selection = Selection(sources, candidates)
    question = Question("how long is a book lent")
    return Answer(question, selection, "answered", "Four weeks [1].", [Citation(0, 10, [1])])


def open_feedback(
    file: Path, clock: Callable[[], float] = lambda: 0.0, max_bytes: int = 2**30
) -> Feedback:
    return Feedback(file, clock, max_bytes)


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
    feedback = open_feedback(tmp_path / "feedback.jsonl")
    feedback.remember("a1", answer())
    await feedback.take("a1", verdict)
    (row,) = rows(tmp_path / "feedback.jsonl")
    assert [mark.partition("@")[0] for mark in row["relevant"]] == relevant
    assert [document["text"] for document in row["documents"]] == [
        text for text in TEXTS.values() if text.strip()
    ]
    assert (row["answer"], row["useful"]) == ("a1", verdict.useful)


async def test_an_unknown_or_old_answer_is_refused(tmp_path: Path) -> None:
    clock = [0.0]
    feedback = open_feedback(tmp_path / "feedback.jsonl", lambda: clock[0])
    feedback.remember("a1", answer())
    clock[0] = 90_000
    for name in ("a1", "a2"):
        with pytest.raises(UnknownAnswer):
            await feedback.take(name, Verdict("up"))


async def test_a_source_that_was_no_candidate_is_refused(tmp_path: Path) -> None:
    feedback = open_feedback(tmp_path / "feedback.jsonl")
    feedback.remember("a1", answer())
    with pytest.raises(InvalidRequest) as caught:
        await feedback.take("a1", Verdict("up", "nothing"))
    assert caught.value.field == "source"


def test_a_file_that_cannot_be_written_is_refused_at_start(tmp_path: Path) -> None:
    with pytest.raises(LoadFailed, match=r"feedback_file .* cannot be written"):
        open_feedback(tmp_path / "missing" / "feedback.jsonl")


async def test_the_same_verdict_again_writes_nothing_and_another_repeats_no_candidate(
    tmp_path: Path,
) -> None:
    file = tmp_path / "feedback.jsonl"
    feedback = open_feedback(file)
    feedback.remember("a1", answer())
    assert [await feedback.take("a1", Verdict("up")) for _ in range(100)] == [True] + [False] * 99
    whole = file.stat().st_size
    assert await feedback.take("a1", Verdict("down", comment="no"))
    first, second = rows(file)
    assert file.stat().st_size - whole < 150
    assert second.keys() == {"answer", "useful", "relevant", "comment", "at"}
    assert (first["answer"], second["useful"], second["relevant"]) == ("a1", "down", [])


async def test_a_caller_who_changes_the_verdict_again_and_again_does_not_fill_the_disk(
    tmp_path: Path,
) -> None:
    file = tmp_path / "feedback.jsonl"
    feedback = open_feedback(file)
    feedback.remember("a1", answer())
    for number in range(MAX_CHANGES + 1):
        assert await feedback.take("a1", Verdict("up", comment=str(number)))
    written = file.read_bytes()
    for _ in range(50):
        with pytest.raises(FeedbackFinal, match="was changed 10 times and is final"):
            await feedback.take("a1", Verdict("down"))
    assert not await feedback.take("a1", Verdict("up", comment=str(MAX_CHANGES)))
    assert file.read_bytes() == written
    assert len(rows(file)) == MAX_CHANGES + 1


async def test_verdicts_at_the_same_time_are_written_in_turn(tmp_path: Path) -> None:
    file = tmp_path / "feedback.jsonl"
    feedback = open_feedback(file)
    names = [f"a{number}" for number in range(20)]
    for name in names:
        feedback.remember(name, answer())
    verdicts = [feedback.take(name, Verdict("up")) for name in (*names, *names)]
    assert sum(await asyncio.gather(*verdicts)) == 20
    assert [row["answer"] for row in rows(file)] == names


async def test_a_file_at_its_limit_takes_no_more_and_stays_whole(tmp_path: Path) -> None:
    file = tmp_path / "feedback.jsonl"
    feedback = open_feedback(file, max_bytes=1000)
    for name in ("a1", "a2"):
        feedback.remember(name, answer(hours="x" * 200))
    await feedback.take("a1", Verdict("up"))
    with pytest.raises(FeedbackFull, match="limit of 1000 bytes") as caught:
        await feedback.take("a2", Verdict("up"))
    assert caught.value.limit == 1000
    assert [row["answer"] for row in rows(file)] == ["a1"]
    file.unlink()
    assert await feedback.take("a2", Verdict("up"))


async def test_answers_are_remembered_within_a_bound_of_bytes_the_oldest_go_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.answer.feedback.MAX_BYTES", 100_000)
    feedback = open_feedback(tmp_path / "feedback.jsonl")
    for name in ("a1", "a2", "a3"):
        feedback.remember(name, answer(loan="x" * 40_000))
    feedback.remember("larger than all", answer(loan="x" * 200_000))
    for name in ("a1", "larger than all"):
        with pytest.raises(UnknownAnswer):
            await feedback.take(name, Verdict("up"))
    assert [await feedback.take(name, Verdict("up")) for name in ("a2", "a3")] == [True, True]


async def test_no_more_answers_than_the_last_500_are_remembered(tmp_path: Path) -> None:
    feedback = open_feedback(tmp_path / "feedback.jsonl")
    for number in range(501):
        feedback.remember(f"a{number}", answer())
    with pytest.raises(UnknownAnswer):
        await feedback.take("a0", Verdict("up"))
    assert await feedback.take("a1", Verdict("up"))


async def write_verdicts(folder: Path) -> Path:
    """A verdict on one answer after another on it, and on a third after a passage has changed."""
    file = folder / "feedback.jsonl"
    feedback = open_feedback(file)
    feedback.remember("a1", answer())
    feedback.remember("a2", answer(loan="A book is lent for five weeks."))
    for name, verdict in (("a1", Verdict("down")), ("a1", Verdict("up")), ("a2", Verdict("up"))):
        await feedback.take(name, verdict)
    return file


READERS = pytest.mark.parametrize("read", [read_judged, read_labelled], ids=["eval", "finetune"])


@READERS
async def test_an_answer_has_one_vote_and_it_is_the_last(
    tmp_path: Path, read: Callable[[Path], Judged]
) -> None:
    file = tmp_path / "feedback.jsonl"
    feedback = open_feedback(file)
    for name in ("a1", "a2"):
        feedback.remember(name, answer())
    await feedback.take("a1", Verdict("up"))
    await feedback.take("a2", Verdict("up"))
    await feedback.take("a1", Verdict("down", "film"))
    await feedback.take("a1", Verdict("down", "hours"))
    judged = read(file)
    marks = [judged.relevant(name)[0].partition("@")[0] for name in judged.queries]
    assert marks == ["hours", "loan"]
    await feedback.take("a1", Verdict("down"))
    assert len(read(file).queries) == 1


@READERS
async def test_files_of_the_first_version_give_one_vote_an_answer_too(
    tmp_path: Path, read: Callable[[Path], Judged]
) -> None:
    """There each verdict repeated the candidates, under an id of its own."""
    file = tmp_path / "feedback.jsonl"
    whole = {"query": "q", "documents": [{"id": "d", "text": "t"}], "answer": "a1"}
    lines = [{"id": str(n), **whole, "relevant": ["d"], "useful": "up"} for n in range(5)]
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert list(read(file).queries) == ["4"]


@READERS
async def test_a_field_named_answer_in_other_lists_says_nothing_of_votes(
    tmp_path: Path, read: Callable[[Path], Judged]
) -> None:
    file = tmp_path / "mine.jsonl"
    line = json.dumps({"query": "q", "documents": ["t"], "relevant": [0], "answer": "42"})
    file.write_text(f"{line}\n{line}\n")
    assert len(read(file).queries) == 2


@READERS
@pytest.mark.parametrize("cut", range(1, 200, 7))
async def test_a_line_that_ends_too_early_costs_that_line_and_is_named(
    tmp_path: Path,
    read: Callable[[Path], Judged],
    cut: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    file = tmp_path / "feedback.jsonl"
    feedback = open_feedback(file)
    for name in ("a1", "a2"):
        feedback.remember(name, answer(loan="Vier Wochen für Bücher, 四週間."))
    await feedback.take("a1", Verdict("up"))
    file.write_bytes(file.read_bytes()[:-cut])
    await feedback.take("a2", Verdict("up"))
    await feedback.take("a1", Verdict("up", "film"))
    assert len(read(file).queries) == (2 if cut == 1 else 1)
    named = [fields["reason"] for fields in fields_logged(caplog, "feedback_line_left_out")]
    lines = [each.partition("feedback.jsonl, ")[2].partition(":")[0] for each in named]
    assert lines == ([] if cut == 1 else ["line 1", "line 3"])


async def test_in_other_data_a_line_that_ends_too_early_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text('{"query": "q", "documents": ["t"], "relevant": [0]}\n{"query": "q", "docu')
    with pytest.raises(BadInput, match=r"mine\.jsonl, line 2: not valid JSON"):
        read_judged(file)


@READERS
async def test_it_is_read_back_even_when_a_passage_has_changed(
    tmp_path: Path, read: Callable[[Path], Judged]
) -> None:
    judged = read(await write_verdicts(tmp_path))
    assert len(judged.queries) == 2
    assert [len(judged.relevant(name)) for name in judged.queries] == [1, 1]
    assert judged.ranked


def test_eval_measures_it(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = asyncio.run(write_verdicts(tmp_path))
    out = ["--out", str(tmp_path / "eval")]
    assert main(["eval", str(file), "--model", str(model), "--device", "cpu", *out]) == 0
    assert "nDCG" in capsys.readouterr().out
