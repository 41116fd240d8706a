"""A file of rows, a few of which cannot be ranked, and what must become of it."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from loadtest.workload import WORDS

DOCUMENTS = 32
QUERY_WORDS = 2
MAX_WORDS = 4
BROKEN_EVERY = 97
LAST_BITS = 1e-6


def write_rows(path: Path, pairs: int, seed: int) -> None:
    chance = random.Random(seed)
    with path.open("w") as stream:
        for number in range(-(-pairs // DOCUMENTS)):
            stream.write(f"{line(number, chance)}\n")


def line(number: int, chance: random.Random) -> str:
    texts = [" ".join(chance.choices(WORDS, k=chance.randint(1, MAX_WORDS))) for _ in range(32)]
    query = " ".join(chance.choices(WORDS, k=QUERY_WORDS))
    row = {"id": f"q{number}", "query": query, "documents": texts}
    kind = number % BROKEN_EVERY
    if kind == 1:
        return "{" + f'"id": "q{number}", torn'
    if kind == 2:
        return json.dumps(row | {"documents": []})
    if kind == 3:  # the id of another row
        return json.dumps(row | {"id": f"q{number - 3}"})
    return json.dumps(row)


def every_line_once(source: Path, out: Path) -> list[str]:
    """What is wrong: a line of the input without a result and a reason, or with more than one."""
    lines = source.read_text().splitlines()
    ids = Counter(str(row["id"]) for row in rows_of(sorted(out.glob("part-*.jsonl"))))
    failed = Counter(int(row["line"]) for row in rows_of([out / "failed.jsonl"]))
    problems = []
    for number, text in enumerate(lines, 1):
        kind = (number - 1) % BROKEN_EVERY
        results, reasons = ids[f"q{number - 1}"], failed[number]
        wanted = (0, 1) if kind in (1, 2, 3) else (1, 0)
        if (results, reasons) != wanted:
            problems.append(f"line {number}: {results} results, {reasons} reasons: {text[:60]}")
    extra = sum(ids.values()) + sum(failed.values()) - len(lines)
    return problems + ([f"{extra} rows more than the input has"] if extra else [])


def rows_of(files: list[Path]) -> Iterator[dict[str, Any]]:
    for file in files:
        with file.open() as stream:
            for text in stream:
                yield json.loads(text)


def differences(out: Path, other: Path) -> list[str]:
    """Names of files that are not the same; scores may differ in their last bits.

    With ONNX Runtime they do not. The products of torch differ from process to process.
    """
    names = {path.name for folder in (out, other) for path in folder.iterdir()}
    return [name for name in sorted(names) if not same(out / name, other / name)]


def same(file: Path, other: Path) -> bool:
    if not (file.exists() and other.exists()):
        return False
    if file.read_bytes() == other.read_bytes():
        return True
    if not file.name.startswith("part-"):
        return False
    pairs = zip_longest(rows_of([file]), rows_of([other]))
    return all(row and other_row and same_row(row, other_row) for row, other_row in pairs)


def same_row(row: dict[str, Any], other: dict[str, Any]) -> bool:
    scores, others = scores_of(row), scores_of(other)
    return (
        row.get("id") == other.get("id")
        and row.get("usage") == other.get("usage")
        and scores.keys() == others.keys()
        and all(abs(scores[index] - others[index]) <= LAST_BITS for index in scores)
    )


def scores_of(row: dict[str, Any]) -> dict[int, float]:
    return {result["index"]: result["relevance_score"] for result in row.get("results", [])}
