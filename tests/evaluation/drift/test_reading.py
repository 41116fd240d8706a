"""What is read of logs and feedback files, and to which period it belongs."""

from __future__ import annotations

import gzip
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from app.evaluation.drift.collecting import MAX_LINES_TO_TELL, collect, read_source
from app.evaluation.drift.log_lines import read_log
from app.evaluation.drift.period import Judgement, Request, Started, weekday_shares
from app.evaluation.drift.times import Window
from app.evaluation.problems import BadInput
from tests.evaluation.conftest import WriteLines
from tests.evaluation.drift.records import (
    DAY,
    HOUR,
    MONDAY,
    answer_line,
    iso,
    ready_line,
    request_line,
    requests,
    steady,
    verdict_line,
)
from tests.logged import fields_logged

LINE = json.dumps(request_line(MONDAY, 0.75, 0.25))


def read(*lines: str, route: str = "") -> list[Request | Started]:
    return list(read_log(lines, route))


@pytest.mark.parametrize(
    "line",
    [
        LINE,
        f"rerankd-1  | {LINE}",
        f"2026-11-02T00:00:00.1Z stderr F {LINE}",
        f"Nov 02 00:00:00 host rerankd[7]: {LINE}",
        json.dumps({"log": f"{LINE}\n", "stream": "stderr", "time": "2026-11-02T00:00:01Z"}),
        json.dumps({"MESSAGE": LINE, "PRIORITY": "6"}),
        json.dumps({"labels": {"pod": "a"}, "line": LINE, "timestamp": "t"}),
    ],
    ids=["plain", "compose", "cri", "journal", "docker", "journal-json", "loki"],
)
def test_a_line_is_read_as_collectors_wrap_it(line: str) -> None:
    assert read(line) == [Request(MONDAY, "/rerank", "rerankd-minilm", 0.75, 0.25, 20)]


@pytest.mark.parametrize(
    "line",
    [
        "INFO request ready",
        "request {not json",
        '["request"]',
        '{"event": "request"}',
        json.dumps({**request_line(MONDAY, 0.5), "status": 429}),
        json.dumps({**request_line(MONDAY, 0.5), "time": "request time"}),
        json.dumps({**request_line(MONDAY, 0.5), "event": "requested"}),
        json.dumps({"time": iso(MONDAY), "event": "request", "status": 200, "route": "/info"}),
    ],
)
def test_other_lines_and_refused_requests_are_passed_over(line: str) -> None:
    assert read(line) == []


def test_an_answer_has_its_outcome_and_its_candidates() -> None:
    (answer,) = read(json.dumps(answer_line(MONDAY, "not_found")))
    assert isinstance(answer, Request)
    assert (answer.outcome, answer.documents, answer.top) == ("not_found", 50, 0.5)


def test_a_route_selects_requests_but_keeps_the_models() -> None:
    lines = [LINE, json.dumps(answer_line(MONDAY, "answered")), json.dumps(ready_line(MONDAY))]
    entries = read(*lines, route="/answer")
    assert [type(entry) for entry in entries] == [Request, Started]
    assert isinstance(entries[0], Request)
    assert entries[0].route == "/answer"


def test_two_files_are_two_periods(write_lines: WriteLines) -> None:
    old = write_lines("old.log", "Starting", *requests(MONDAY, 2, steady, 1))
    new = write_lines("new.log", *requests(MONDAY, 3, steady, 2))
    before, after = collect([old, new], None, "")
    assert (before.requests, after.requests) == (40, 60)
    assert before.tops.times[0] == MONDAY
    assert before.models == {"rerankd-minilm"}


def test_times_sort_the_lines_of_any_number_of_files(write_lines: WriteLines) -> None:
    log = write_lines("a.log", *requests(MONDAY, 10, steady, 1))
    other = write_lines("b.log", *requests(MONDAY + 5 * HOUR, 10, steady, 1))
    file = write_lines("feedback.jsonl", verdict_line(MONDAY, 1, 1))
    windows = Window(MONDAY, MONDAY + 6 * HOUR), Window(MONDAY + 6 * HOUR, MONDAY + 9 * HOUR)
    before, after = collect([log, other, file], windows, "")
    assert (before.requests, after.requests) == (120 + 20, 60 + 60)
    assert (len(before.judgements), len(after.judgements)) == (1, 0)


def test_a_model_that_was_loaded_earlier_belongs_to_the_period(write_lines: WriteLines) -> None:
    log = write_lines(
        "a.log",
        ready_line(MONDAY - 2 * DAY, engine="torch"),
        ready_line(MONDAY - DAY, engine="onnxruntime"),
        ready_line(MONDAY + DAY, engine="openvino"),
    )
    windows = Window(MONDAY, MONDAY + DAY), Window(MONDAY + DAY, MONDAY + 2 * DAY)
    engines = [[card["engine"] for card in period.cards] for period in collect([log], windows, "")]
    assert engines == [["onnxruntime"], ["onnxruntime", "openvino"]]


