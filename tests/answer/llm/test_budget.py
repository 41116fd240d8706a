from __future__ import annotations

import logging
from datetime import date
from pathlib import Path

import pytest

from app.answer.llm.budget import Budget, BudgetSpent
from app.errors import LoadFailed

MONDAY, TUESDAY = date(2026, 11, 23), date(2026, 11, 24)


def test_what_is_held_and_what_is_spent_both_count(tmp_path: Path) -> None:
    budget = Budget(100, tmp_path / "budget.json", lambda: MONDAY)
    budget.hold(60)
    with pytest.raises(BudgetSpent):
        budget.hold(50)
    budget.settle(60, 20)
    assert budget.left == 80
    budget.hold(80)


def test_a_restart_forgets_nothing_and_a_new_day_everything(tmp_path: Path) -> None:
    file = tmp_path / "budget.json"
    first = Budget(100, file, lambda: MONDAY)
    first.hold(90)
    first.settle(90, 90)
    assert Budget(100, file, lambda: MONDAY).left == 10
    assert Budget(100, file, lambda: TUESDAY).left == 100
    assert list(tmp_path.iterdir()) == [file]


def test_a_call_over_midnight_counts_for_the_new_day(tmp_path: Path) -> None:
    day = [MONDAY]
    budget = Budget(100, tmp_path / "budget.json", lambda: day[0])
    budget.hold(50)
    day[0] = TUESDAY
    budget.settle(50, 30)
    assert budget.left == 70


@pytest.mark.parametrize("content", [b"junk", b"[]", b'{"day": "never", "tokens": 1}'])
def test_a_file_that_is_no_budget_is_refused_at_start(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "budget.json"
    file.write_bytes(content)
    with pytest.raises(LoadFailed, match="cannot be read as a budget"):
        Budget(100, file)


def test_a_file_that_cannot_be_written_is_told_and_the_budget_holds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    budget = Budget(100, tmp_path / "missing" / "budget.json", lambda: MONDAY)
    budget.hold(90)
    with caplog.at_level(logging.ERROR):
        budget.settle(90, 90)
    assert [one.getMessage() for one in caplog.records] == ["the budget could not be written"]
    with pytest.raises(BudgetSpent):
        budget.hold(20)


def test_without_a_limit_nothing_is_kept(tmp_path: Path) -> None:
    budget = Budget(0, tmp_path / "budget.json")
    budget.hold(10**9)
    budget.settle(10**9, 10**9)
    assert list(tmp_path.iterdir()) == []
