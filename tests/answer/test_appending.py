"""A line is in the file, whole and on the disk, or it is not there: on a full disk as well."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.answer.appending import FileFull, LineFile

LINE = json.dumps({"text": "x" * 3000}).encode() + b"\n"
DISK_BYTES = 64 * 1024


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A real file system of this size."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def small_files(_: Path) -> Iterator[None]:
    """No file of this process may be larger."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (DISK_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def fill(lines: LineFile) -> int:
    """How many lines there was room for."""
    for count in range(1000):
        try:
            lines.append(LINE)
        except OSError:
            return count
    raise AssertionError("there was always room")


@pytest.mark.parametrize("limited", [small_disk, small_files])
def test_where_there_is_no_room_nothing_is_left_of_a_line(tmp_path: Path, limited: object) -> None:
    assert callable(limited)
    with limited(tmp_path):
        file = tmp_path / "lines.jsonl"
        lines = LineFile(file, 2**20)
        count = fill(lines)
        assert 10 < count < 30
        assert file.read_bytes() == LINE * count
        os.truncate(file, 5 * len(LINE))
        lines.append(b"{}\n")
        assert file.read_bytes() == LINE * 5 + b"{}\n"


def test_after_a_torn_line_the_next_starts_on_its_own(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    file.write_bytes(LINE + LINE[:100])
    LineFile(file, 2**20).append(LINE)
    assert file.read_bytes().split(b"\n") == [LINE[:-1], LINE[:100], LINE[:-1], b""]


def test_a_file_takes_lines_up_to_its_limit_and_not_a_byte_more(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    lines = LineFile(file, 100)
    lines.append(b"a" * 59 + b"\n")
    with pytest.raises(FileFull, match=r"lines\.jsonl holds 60 of 100 bytes"):
        lines.append(b"b" * 40 + b"\n")
    lines.append(b"c" * 39 + b"\n")
    assert file.stat().st_size == 100


def test_a_line_is_synced_before_append_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, sizes = tmp_path / "lines.jsonl", []
    lines = LineFile(file, 2**20)
    monkeypatch.setattr("os.fsync", lambda number: sizes.append(os.fstat(number).st_size))
    lines.append(LINE)
    assert sizes == [len(LINE)]


def test_a_disk_that_fails_to_sync_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "lines.jsonl"
    lines = LineFile(file, 2**20)
    lines.append(LINE)

    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        lines.append(LINE)
    assert file.read_bytes() == LINE


KILLED = """
import os, sys
from pathlib import Path
from app.answer.appending import LineFile

write = os.write
def torn(number, line):
    write(number, line[: len(line) // 2])
    os.kill(os.getpid(), 9)

lines = LineFile(Path(sys.argv[1]), 2**20)
lines.append(b'{"first": 1}\\n')
os.write = torn
lines.append(b'{"second": 2}\\n')
"""


def test_a_process_that_is_killed_loses_only_the_line_it_was_writing(
    tmp_path: Path,
) -> None:
    file = tmp_path / "lines.jsonl"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(file)], check=False)
    assert killed.returncode == -9
    LineFile(file, 2**20).append(b'{"third": 3}\n')
    assert file.read_bytes() == b'{"first": 1}\n{"secon\n{"third": 3}\n'
