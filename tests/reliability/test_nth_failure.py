"""Each call that a request makes fails in turn; afterwards all is as before."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.llm.budget import Budget, BudgetHold
from app.rerank.batcher import Batcher
from app.rerank.scheduler import Job, Scheduler
from tests.reliability.nth_failure.journeys import JOURNEYS, Journey, Wrong
from tests.reliability.nth_failure.run import fail_each_call

SMALL = next(journey for journey in JOURNEYS if journey.name == "rank in small batches")
ANSWER = next(journey for journey in JOURNEYS if journey.name == "answer")
ALL_SEAMS = {
    *("tokenize", "engine", "store", "connect", "upstream status", "upstream body"),
    *("file open", "file write", "file fsync", "file replace"),
}


def test_after_each_failure_the_same_request_is_right_and_nothing_is_left(
    model: Path, tmp_path: Path
) -> None:
    seams: set[str] = set()
    for number, journey in enumerate(JOURNEYS):
        folder = tmp_path / str(number)
        folder.mkdir()
        run = asyncio.run(fail_each_call(journey, model, folder))
        assert run.failures.total() >= 2
        seams |= set(run.failures)
    assert seams == ALL_SEAMS


@pytest.mark.parametrize("kind", ["out of memory", "nan", "too few"])
def test_an_engine_may_fail_in_any_way(model: Path, tmp_path: Path, kind: str) -> None:
    run = asyncio.run(fail_each_call(SMALL, model, tmp_path, kind))
    assert run.failures["engine"] >= 3


def fails(journey: Journey, model: Path, folder: Path) -> str:
    with pytest.raises(Wrong) as wrong:
        asyncio.run(fail_each_call(journey, model, folder))
    return str(wrong.value)


def test_tokens_that_stay_in_the_queue_are_noticed(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = Scheduler.take

    def leaking(self: Scheduler[Job], budget: int, enough: float) -> object:
        self.tokens += 1
        return take(self, budget, enough)

    monkeypatch.setattr(Scheduler, "take", leaking)
    assert "'rerankd_queue_tokens'" in fails(SMALL, model, tmp_path)


def test_tokens_that_stay_held_in_the_budget_are_noticed(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def keep(self: Budget, hold: BudgetHold, spent: int) -> None:
        """Nothing is given back."""

    monkeypatch.setattr(Budget, "settle", keep)
    assert "'budget'" in fails(ANSWER, model, tmp_path)


def test_a_batch_that_is_not_halved_is_noticed(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def give_up(self: Batcher, pairs: list[object], **more: bool) -> list[float | None]:
        try:
            return list(await self._score(pairs))  # type: ignore[arg-type]
        except Exception:  # noqa: BLE001 (as the batcher does)
            return [7.0] * len(pairs)

    monkeypatch.setattr(Batcher, "_attempt", give_up)
    assert "engine: wrong" in fails(SMALL, model, tmp_path)
