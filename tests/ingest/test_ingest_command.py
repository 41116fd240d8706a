"""`rerankd ingest`, as its users have it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from app.cli import main

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def ingest(
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.md").write_text("# Cats\nCats purr.")
    (tmp_path / "notes" / "b.txt").write_text("Dogs bark.")

    def run(*words: str) -> tuple[int, str]:
        command = ["ingest", "notes", "--model", str(model), "--chunk-tokens", "20", "--overlap"]
        try:
            code = main([*command, "5", *words])
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        out, err = capsys.readouterr()
        return code, out + err

    return run


def test_a_folder_goes_into_the_default_store_and_stays_in_step(ingest: Run) -> None:
    files = "files: 2 new, 0 changed, 0 unchanged, 0 removed, 0 unreadable"
    assert ingest() == (0, f"{files}\nchunks: 2 written, 0 removed\n")
    Path("notes/b.txt").unlink()
    code, report = ingest("--json")
    assert code == 0
    assert json.loads(report) == {
        "new": 0,
        "changed": 0,
        "unchanged": 1,
        "removed": 1,
        "chunks_written": 0,
        "chunks_removed": 1,
        "problems": [],
    }
    assert Path("rerankd.db").exists()


def test_an_unreadable_file_is_reported_and_makes_the_exit_code_1(ingest: Run) -> None:
    Path("notes/c.md").write_bytes(b"\xff")
    code, report = ingest()
    assert code == 1
    assert report.endswith("2 written, 0 removed\n! notes/c.md: is not UTF-8 text\n")


def test_a_file_whose_name_is_not_utf_8_is_reported_and_stops_no_other(ingest: Run) -> None:
    Path(os.fsdecode(b"notes/Gr\xf6\xdfe.md")).write_text("Seven.")
    code, report = ingest("--json")
    assert code == 1
    assert json.loads(report)["problems"] == [
        "notes/Gr��e.md: has a name that is not UTF-8, so nothing could cite it"
    ]
    assert json.loads(report)["new"] == 2


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--chunk-tokens", "100000"), "--chunk-tokens 100000: next to a query, the model accepts"),
        (("--overlap", "11"), "--overlap 11 is more than half of --chunk-tokens"),
        (("--store", "oracle://x"), "setting store: a URL begins with one of sqlite"),
        (("--store", "chroma://127.0.0.1:1"), "store chroma holds vectors and needs one"),
        (("--store", "sqlite:/dev/null/x.db"), "sqlite: x.db cannot be opened, or not be written"),
        (("--collection", "a/b"), "setting collection: "),
    ],
)
def test_what_cannot_be_done_is_an_error_of_one_sentence(
    ingest: Run, words: tuple[str, ...], reason: str
) -> None:
    code, output = ingest(*words)
    assert code in (1, 2)
    assert output.startswith("rerankd: ")
    assert reason in output
    assert output.count("\n") == 1


def test_a_path_that_is_not_there_is_refused_before_anything_is_written(
    ingest: Run, tmp_path: Path
) -> None:
    (tmp_path / "notes").rename(tmp_path / "moved")
    assert ingest() == (2, "rerankd: notes: no such file or folder\n")
    assert not Path("rerankd.db").exists()


def test_a_missing_extra_is_named(ingest: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = "raise ModuleNotFoundError('none', name='selectolax.lexbor')"
    Path("extras/selectolax").mkdir(parents=True)
    Path("extras/selectolax/__init__.py").write_text(missing)
    monkeypatch.syspath_prepend("extras")  # which the process that reads files has too
    Path("notes/c.html").write_text("<p>Horses neigh.")
    assert ingest() == (1, "rerankd: selectolax.lexbor is missing: pip install 'rerankd[ingest]'\n")


def test_a_file_that_hangs_its_reader_is_reported_and_stops_no_other(ingest: Run) -> None:
    Path("notes/c.html").write_text("<div>" * 200_000)
    code, report = ingest("--max-file-seconds", "1")
    assert code == 1
    assert "files: 2 new" in report
    reason = "takes more than 1 s to be read (--max-file-seconds)"
    assert report.endswith(f"! notes/c.html: {reason}\n")


def test_limits_on_a_file_are_flags(ingest: Run) -> None:
    Path("notes/b.txt").write_text("Dogs bark. " * 100_000)
    assert "b.txt: has 1.0 MB, more than 1 (--max-file-mb)" in ingest("--max-file-mb", "1")[1]
    many = "b.txt: makes more than 9 chunks (--max-file-chunks)"
    Path("notes/b.txt").write_text("".join(f"Dog {number} barks. " for number in range(999)))
    assert many in ingest("--max-file-chunks", "9")[1]
