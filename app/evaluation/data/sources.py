"""The user's data, in either of the two formats."""

from __future__ import annotations

from pathlib import Path

from app.evaluation.data.beir import read_beir
from app.evaluation.data.judged import Judged
from app.evaluation.data.lists import read_lists
from app.evaluation.problems import BadInput


def read_judged(path: Path, split: str = "test") -> Judged:
    """Reads a BEIR folder or a file of JSON lines; only queries with a relevant document."""
    if not path.exists():
        raise BadInput(path, None, "does not exist")
    judged = read_beir(path, split) if path.is_dir() else read_lists(path)
    return judged.measurable()
