"""The comparison once with real processes: a few seconds, no figure of worth."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest import bulk, service


def test_the_command_and_the_service_take_turns() -> None:
    with service.rerankd() as server:
        server.wait_until_ready()
        plan = bulk.Plan(rounds=1, seconds=1.0, pairs=64)
        results = bulk.measure(server, plan)
        candidates = bulk.measure(server, bulk.with_candidates(plan, 128, share=2))
    assert candidates["ratio"].median > 0
    assert all(rates[0] > 0 for rates in results["pairs_per_second"].values())
    assert results["ratio_by_core"].median > 0
    assert "batch to service" in str(bulk.tabulate(results))
    assert bulk.draw(results).axes


def test_a_command_that_fails_gives_no_figure(tmp_path: Path) -> None:
    plan = bulk.Plan(rounds=1, seconds=1.0, pairs=32)
    with pytest.raises(SystemExit, match="ended with 2"):
        bulk.rank_file(tmp_path, 0, plan, ["--threads", "many"])


def test_a_quick_run_with_candidates_has_the_same_share_of_everything() -> None:
    whole = bulk.with_candidates(bulk.FULL, 8_192)
    quick = bulk.with_candidates(bulk.FULL, 8_192, bulk.QUICK_SHARE)
    for name in ("pairs", "corpus", "state_cache_mb"):
        assert getattr(quick, name) * bulk.QUICK_SHARE == getattr(whole, name) > 0
