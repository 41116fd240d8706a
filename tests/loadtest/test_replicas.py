"""Two replicas against one, with an engine that sleeps."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from loadtest import replicas, service
from loadtest.fleet import pinning, reality
from loadtest.fleet.service_times import ServiceTimes
from loadtest.fleet.sleeping_engine import environment
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


def test_two_real_replicas_answer_twice_as_much(tmp_path: Path) -> None:
    """With an engine that sleeps, so that it holds on busy cores too."""
    if not reality.is_installed():
        sentence = "not installed: haproxy (on Debian: apt-get install haproxy)"
        pytest.fail(sentence) if os.environ.get("CI") else pytest.skip(sentence)
    if len(pinning.cores()) < 2:
        pytest.skip("one core only")
    environ = environment(ServiceTimes(per_batch=0.03, per_token=0.0))
    replica = partial(service.rerankd, program=reality.PROGRAM, environ=environ)
    with ExitStack() as stack:
        contenders = replicas.start(stack, tmp_path, replica)
        for server, core in zip(contenders[BOTH].servers, pinning.cores(), strict=False):
            assert os.sched_getaffinity(server.process.pid) == {core}
        turns = replicas.measure(contenders, Plan(seconds=0.8, rounds=1))
    assert set(turns) == {"core 0 alone", "core 1 alone", BOTH}
    assert replicas.ratio_of(turns).median > 1.4
    assert all(0 < turn.client_cores < 1 for each in turns.values() for turn in each)
