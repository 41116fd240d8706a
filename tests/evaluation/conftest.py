from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from app.evaluation.data.judged import Judged
from app.evaluation.data.sources import read_judged
from tests import models

HANDBOOK = Path(__file__).parent / "data" / "handbook"

WriteLines = Callable[..., Path]


@pytest.fixture(autouse=True)
def small_models_are_not_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANKD_ENGINE", "torch")


@pytest.fixture
def handbook() -> Judged:
    return read_judged(HANDBOOK)


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.bert(tmp_path_factory.mktemp("small") / "small-bert")


@pytest.fixture
def write_lines(tmp_path: Path) -> WriteLines:
    """JSON lines, where a text stands for itself."""

    def write(name: str, *lines: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shown = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        path.write_text("".join(f"{line}\n" for line in shown))
        return path

    return write


class WordScorer:
    """Scores a text by how many of the query's letters it shares; no model needed."""

    name = "letters"

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []

    async def score(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        self.calls.append((query, len(texts)))
        return [len(set(query) & set(text)) / len(set(text)) for text in texts]

    def with_prefilter(self, most: int) -> WordScorer:
        raise NotImplementedError(f"letters have no prefilter of {most}")


@pytest.fixture
def scorer() -> WordScorer:
    return WordScorer()