def test_a_compressed_log_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.log.gz"
    path.write_bytes(gzip.compress(f"{LINE}\n".encode()))
    assert len(list(read_source(path, ""))) == 1


def test_an_empty_file_is_a_period_without_requests(write_lines: WriteLines) -> None:
    assert list(read_source(write_lines("empty.log"), "")) == []


@pytest.mark.parametrize("lines", [["hello"], ['{"query": "a"}'], ["x"] * (MAX_LINES_TO_TELL + 5)])
def test_a_file_of_another_kind_is_refused(write_lines: WriteLines, lines: list[str]) -> None:
    with pytest.raises(BadInput, match="neither log lines of the service, as JSON, nor feedback"):
        list(read_source(write_lines("other.txt", *lines), ""))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        list(read_source(tmp_path / "missing.log", ""))


def test_only_the_last_verdict_on_an_answer_counts(write_lines: WriteLines) -> None:
    first = verdict_line(MONDAY, 7, 2)
    later = {
        "answer": first["answer"],
        "useful": "down",
        "relevant": [],
        "comment": None,
        "at": iso(MONDAY + HOUR),
    }
    (entry,) = read_source(write_lines("feedback.jsonl", first, later), "")
    assert isinstance(entry, Judgement)
    assert (entry.useful, entry.time, entry.relevant) == (False, MONDAY + HOUR, [])
    assert entry.order == ["d1@0", "d0@0", "d2@0", "d3@0", "d4@0"]
    assert entry.scores[:2] == [0.9, 0.7]


def test_a_line_of_an_older_version_has_no_order(write_lines: WriteLines) -> None:
    line = verdict_line(MONDAY, 7, 2)
    del line["ranking"], line["scores"], line["model"]
    (entry,) = read_source(write_lines("feedback.jsonl", line), "")
    assert isinstance(entry, Judgement)
    assert (entry.order, entry.model, entry.scores) == (None, "", [])


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"ranking": [0, 5]}, "ranking must hold different positions"),
        ({"ranking": [0, 0]}, "ranking must hold different positions"),
        ({"ranking": [True]}, "ranking must hold different positions"),
        ({"ranking": "01"}, "ranking must be a list"),
        ({"at": "yesterday"}, "at must be a date with a time"),
        ({"documents": ["text"]}, "documents must be objects with an id"),
        ({"query": ""}, "query must be a string"),
    ],
)
def test_a_wrong_line_of_feedback_is_named(
    write_lines: WriteLines, fields: dict[str, Any], reason: str
) -> None:
    good, bad = verdict_line(MONDAY, 1, 1), verdict_line(MONDAY, 2, 1) | fields
    path = write_lines("feedback.jsonl", good, bad)
    with pytest.raises(BadInput, match=reason) as raised:
        list(read_source(path, ""))
    assert raised.value.line == 2


def test_other_data_among_feedback_is_refused(write_lines: WriteLines) -> None:
    other = {"query": "a", "documents": ["b"], "relevant": [0]}
    path = write_lines("feedback.jsonl", verdict_line(MONDAY, 1, 1), other)
    with pytest.raises(BadInput, match="no line of feedback"):
        list(read_source(path, ""))


def test_a_line_of_feedback_that_ends_too_early_is_left_out(
    write_lines: WriteLines, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    torn = json.dumps(verdict_line(MONDAY, 2, 1))[:90]
    path = write_lines("feedback.jsonl", verdict_line(MONDAY, 1, 1), torn)
    assert len(list(read_source(path, ""))) == 1
    assert len(fields_logged(caplog, "feedback_line_left_out")) == 1


def test_the_judged_answers_stand_for_the_requests_where_no_log_is(write_lines: WriteLines) -> None:
    lines = [verdict_line(MONDAY, 1, 1), verdict_line(MONDAY, 2, 1, outcome="not_found")]
    before, _ = collect([write_lines("feedback.jsonl", *lines)], (Window(), Window(0, 1)), "")
    assert (before.requests, len(before.tops)) == (0, 0)
    period = before.with_scores_of_feedback()
    assert (period.requests, len(period.judgements)) == (2, 2)
    assert period.tops.values.tolist() == [0.9, 0.9]
    assert period.gaps.values.tolist() == pytest.approx([0.2, 0.2])
    assert period.unknown.values.tolist() == [0, 1]


def test_the_days_of_the_week_are_those_of_utc() -> None:
    line = request_line(MONDAY, 0.5)
    (entry,) = read(json.dumps(line))
    assert isinstance(entry, Request)
    period, _ = collect([], None, "")
    period.take(entry)
    assert weekday_shares(period.times, period.tops.values).tolist() == [1, 0, 0, 0, 0, 0, 0]
