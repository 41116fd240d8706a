"""The programs of docs/how-to/clients.md that use no library, run as their readers run them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.clients.calls import KEY, Bench

PAGE = (Path(__file__).parents[2] / "docs/how-to/clients.md").read_text()
SECTION = PAGE.split("## Without a library")[1].split("\n## ")[0]
PROGRAMS = dict(re.findall(r"```(\w+)\n(.*?)```", SECTION, re.DOTALL))
BODY = {
    "query": "how long may I keep the book",
    "documents": ["The library opens at nine.", "Books are lent for four weeks."],
}
SECONDS = 120


class Runtime(NamedTuple):
    command: tuple[str, ...]
    file: str


RUNTIMES = {
    "bash": Runtime(("bash",), "rerank.sh"),
    "javascript": Runtime(("node",), "rerank.mjs"),
    "python": Runtime((sys.executable,), "rerank.py"),
    "go": Runtime(("go", "run"), "main.go"),
    "java": Runtime(("java",), "Rerank.java"),
}
EVERY = pytest.mark.parametrize("language", RUNTIMES)


def run(language: str, folder: Path, url: str, key: str) -> subprocess.CompletedProcess[str]:
    command, name = RUNTIMES[language]
    needed = "curl" if language == "bash" else command[0]
    if shutil.which(needed) is None:
        pytest.skip(f"{needed} is not installed")
    program = PROGRAMS[language].replace("http://127.0.0.1:8000", url).replace("KEY", key)
    (folder / name).write_text(program)
    return subprocess.run(
        [*command, str(folder / name)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def ranks(output: str) -> list[tuple[int, float]]:
    """Some programs print the answer, others a line for each result."""
    if output.startswith("{"):
        results = json.loads(output)["results"]
        return [(result["index"], result["relevance_score"]) for result in results]
    pairs = [line.split() for line in output.splitlines()]
    return [(int(index), float(score)) for index, score in pairs]


def test_each_program_of_the_page_is_run() -> None:
    assert set(PROGRAMS) == set(RUNTIMES)


@EVERY
def test_a_program_prints_the_ranking(language: str, bench: Bench, tmp_path: Path) -> None:
    ended = run(language, tmp_path, bench.url, KEY)
    assert ended.returncode == 0, ended.stderr
    headers = {"Authorization": f"Bearer {KEY}"}
    answer = httpx.post(f"{bench.url}/rerank", json=BODY, headers=headers).json()
    results = answer["results"]
    printed = ranks(ended.stdout)
    assert [index for index, _ in printed] == [result["index"] for result in results] == [1, 0]
    scores = [result["relevance_score"] for result in results]
    assert [score for _, score in printed] == pytest.approx(scores)


@EVERY
def test_a_program_fails_with_the_reason_of_a_refusal(
    language: str, bench: Bench, tmp_path: Path
) -> None:
    ended = run(language, tmp_path, bench.url, "wrong")
    assert ended.returncode != 0
    assert "an API key is needed" in ended.stdout + ended.stderr
