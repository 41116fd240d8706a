"""Files in a process of their own: what is in them harms no other, and no limit is passed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from app.ingest import child
from app.ingest.document import FileDocument, Section, Unreadable
from app.ingest.reader_process import FileLimits, ReaderProcess, start

# Takes minutes: each has to look for an open paragraph in all above.
NESTED = "<div>" * 200_000


@pytest.fixture
def reader() -> Iterator[ReaderProcess]:
    with ReaderProcess(FileLimits(seconds=1)) as opened:
        yield opened


def written(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


def test_what_is_read_is_what_this_process_would_have_read(tmp_path: Path) -> None:
    line = '{"text": "Zürich", "id": 7, "metadata": {"n": 1, "x": 0.5, "b": true, "s": "t"}}'
    path = written(tmp_path / "a.jsonl", line)
    with ReaderProcess() as reader:
        assert reader.read(path) == [
            FileDocument("7", [Section("", "Zürich")], {"n": 1, "x": 0.5, "b": True, "s": "t"})
        ]


def test_what_cannot_be_read_is_reported_with_its_line(
    tmp_path: Path, reader: ReaderProcess
) -> None:
    with pytest.raises(Unreadable, match=r"a\.jsonl, line 2: is not valid JSON"):
        reader.read(written(tmp_path / "a.jsonl", '{"text": "x"}\n{'))
    with pytest.raises(Unreadable, match=r"none\.txt: No such file"):
        reader.read(tmp_path / "none.txt")
    name = os.fsdecode(b"\xff\n.txt")
    with pytest.raises(Unreadable, match="has a name that is not UTF-8"):
        reader.read(written(tmp_path / name, "x"))


def test_one_process_reads_many_files(tmp_path: Path, reader: ReaderProcess) -> None:
    path = written(tmp_path / "a.txt", "x")
    reader.read(path)
    started = time.monotonic()
    for _ in range(100):
        reader.read(path)
    assert time.monotonic() - started < 1  # a process of its own would take 20 s for them


def test_a_page_that_takes_too_long_is_given_up_and_the_next_file_is_read(
    tmp_path: Path, reader: ReaderProcess
) -> None:
    with pytest.raises(Unreadable, match=r"a\.html: takes more than 1 s .*\(--max-file-seconds\)"):
        reader.read(written(tmp_path / "a.html", NESTED))
    assert reader.read(written(tmp_path / "b.html", "<p>x")) == [
        FileDocument("", [Section("", "x")])
    ]


def test_a_pdf_of_a_few_bytes_that_takes_hours_is_given_up(
    tmp_path: Path, reader: ReaderProcess
) -> None:
    writer = PdfWriter()
    names = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}
    font = DictionaryObject({NameObject(name): NameObject(value) for name, value in names.items()})
    fonts = DictionaryObject({NameObject("/F1"): font})
    content = DecodedStreamObject()
    content.set_data(b"BT /F1 12 Tf 20 200 Td (text) Tj ET\n" * 20_000)
    shared = writer._add_object(content.flate_encode())
    for _ in range(100):
        page = writer.add_blank_page(300, 300)
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        page[NameObject("/Contents")] = shared
    writer.write(tmp_path / "a.pdf")
    assert (tmp_path / "a.pdf").stat().st_size < 50_000
    with pytest.raises(Unreadable, match=r"a\.pdf: takes more than 1 s .*\(--max-file-seconds\)"):
        reader.read(tmp_path / "a.pdf")


def test_a_file_that_takes_too_much_memory_is_given_up_and_the_next_is_read(
    tmp_path: Path,
) -> None:
    path = written(tmp_path / "a.md", "a" * 60 * 2**20)
    with ReaderProcess(FileLimits(memory_mb=150)) as reader:
        with pytest.raises(Unreadable, match=r"a\.md: needs more than 150 MB of memory to be read"):
            reader.read(path)
        assert reader.read(written(tmp_path / "b.md", "x")) == [
            FileDocument("", [Section("", "x")])
        ]


def test_a_file_of_too_many_rows_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "MAX_SECTIONS", 2)
    path = written(tmp_path / "a.md", "# a\nb\n" * 3)
    with pytest.raises(Unreadable, match=r"a\.md: has more than 2 sections or rows: split it"):
        child.documents_of(child.answer_of(path, 1), path)


def test_a_file_of_too_much_text_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.txt", "\1" * 2**20)  # of which JSON makes six characters each
    with ReaderProcess(FileLimits(max_mb=1)) as reader:
        with pytest.raises(Unreadable, match=r"holds more than 4 MB of text \(4 times --max-file"):
            reader.read(path)
        assert reader.read(written(tmp_path / "b.md", "x")) == [
            FileDocument("", [Section("", "x")])
        ]


def test_a_process_that_dies_is_reported_with_the_file_it_read(
    tmp_path: Path, reader: ReaderProcess
) -> None:
    path = written(tmp_path / "a.txt", "x")
    reader.read(path)
    assert reader._process is not None
    reader._process.kill()
    reader._process.wait()
    with pytest.raises(
        Unreadable, match=r"a\.txt: cannot be read: its reader was ended by SIGKILL"
    ):
        reader.read(path)
    assert len(reader.read(path)) == 1


def test_the_process_has_no_keys_of_ours(
    monkeypatch: pytest.MonkeyPatch, reader: ReaderProcess
) -> None:
    monkeypatch.setenv("RERANKD_API_KEYS", "canary")
    process = start(FileLimits())
    assert b"canary" not in Path(f"/proc/{process.pid}/environ").read_bytes()
    process.kill()
    process.communicate()


def test_a_process_whose_parent_was_killed_ends_when_its_file_takes_too_long(
    tmp_path: Path,
) -> None:
    path = written(tmp_path / "a.html", NESTED)
    script = (
        "import sys; from pathlib import Path; from app.ingest.reader_process import *;"
        "p = start(FileLimits(40, -4)); print(p.pid, flush=True); send(p, Path(sys.argv[1]));"
        "receive(p, 1, 1e9)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    parent = subprocess.Popen(
        [sys.executable, "-c", script, path], env=environment, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    orphan = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    deadline = time.monotonic() + 20
    while runs(orphan) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not runs(orphan)


def runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # where nobody takes care of orphans it stays as one that has ended
