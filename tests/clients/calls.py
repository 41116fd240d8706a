"""Runs a script of client calls in its own environment, each script once, and reads what it saw."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from app.rerank.query import probability
from tests.clients.environments import node_folder, python_of
from tests.clients.full import KEY

QUERY = "how long may I keep the book?"
DOCUMENTS = [
    "The library opens at nine.",
    "Books are lent for four weeks.",
    "Which river runs through ten lands?",
]
SCRIPTS = Path(__file__).parent / "scripts"
SECONDS = 120

__all__ = ["DOCUMENTS", "KEY", "QUERY", "Bench"]


class Bench:
    def __init__(self, url: str, full_url: str, answer: dict[str, Any]) -> None:
        self.url = url
        self.model: str = answer["model"]
        self.tokens: int = answer["usage"]["total_tokens"]
        self.logits: list[tuple[int, float]] = [
            (result["index"], result["relevance_score"]) for result in answer["results"]
        ]
        self.probabilities = [(index, probability(logit)) for index, logit in self.logits]
        self._task = json.dumps(
            {
                "service": url,
                "full": full_url,
                "key": KEY,
                "model": self.model,
                "query": QUERY,
                "documents": DOCUMENTS,
            }
        )
        self._seen: dict[str, dict[str, Any]] = {}

    def saw(self, environment: str, client: str) -> dict[str, Any]:
        if environment not in self._seen:
            self._seen[environment] = self._run(environment)
        seen: dict[str, Any] = self._seen[environment][client]
        assert "failed" not in seen, seen["failed"]
        return seen

    def _run(self, environment: str) -> dict[str, Any]:
        command = command_for(environment)
        ended = subprocess.run(
            [*command, self._task], capture_output=True, text=True, timeout=SECONDS, check=False
        )
        results = [line for line in ended.stdout.splitlines() if line.startswith("RESULT ")]
        assert results, ended.stderr[-4000:]
        seen: dict[str, Any] = json.loads(results[-1].removeprefix("RESULT "))
        return seen


def command_for(environment: str) -> list[str]:
    if environment == "js":
        if shutil.which("npm") is None:
            pytest.skip("node and npm are not installed")
        script = node_folder() / "probe.mjs"
        script.write_bytes((SCRIPTS / "probe.mjs").read_bytes())
        return ["node", str(script)]
    return [str(python_of(environment)), "-W", "ignore", str(SCRIPTS / f"{environment}.py")]
