"""The soak in its short form, and proof that growth is noticed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.reliability.soak.__main__ import soak
from tests.reliability.soak.trend import MEBIBYTE, Latency, Sample, trend_of

HOURS = 8


def samples(growth: float = 0.0, leak: float = 0.0) -> list[Sample]:
    """Eight hours of samples; `growth` in MiB and `leak` in descriptors an hour."""
    chance = random.Random(1)
    return [
        Sample(
            minute * 60.0,
            round(MEBIBYTE * (400 + growth * minute / 60 + chance.gauss(0, 2))),
            30 + int(leak * minute / 60),
            12,
        )
        for minute in range(HOURS * 60)
    ]


def latencies(slower: float = 1.0) -> list[Latency]:
    chance, end = random.Random(2), HOURS * 3600.0
    return [
        Latency(ended, chance.uniform(0.01, 0.02) * (slower if ended > end / 2 else 1.0))
        for ended in (second * 7.0 for second in range(int(end / 7)))
    ]


def test_hours_without_growth_have_no_problems() -> None:
    assert trend_of(samples(), latencies()).problems() == []


@pytest.mark.parametrize(
    ("trend", "problem"),
    [
        (trend_of(samples(growth=1.5), latencies()), "memory grows by 1.5 MiB an hour"),
        (trend_of(samples(leak=1.0), latencies()), "descriptors grew from 32 to 37"),
        (trend_of(samples(), latencies(slower=1.3)), "the p99 grew from"),
    ],
)
def test_what_grows_is_named(trend: object, problem: str) -> None:
    (noticed,) = trend.problems()  # type: ignore[attr-defined]
    assert noticed.startswith(problem)


def test_a_few_seconds_of_mixed_traffic_end_as_each_request_should(
    tmp_path: Path, model: Path
) -> None:
    """Too short for a trend; every kind of request is sent and answered as documented."""
    trend, traffic = soak(tmp_path, 3, 6.0, str(model))
    assert traffic.unexpected == []
    kinds = {name.split()[0] for name in traffic.statuses}
    assert {"rerank", "answer", "feedback", "bad", "operations"} <= kinds
    assert trend.memory[1] > 0
