"""The simulation in its short form, and proof that it is deterministic and can fail."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from app.rerank.admission import Admission
from app.rerank.cache import Cache, TextScore
from tests.reliability.simulate.__main__ import main
from tests.reliability.simulate.hints import check_hints
from tests.reliability.simulate.loop import Violation
from tests.reliability.simulate.run import requests_of, simulate
from tests.reliability.simulate.shrink import shrink

SEEDS = range(1, 21)
PAIRS = 4_000
SEED_WITH_CACHE = 1
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("first", SEEDS[::5])
def test_every_request_ends_and_every_score_is_right(first: int) -> None:
    for seed in range(first, first + 5):
        run = simulate(seed, PAIRS)
        assert run.requests == len(requests_of(seed, PAIRS))
        assert run.pairs >= PAIRS


def test_whoever_comes_back_when_told_to_is_admitted() -> None:
    assert sum(check_hints(seed) for seed in range(40)) > 30


def test_a_seed_gives_the_same_run_in_every_process() -> None:
    code = (
        "from tests.reliability.simulate.run import simulate\n"
        "print(*(simulate(seed, 1500).trace for seed in (3, 4)))"
    )
    traces = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": salt, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            check=True,
            capture_output=True,
        ).stdout
        for salt in ("1", "2")
    }
    assert len(traces) == 1
    assert len({simulate(seed, 1500).trace for seed in (3, 3, 4)}) == 2


def test_a_score_under_another_key_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    get = Cache.get

    def forgetful(cache: Cache, key: bytes) -> TextScore | None:
        score = get(cache, key)
        return score and replace(score, logit=score.logit + 1)

    monkeypatch.setattr(Cache, "get", forgetful)
    with pytest.raises(Violation, match="wrong score"):
        simulate(SEED_WITH_CACHE, PAIRS)


def test_a_failure_prints_the_command_that_repeats_it_with_fewer_requests(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    due = Admission.due

    def backwards(self: Admission, now: float, *rest: object) -> float:
        return -due(self, now, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Admission, "due", backwards)
    assert main(["--seed", "1", "--count", "20000", "--pairs", "800"]) == 1
    *_, kept, command = capsys.readouterr().out.splitlines()
    assert "requests still fail" in kept
    assert len(command.partition("--only")[2].split(",")) < 30
    with pytest.raises(Violation):
        main(shlex.split(command)[3:])


def test_shrinking_keeps_what_fails_and_little_else() -> None:
    def fails(numbers: Sequence[int]) -> bool:
        return {3, 77} <= set(numbers)

    assert shrink(range(100), fails) == [3, 77]
    assert {3, 77} <= set(shrink(range(100), fails, tries=5))
