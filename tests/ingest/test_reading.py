from __future__ import annotations

import os
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from pypdf import PageObject, PdfWriter
from pypdf.generic import NameObject

from app.ingest.document import FileDocument, Section, Unreadable
from app.ingest.reading import MAX_INDENT, collapsed, read_file
from tests.ingest.pdf import pdf

# With AES, and a password that nobody gave.
ENCRYPTED = (
    b"%%PDF-2.0\n1 0 obj <</Type /Catalog>> endobj\ntrailer <</Root 1 0 R /ID [<00> <00>] /Encrypt "
    b"<</Filter /Standard /V 5 /R 6 /Length 256 /P -4 /O <%s> /U <%s> /OE <%s> /UE <%s> /Perms <%s>"
    b" /CF <</StdCF <</CFM /AESV3 /Length 32>>>> /StmF /StdCF /StrF /StdCF>>>>\n"
    b"startxref\n0\n%%%%EOF" % tuple(b"01" * size for size in (48, 48, 32, 32, 16))
)


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def sections(path: Path) -> list[tuple[str, str]]:
    (document,) = read_file(path)
    return [(section.title, section.text) for section in document.sections]


def test_markdown_is_read_by_its_headings(tmp_path: Path) -> None:
    text = "before\n# Guide #\nintro\n## Linux\na\n## Mac\nb\n\n```sh\n# no heading\n```\n# End\nc"
    assert sections(written(tmp_path, "a.md", text)) == [
        ("", "before"),
        ("Guide", "intro"),
        ("Guide > Linux", "a"),
        ("Guide > Mac", "b\n\n```sh\n# no heading\n```"),
        ("End", "c"),
    ]


def test_plain_text_is_one_section_and_loses_its_byte_order_mark(tmp_path: Path) -> None:
    path = written(tmp_path, "a.txt", "\ufeff# not a heading\nZürich")
    assert sections(path) == [("", "# not a heading\nZürich")]


def test_html_is_read_by_its_headings_without_navigation_and_scripts(tmp_path: Path) -> None:
    page = """<html><head><title>The page</title><style>p {}</style></head><body>
    <nav>Home</nav><p>Some <b>bold</b>
    text</p><h1>Guide <i>one</i></h1><ul><li>x</li><li>y</li></ul>
    <h2>Code</h2><pre># no heading
  indented</pre><script>alert(1)</script></body></html>"""
    assert sections(written(tmp_path, "a.html", page)) == [
        ("The page", "Some bold text"),
        ("Guide one", "x\n\ny"),
        ("Guide one > Code", "# no heading\n  indented"),
    ]


@pytest.mark.parametrize(
    ("head", "charset"),
    [
        ("<meta charset='iso-8859-1'>", "windows-1252"),
        ('<META http-equiv="Content-Type" content="text/html; charset=ISO-8859-15">', "latin9"),
        ('<?xml version="1.0" encoding="windows-1252"?>', "windows-1252"),
        ("<meta charset=gb18030>", "gb18030"),
        ("<meta charset='iso-8859-1'>", "utf-8"),  # it says so, and is not
        ("\ufeff", "utf-8"),
    ],
)
def test_html_is_read_in_the_charset_that_it_declares_or_in_utf_8(
    tmp_path: Path, head: str, charset: str
) -> None:
    page = f"{head}<p>Größe 3 €".encode(charset)
    assert sections(written(tmp_path, "a.html", page)) == [("", "Größe 3 €")]


def test_html_that_nests_deeply_is_read(tmp_path: Path) -> None:
    page = "<div>" * 20_000 + "deep" + "</div>" * 20_000
    assert "deep" in sections(written(tmp_path, "a.htm", page))[0][1]


def test_a_pdf_is_read_by_its_pages(tmp_path: Path) -> None:
    path = pdf(tmp_path / "a.pdf", "The first page", "The second page")
    assert sections(path) == [("page 1", "The first page"), ("page 2", "The second page")]


@pytest.mark.parametrize("error", [IndexError("7"), RecursionError("too\ndeep"), zlib.error("-3")])
def test_any_error_of_the_pdf_library_is_reported_for_that_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(page: PageObject) -> str:
        raise error

    monkeypatch.setattr(PageObject, "extract_text", fail)
    path = pdf(tmp_path / "a.pdf", "text")
    reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    with pytest.raises(Unreadable, match=rf"a\.pdf: is not a PDF that can be read \({reason}\)"):
        read_file(path)


def test_half_a_character_and_a_nul_of_a_pdf_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PageObject, "extract_text", lambda _: "a\0b\ud835c\udc00 😀")
    assert sections(pdf(tmp_path / "a.pdf", "text")) == [("page 1", "abc 😀")]


def test_a_pdf_that_is_gone_is_reported_like_any_file(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=r"a\.pdf: No such file"):
        read_file(tmp_path / "a.pdf")


def test_rows_of_json_are_documents(tmp_path: Path) -> None:
    lines = (
        '{"text": "one", "title": "T", "id": "x", "metadata": {"year": 2020}}\n'
        '\n{"_id": 7, "text": "two"}\n{"text": "three"}\n'
    )
    assert read_file(written(tmp_path, "a.jsonl", lines)) == [
        FileDocument("x", [Section("T", "one")], {"year": 2020}),
        FileDocument("7", [Section("", "two")]),
        FileDocument("4", [Section("", "three")]),
    ]


