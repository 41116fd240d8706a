"""The readers of files: each is listed, documented, and named to whoever brings another file."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

import pytest

from app.commands import ingest
from app.ingest.document import FileDocument, Section, Unreadable
from app.ingest.readers import BY_SUFFIX, READERS
from app.ingest.readers.file_reader import FileReader
from app.ingest.reading import read_file

FOLDER = Path(import_module("app.ingest.readers").__file__ or "").parent
DOCS = Path(__file__).parents[2] / "docs"


def test_the_constant_of_each_file_is_listed() -> None:
    files = [path.stem for path in FOLDER.glob("*.py") if "READER = " in path.read_text()]
    assert {import_module(f"app.ingest.readers.{name}").READER for name in files} == set(READERS)


def test_a_suffix_has_one_reader() -> None:
    assert len(BY_SUFFIX) == sum(len(reader.suffixes) for reader in READERS)


def test_an_unknown_suffix_is_an_error_that_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(Unreadable) as caught:
        read_file(tmp_path / "a.docx")
    assert str(caught.value).endswith(
        "a.docx: is none of .txt, .md, .markdown, .html, .htm, .pdf, .jsonl"
    )


def test_a_reader_that_is_added_reads_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path) -> list[FileDocument]:
        return [FileDocument("", [Section("shouted", path.read_text().upper())])]

    monkeypatch.setitem(BY_SUFFIX, ".loud", FileReader((".loud",), read))
    (tmp_path / "a.LOUD").write_text("text")
    (document,) = read_file(tmp_path / "a.LOUD")
    assert document.sections == [("shouted", "TEXT")]


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.suffixes[0])
def test_each_reader_is_named_by_the_documentation_and_the_command(reader: FileReader) -> None:
    parser = argparse.ArgumentParser()
    ingest.configure(parser)
    (page,) = DOCS.rglob("stores.md")
    assert f"`{reader.suffixes[0]}`" in page.read_text()
    assert reader.suffixes[0] in parser.format_help()
