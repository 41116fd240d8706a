"""Files of every kind, changed anyhow, to the reader of `rerankd ingest`.

Each is read, or is named with a reason; its reader never ends or takes seconds because of it.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from app.ingest.document import Unreadable
from app.ingest.reader_process import FileLimits, ReaderProcess
from tests.ingest.pdf import pdf
from tests.reliability.fuzz.mutating import mutated

LIMITS = FileLimits(max_mb=1, seconds=5)
READERS_FAULT = re.compile("its reader|takes more than|memory to be read")
PROGRESS = 5_000
PIECES = (
    b"<div>" * 50,
    b"</div></p>",
    b"<!--",
    b"<script>",
    b"<meta charset=utf-7>",
    b"&#x110000;",
    b"<![CDATA[",
    b"# " * 50,
    b"```\n",
    b"| --- |\n" * 20,
    b" " * 500,
    b"\n" * 200,
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"[" * 2000,
    b'{"text": "x", "id": 1e999}\n',
    b'{"text": "x", "metadata": {"a": [1]}}\n',
    b'"\\ud800"',
    b"9" * 5000,
    b"<< /Type /Page /Parent 1 0 R >>",
    b"1 0 obj\n<< /Kids [1 0 R] /Type /Pages /Count 99999999 >>\nendobj\n",
    b"/Filter [/FlateDecode /FlateDecode /ASCII85Decode]",
    b"/Length 999999999",
    b"/Prev 0",
    b"stream\nendstream",
    b"startxref\n0\n%%EOF",
)


HTML = (
    "<html><head><meta charset='utf-8'><title>Rules</title></head><body><h1>Loans</h1>"
    "<p>Books are lent <b>for four</b> weeks.</p><ul><li>One</li><li>Two</li></ul>"
    "<table><tr><td>a</td><td>b</td></tr></table><pre>code &amp; more</pre></body></html>"
)
MARKDOWN = (
    "# Loans\n\nBooks are lent.\n\n## Fees\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\ncode\n```\n"
)
ROWS = [
    {"text": "Books are lent.", "id": "a", "title": "Loans", "metadata": {"year": 2026}},
    {"text": "本は四週間借りられます。", "_id": 7},
]
PAGES = ("Books are lent for four weeks.", "The library opens at nine.")
SAMPLES: Mapping[str, bytes] = {
    ".txt": "Books are lent for four weeks.\n\n本は四週間。\n".encode(),
    ".md": MARKDOWN.encode(),
    ".html": HTML.encode(),
    ".jsonl": "".join(json.dumps(row) + "\n" for row in ROWS).encode(),
}


@dataclass
class Outcome:
    seed: int
    ends: Counter[str] = field(default_factory=Counter)
    longest: float = 0.0
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        ends = ", ".join(f"{end}: {count}" for end, count in sorted(self.ends.items()))
        return (
            f"fuzz files: seed {self.seed}, {self.ends.total()} files in {self.seconds:.0f} s, "
            f"{ends}; the longest took {self.longest * 1000:.0f} ms; {len(self.problems)} problems"
        )


def fuzz_files(
    folder: Path, seed: int, count: int, show: Callable[[str], None] = lambda line: None
) -> Outcome:
    chance, outcome, started = random.Random(seed), Outcome(seed), time.monotonic()
    samples = {**SAMPLES, ".pdf": pdf(folder / "sample.pdf", *PAGES).read_bytes()}
    with ReaderProcess(LIMITS) as reader:
        for sample in samples.items():
            read(reader, folder, *sample, outcome)
        for number in range(count):
            suffix = chance.choice(tuple(samples))
            read(reader, folder, suffix, mutated(samples[suffix], chance, PIECES), outcome)
            if number % PROGRESS == PROGRESS - 1:
                show(f"{number + 1} files, {len(outcome.problems)} problems")
    outcome.seconds = time.monotonic() - started
    return outcome


def read(
    reader: ReaderProcess, folder: Path, suffix: str, content: bytes, outcome: Outcome
) -> None:
    path = folder / f"fuzzed{suffix}"
    path.write_bytes(content)
    started = time.monotonic()
    try:
        end = "read" if reader.read(path) else "empty"
    except Unreadable as error:
        end = "unreadable"
        if problem := problem_of(error):
            outcome.problems.append(f"{suffix}: {problem}; content {content[:2000]!r}")
    except Exception as error:  # noqa: BLE001 (whatever it is, it is reported)
        end = type(error).__name__
        outcome.problems.append(f"{suffix}: {end}: {error}; content {content[:2000]!r}")
    outcome.ends[end] += 1
    outcome.longest = max(outcome.longest, time.monotonic() - started)


def problem_of(error: Unreadable) -> str:
    """A reason that lies in the file is an answer; one that lies in its reader is not."""
    return str(error) if READERS_FAULT.search(str(error)) else ""
