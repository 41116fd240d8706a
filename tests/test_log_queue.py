from __future__ import annotations

import fcntl
import json
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from app import log_queue, logs
from app.log_queue import QueuedHandler
from app.metrics import Metrics

PIPE_BYTES = 4096
LINE = "x" * 999


@dataclass
class Pipe:
    """A pipe of one page, so that a few lines fill it."""

    reader: int
    writer: int

    def read_until(self, end: str) -> list[str]:
        data = b""
        while end.encode() not in data:
            chunk = os.read(self.reader, PIPE_BYTES)
            assert chunk, f"the pipe ended before {end}"
            data += chunk
        return data.decode().splitlines()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    yield Pipe(reader, writer)
    os.close(reader)


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_queue, "FLUSH_SECONDS", 0.05)


def handler_of(pipe: Pipe, max_waiting_bytes: int = 10_000) -> QueuedHandler:
    handler = QueuedHandler(pipe.writer, max_waiting_bytes)
    handler.setFormatter(logs.JsonFormatter())
    return handler


def record(message: str, *values: object) -> logging.LogRecord:
    return logging.LogRecord("test", logging.INFO, __file__, 1, message, values, None)


def fill(handler: QueuedHandler) -> int:
    """Put lines until some are dropped; how many were accepted."""
    accepted = 0
    while not handler.dropped:
        handler.put(LINE)
        accepted += 1
    return accepted - 1


def test_lines_arrive_whole_and_in_their_order(pipe: Pipe) -> None:
    handler = handler_of(pipe, 1_000_000)
    for number in range(100):
        handler.emit(record("line %d " + LINE, number))
    lines = [json.loads(line) for line in pipe.read_until("line 99 " + LINE + '"}\n')]
    assert [line["event"] for line in lines] == [f"line {number} {LINE}" for number in range(100)]
    assert handler.dropped == 0


def test_a_pipe_that_nobody_reads_costs_lines_and_no_time(pipe: Pipe) -> None:
    handler = handler_of(pipe)
    accepted = fill(handler)
    for _ in range(100):
        handler.put(LINE)
    assert handler.dropped == 101
    assert accepted * 1000 <= PIPE_BYTES + 2 * 10_000  # in the pipe, being written, waiting


def test_once_the_pipe_is_read_one_line_says_how_many_were_dropped(pipe: Pipe) -> None:
    handler = handler_of(pipe)
    accepted = fill(handler)
    handler.put(LINE)
    *whole, notice = pipe.read_until("log_lines_dropped")
    assert whole == [LINE] * accepted
    event = json.loads(notice)
    assert (event["event"], event["level"], event["lines"]) == ("log_lines_dropped", "warning", 2)
    handler.put("afterwards")
    assert pipe.read_until("afterwards\n") == ["afterwards"]


def test_a_flush_returns_when_everything_is_written(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_queue, "FLUSH_SECONDS", 60)
    handler = handler_of(pipe)
    for _ in range(3):
        handler.put(LINE)
    handler.flush()
    assert len(os.read(pipe.reader, PIPE_BYTES)) == 3000


def test_a_flush_into_a_blocked_pipe_gives_up_and_the_next_one_at_once(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = handler_of(pipe)
    fill(handler)
    handler.flush()
    monkeypatch.setattr(log_queue, "FLUSH_SECONDS", 1e6)  # would never end
    handler.flush()


def test_a_reader_that_has_gone_away_harms_nobody() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    handler = QueuedHandler(writer)
    handler.put("nobody reads this")
    handler.flush()
    assert handler.dropped == 1


def test_a_descriptor_that_does_not_block_is_waited_for(pipe: Pipe) -> None:
    os.set_blocking(pipe.writer, False)
    handler = handler_of(pipe, 100_000)
    for _ in range(50):
        handler.put(LINE)
    handler.put("end")
    assert len(pipe.read_until("end\n")) == 51
    assert handler.dropped == 0


def test_a_line_that_cannot_be_formatted_is_named_and_standard_error_left_alone(
    pipe: Pipe, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = handler_of(pipe)
    handler.emit(record("%d", "no number"))
    (line,) = pipe.read_until("\n")
    event = json.loads(line)
    assert (event["event"], event["source"]) == ("log_line_not_formatted", __file__)
    assert capsys.readouterr().err == ""


def test_callers_in_many_threads_lose_nothing(pipe: Pipe) -> None:
    handler = handler_of(pipe, 10_000_000)

    def write(name: str) -> None:
        for number in range(200):
            handler.put(f"{name} {number}")

    threads = [threading.Thread(target=write, args=[name]) for name in "abcd"]
    for thread in threads:
        thread.start()
    lines: list[str] = []
    while len(lines) < 800:
        lines += pipe.read_until("\n")
    for thread in threads:
        thread.join()
    for name in "abcd":
        assert [line for line in lines if line[0] == name] == [f"{name} {n}" for n in range(200)]


def test_the_metrics_tell_what_was_dropped(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = handler_of(pipe)
    fill(handler)
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    metrics = Metrics()
    metrics.watch_total("log_lines_dropped", "Dropped", log_queue.dropped_lines)
    assert metrics.registry.get_sample_value("rerankd_log_lines_dropped_total") == 1


def test_the_last_words_come_after_the_log_and_do_not_wait_for_ever(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log_queue.print_last("without a log")
    assert capsys.readouterr().err == "without a log\n"
    handler = handler_of(pipe)
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    handler.put("first")
    log_queue.print_last("last")
    assert pipe.read_until("last\n") == ["first", "last"]
    fill(handler)
    log_queue.print_last("returns")
    assert capsys.readouterr().err == ""
