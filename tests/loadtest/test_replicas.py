"""Two replicas against one: with a tiny model, no figure of worth."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from loadtest import replicas
from loadtest.fleet import pinning, reality
from loadtest.replicas import BOTH, Plan, Turn, Turns

TURNS: Turns = {
    "core 0 alone": [Turn(100.0, 1.0, 0.01), Turn(50.0, 1.0, 0.01)],
    "core 1 alone": [Turn(110.0, 1.0, 0.01), Turn(50.0, 1.0, 0.01)],
    BOTH: [Turn(210.0, 1.0, 0.03), Turn(90.0, 0.9, 0.03)],
}


def test_the_ratio_is_to_the_mean_of_each_alone_round_by_round() -> None:
    ratio = replicas.ratio_of(TURNS)
    assert ratio == pytest.approx((1.9, 1.8, 2.0))
    table = replicas.tabulate(TURNS)
    assert table.rows[-1][:2] == ["both to one (aim 1.9)", "1.90 (1.80 to 2.00)"]
    assert len(replicas.draw(TURNS).axes) == 1


def test_a_pinned_thread_returns_to_all_its_cores() -> None:
    before = pinning.cores()
    with pinning.pinned(1) as core:
        assert pinning.cores() == [core] == [before[1 % len(before)]]
    assert pinning.cores() == before


def test_two_real_replicas_share_the_load(model: Path, tmp_path: Path) -> None:
    if not reality.is_installed():
        sentence = "not installed: haproxy (on Debian: apt-get install haproxy)"
        pytest.fail(sentence) if os.environ.get("CI") else pytest.skip(sentence)
    if len(pinning.cores()) < 2:
        pytest.skip("one core only")
    with ExitStack() as stack:
        contenders = replicas.start(stack, tmp_path, model=model, engine="torch")
        for server, core in zip(contenders[BOTH].servers, pinning.cores(), strict=False):
            assert os.sched_getaffinity(server.process.pid) == {core}
        turns = replicas.measure(contenders, Plan(seconds=0.4, rounds=1))
        used = [server.cpu_seconds() for server in contenders[BOTH].servers]
    assert set(turns) == {"core 0 alone", "core 1 alone", BOTH}
    assert all(turn.pairs_per_second > 0 for each in turns.values() for turn in each)
    assert min(used) > 0
