from __future__ import annotations

import asyncio
import logging
from datetime import date
from pathlib import Path

import pytest

from app.errors import LoadFailed
from app.llm import ledger
from app.llm.budget import Budget, BudgetSpent
from tests.logged import events_logged, fields_logged
from tests.virtual_time import in_virtual_time

pytestmark = pytest.mark.anyio

MONDAY, TUESDAY = date(2026, 11, 23), date(2026, 11, 24)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "budget.json"


async def spend(budget: Budget, held: int, spent: int) -> None:
    await budget.settle(await budget.hold(held), spent)


def put(file: Path, content: bytes | None) -> None:
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)


async def test_what_is_held_and_what_is_spent_both_count(file: Path) -> None:
    budget = Budget(100, file, lambda: MONDAY)
    hold = await budget.hold(60)
    with pytest.raises(BudgetSpent):
        await budget.hold(50)
    await budget.settle(hold, 20)
    assert budget.left == 80
    await budget.hold(80)


async def test_a_restart_forgets_nothing_and_a_new_day_everything(file: Path) -> None:
    await spend(Budget(100, file, lambda: MONDAY), 90, 90)
    assert Budget(100, file, lambda: MONDAY).left == 10
    assert Budget(100, file, lambda: TUESDAY).left == 100
    assert {path.name for path in file.parent.iterdir()} == {"budget.json", "budget.json.lock"}


async def test_a_process_that_is_killed_in_a_call_has_spent_what_it_held(file: Path) -> None:
    await Budget(100, file, lambda: MONDAY).hold(60)
    assert Budget(100, file, lambda: MONDAY).left == 40


async def test_a_call_over_midnight_counts_for_the_new_day(file: Path) -> None:
    day = [MONDAY]
    budget = Budget(100, file, lambda: day[0])
    hold = await budget.hold(50)
    day[0] = TUESDAY
    await budget.settle(hold, 30)
    assert budget.left == 70


async def test_a_call_over_midnight_returns_nothing_of_the_new_day(file: Path) -> None:
    day = [MONDAY]
    ours, theirs = Budget(100, file, lambda: day[0]), Budget(100, file, lambda: day[0])
    hold = await ours.hold(50)
    day[0] = TUESDAY
    await spend(theirs, 40, 40)
    await ours.settle(hold, 30)
    assert Budget(100, file, lambda: TUESDAY).left == 30