def test_a_nul_is_left_out_of_rows_wherever_it_stands(tmp_path: Path) -> None:
    line = (
        r'{"text": "a\u0000b", "title": "\u0000T", "id": "x\u0000", '
        r'"metadata": {"y\u0000ear": "\u00002020", "n": 1}}'
    )
    assert read_file(written(tmp_path, "a.jsonl", line)) == [
        FileDocument("x", [Section("T", "ab")], {"year": "2020", "n": 1})
    ]
    assert sections(written(tmp_path, "a.txt", "a\0b")) == [("", "ab")]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.txt", b"\xff\xfe\x00", "is not UTF-8 text"),
        ("a.txt", b"  \n", "holds no text"),
        ("a.html", b"<script>x</script>", "holds no text"),
        ("a.html", b"<p>Gr\xf6\xdfe", "is not UTF-8 text, and names no charset that it is in"),
        ("a.html", b"<meta charset=ascii>\xf6", "is not UTF-8 text, and names no charset"),
        ("a.html", b"<meta charset=martian>\xf6", "is not UTF-8 text, and names no charset"),
        ("a.jsonl", b'{"text": "x", "id": "%s"}' % (b"a" * 1001), "id has more than 1000 char"),
        ("a.jsonl", b'{"text": "x", "metadata": {"a": 9223372036854775808}}', "fit into 64 bits"),
        (
            "a.jsonl",
            b'{"text": "x", "metadata": {"a": "%s"}}' % (b"a" * 20_000),
            "line 1: metadata has more than 16384 bytes",
        ),
        ("a.pdf", b"no pdf", "is not a PDF that can be read"),
        ("a.pdf", b"%PDF-1.4\n1 0 obj\n<<", "is not a PDF that can be read"),
        ("a.pdf", ENCRYPTED, "is not a PDF that can be read"),
        ("a.jsonl", b'{"text": "x"}\n{"text": ', "line 2: is not valid JSON"),
        ("a.jsonl", b"[1]", 'line 1: is not an object with a "text"'),
        ("a.jsonl", b'{"text": 1}', 'line 1: is not an object with a "text"'),
        ("a.jsonl", b'{"text": "x", "title": 1}', "line 1: title must be a text"),
        ("a.jsonl", b'{"text": "x", "metadata": [1]}', "line 1: metadata must be an object"),
        (
            "a.jsonl",
            b'{"text": "x", "metadata": {"year": NaN}}',
            "metadata.year must be a finite number",
        ),
        ("a.jsonl", b'{"text": "x", "metadata": {"a": []}}', r"line 1: metadata\.a must be a"),
        ("a.jsonl", b'{"id": 1, "text": "x"}\n{"id": "1", "text": "y"}', "line 2: id 1 occurs"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    path = written(tmp_path, name, content)
    with pytest.raises(Unreadable, match=rf"{name}.*{reason}"):
        read_file(path)


def test_a_file_of_another_kind_is_refused_when_it_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "a.docx", "x")
    with pytest.raises(Unreadable, match=r"a\.docx: is none of \.txt, \.md"):
        read_file(path)


def test_long_runs_of_space_are_cut_and_code_stays_as_it_is(tmp_path: Path) -> None:
    code = "```\ndef f():\n    if x:\n        return  1\n\n```"
    assert sections(written(tmp_path, "a.md", code)) == [("", code)]
    text = f"a{' ' * 1000}b\n{' ' * 1000}c\n \n\t\n\n\nd"
    gap = " " * MAX_INDENT
    assert sections(written(tmp_path, "a.txt", text)) == [("", f"a{gap}b\n{gap}c\n\nd")]


@pytest.mark.parametrize("shape", ["{}x", "\n{}x", "x\n\n{}x", "\n{}\n{}x"])
@pytest.mark.parametrize("space", [" ", "\t", " \n", "\r", "\u3000"])
def test_cutting_space_takes_time_in_step_with_its_length(shape: str, space: str) -> None:
    started = time.process_time()
    collapsed(shape.replace("{}", space * 200_000) * 2)
    assert time.process_time() - started < 2  # in the square of the length it would take minutes


def test_a_title_is_cut_because_every_chunk_below_it_repeats_it(tmp_path: Path) -> None:
    text = "# " + "a" * 10_000 + "\n## b\nc"
    assert sections(written(tmp_path, "a.md", text)) == [(f"{'a' * 200} > b", "c")]
    row = '{"text": "c", "title": "%s"}' % ("a" * 10_000)
    assert sections(written(tmp_path, "a.jsonl", row)) == [("a" * 1_000, "c")]


def test_a_file_of_more_than_the_limit_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    with path.open("wb") as file:
        file.truncate(2**20 + 1)
    with pytest.raises(Unreadable, match=r"a\.md: has 1\.0 MB, more than 1 \(--max-file-mb\)"):
        read_file(path, 1)


def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.md")
    with pytest.raises(Unreadable, match=r"a\.md: is not a regular file"):
        read_file(tmp_path / "a.md")


def test_a_pdf_that_claims_a_page_many_times_is_refused(tmp_path: Path) -> None:
    path = pdf(tmp_path / "a.pdf", "text")
    writer = PdfWriter(path)
    pages: Any = writer.root_object["/Pages"].get_object()
    kids = pages["/Kids"]
    pages[NameObject("/Kids")] = type(kids)(list(kids) * 10_001)
    writer.write(path)
    with pytest.raises(Unreadable, match=r"a\.pdf: has 10001 pages, more than 10000: split it"):
        read_file(path)
