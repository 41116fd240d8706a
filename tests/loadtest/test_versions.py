"""The comparison of two checkouts, with this one on both sides."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from loadtest import service, versions
from loadtest.peers import Plan
from loadtest.turns import Turn

ROOT = Path(__file__).parents[2]


def test_the_ratio_is_of_this_checkout_to_the_other() -> None:
    turns = {
        "light": {
            versions.THIS: [Turn(30.0, 50.0), Turn(20.0, 50.0)],
            "../before": [Turn(10.0, 100.0), Turn(10.0, 100.0)],
        }
    }
    assert versions.tabulate(turns).rows == [["light", "2.50 (2.00 to 3.00)", "0.50"]]
    assert versions.draw(turns).axes


def test_both_checkouts_serve_the_same_load_in_turn(model: Path) -> None:
    plan = Plan(callers=2, documents=3, seconds=0.2, rounds=2)
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(service.rerankd(folder=ROOT, model=model))
            for name in ("this", "other")
        }
        for server in servers.values():
            server.wait_until_ready()
            server.pause()
        turns = versions.measure(servers, {"light": plan})
    assert [len(each) for each in turns["light"].values()] == [2, 2]
    assert all(turn.pairs_per_second > 0 for each in turns["light"].values() for turn in each)


def test_a_folder_without_the_service_is_told_apart(tmp_path: Path) -> None:
    """Python would find the installed package there, and compare it with itself."""
    with pytest.raises(SystemExit, match=r"holds no app/cli\.py"):
        versions.checkout(tmp_path)
