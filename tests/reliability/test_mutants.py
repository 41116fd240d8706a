"""The list of mutants does not rot, and some of them are killed in each run of the tests."""

from __future__ import annotations

import pytest

from tests.reliability.mutants.catalog import MUTANTS
from tests.reliability.mutants.mutant import Mutant, failing_without_mutant, try_mutant

IN_EVERY_RUN = (
    "a score is delivered to the neighbour's slot",
    "a cancelled job stays in the queue",
    "a hint leaves out what runs",
)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_text_that_a_mutant_replaces_occurs_once(mutant: Mutant) -> None:
    assert mutant.occurrences == 1
    assert mutant.old != mutant.new


def test_names_are_unique() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("name", IN_EVERY_RUN)
def test_a_mutant_is_killed(name: str) -> None:
    (mutant,) = (mutant for mutant in MUTANTS if mutant.name == name)
    assert try_mutant(mutant)[0] == "killed"


def test_a_check_that_always_fails_is_noticed() -> None:
    checks = [("-c", "import app"), ("-c", "raise SystemExit(1)")]
    assert failing_without_mutant(checks) == [checks[1]]


def test_a_check_sees_the_mutant_and_not_the_tree() -> None:
    shown = ("-c", "from app.rerank.scheduler import MAX_WIDENING; assert MAX_WIDENING == 1.25")
    mutant = Mutant("wide", "rerank/scheduler.py", "MAX_WIDENING = 1.25", "MAX_WIDENING = 9", shown)
    assert failing_without_mutant([shown]) == []
    assert try_mutant(mutant)[0] == "killed"