async def test_a_clock_that_is_set_back_returns_nothing(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    day = [TUESDAY]
    budget = Budget(100, file, lambda: day[0])
    await spend(budget, 90, 90)
    day[0] = MONDAY
    assert budget.left == 10
    with pytest.raises(BudgetSpent):
        await budget.hold(20)
    again = Budget(100, file, lambda: day[0])
    assert again.left == 10
    (fields,) = fields_logged(caplog, "clock_behind_budget_file")
    assert fields["day"] == TUESDAY.isoformat()
    await spend(again, 10, 10)
    day[0] = TUESDAY
    assert Budget(100, file, lambda: day[0]).left == 0


async def test_two_that_share_a_file_keep_the_limit_together(file: Path) -> None:
    budgets = [Budget(1000, file, lambda: MONDAY) for _ in range(2)]

    async def hold_all(budget: Budget) -> int:
        for held in range(1000):
            try:
                await budget.hold(10)
            except BudgetSpent:
                return 10 * held
        raise AssertionError("never spent")

    assert sum(await asyncio.gather(*map(hold_all, budgets))) == 1000


async def test_a_caller_who_goes_away_while_it_holds_tokens_returns_them(file: Path) -> None:
    budget = Budget(100, file, lambda: MONDAY)
    with ledger.locked(file):
        holding = asyncio.create_task(budget.hold(60))
        await asyncio.sleep(0)
        holding.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await holding
    assert budget.left == 100
    assert Budget(100, file, lambda: MONDAY).left == 100


async def test_what_was_spent_is_counted_though_the_caller_goes_away(file: Path) -> None:
    budget = Budget(100, file, lambda: MONDAY)
    hold = await budget.hold(60)
    settling = asyncio.create_task(budget.settle(hold, 20))
    await asyncio.sleep(0)
    settling.cancel()
    await asyncio.wait([settling])
    await budget.hold(80)


@pytest.mark.parametrize("content", [b"", b"\0" * 34, b'{"day":"2026-11-2', b'{"da'])
async def test_a_file_that_lost_its_content_counts_as_a_spent_day_and_the_service_starts(
    file: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    put(file, content)
    day = [MONDAY]
    budget = Budget(100, file, lambda: day[0])
    assert events_logged(caplog) == ["budget_file_torn"]
    (fields,) = fields_logged(caplog, "budget_file_torn")
    assert fields["hint"].startswith("today's tokens count as spent")
    with pytest.raises(BudgetSpent):
        await budget.hold(1)
    assert Budget(100, file, lambda: MONDAY).left == 0
    day[0] = TUESDAY
    await spend(budget, 60, 30)
    assert Budget(100, file, lambda: TUESDAY).left == 70


@pytest.mark.parametrize(
    "content",
    [
        b"junk",
        b"[]",
        b"{}",
        b'{"day": "never", "tokens": 1}',
        b'{"day":"2026-11-23","tokens":-5}',
        b'{"day":"2026-11-23","tokens":"x"}',
        b'{"day":"2026-11-23","tokens":true}',
        b'{"day":7,"tokens":1}',
    ],
)
def test_a_file_that_is_no_budget_is_refused_at_start_and_left_alone(
    file: Path, content: bytes
) -> None:
    file.write_bytes(content)
    with pytest.raises(LoadFailed, match="cannot be read as a budget"):
        Budget(100, file)
    assert file.read_bytes() == content


async def test_a_file_that_cannot_be_written_is_logged_once_and_the_budget_holds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "missing"
    budget = Budget(100, folder / "budget.json", lambda: MONDAY)
    with caplog.at_level(logging.ERROR):
        await spend(budget, 90, 50)
        await spend(budget, 50, 40)
    assert events_logged(caplog) == ["budget_file_not_written"]
    with pytest.raises(BudgetSpent):
        await budget.hold(20)
    folder.mkdir()
    await spend(budget, 10, 5)
    assert Budget(100, folder / "budget.json", lambda: MONDAY).left == 5


async def test_what_could_not_be_written_is_added_to_what_others_wrote(
    tmp_path: Path, file: Path
) -> None:
    ours, theirs = Budget(100, file, lambda: MONDAY), Budget(100, file, lambda: MONDAY)
    await spend(ours, 10, 10)
    aside = file.with_name("budget.json.new")
    aside.mkdir()
    await spend(ours, 20, 15)
    aside.rmdir()
    await spend(theirs, 30, 30)
    await spend(ours, 5, 5)
    assert Budget(100, file, lambda: MONDAY).left == 100 - 10 - 15 - 30 - 5


@pytest.mark.parametrize("content", [None, b"", b"another program's"])
async def test_a_file_that_is_lost_at_runtime_returns_no_tokens(
    file: Path, content: bytes | None
) -> None:
    budget = Budget(100, file, lambda: MONDAY)
    await spend(budget, 90, 90)
    put(file, content)
    with pytest.raises(BudgetSpent):
        await budget.hold(20)
    await spend(budget, 5, 5)
    assert budget.left == 5


async def test_what_another_program_put_in_its_place_is_left_alone(file: Path) -> None:
    budget = Budget(100, file, lambda: MONDAY)
    await spend(budget, 90, 90)
    put(file, b"another program's")
    await spend(budget, 5, 5)
    with pytest.raises(LoadFailed):
        Budget(100, file, lambda: MONDAY)


async def test_a_process_that_keeps_the_lock_does_not_stop_the_answers(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ledger, "LOCK_SECONDS", 0.05)
    budget = Budget(100, file, lambda: MONDAY)
    with ledger.locked(file):
        await spend(budget, 90, 90)
    assert budget.left == 10
    assert events_logged(caplog) == ["budget_file_not_written"]


async def test_without_a_limit_nothing_is_kept(file: Path) -> None:
    await spend(Budget(0, file), 10**9, 10**9)
    assert list(file.parent.iterdir()) == []


@in_virtual_time
async def test_without_a_file_it_is_kept_in_memory() -> None:
    budget = Budget(100, None, lambda: MONDAY)
    await spend(budget, 60, 30)
    assert budget.left == 70
    with pytest.raises(BudgetSpent):
        await budget.hold(71)
