from __future__ import annotations

import pytest

from app.evaluation.drift.times import Window, parse_duration, parse_moment, parse_window, shown

NOW = 1_796_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("1.5h", 5400), ("7d", 604_800), (" 2w ", 1_209_600)]
)
def test_a_duration_is_a_number_with_its_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["7", "d", "0h", "-1h", "7 days", ""])
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="such as 30m"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", NOW),
        ("1d", NOW - 86_400),
        ("2026-11-20", 1_795_132_800),
        ("2026-11-20T06:00", 1_795_154_400),
        ("2026-11-20T06:00:00Z", 1_795_154_400),
        ("2026-11-20T06:00+02:00", 1_795_147_200),
    ],
)
def test_a_moment_is_a_date_or_a_time_before_now(text: str, moment: float) -> None:
    assert parse_moment(text, NOW) == moment


def test_a_period_has_two_ends_and_the_second_is_not_in_it() -> None:
    window = parse_window("14d..7d", NOW)
    assert window == Window(NOW - 14 * 86_400, NOW - 7 * 86_400)
    assert window.start in window
    assert window.end not in window


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("14d", "is not a period"),
        ("7d..14d", "ends before it starts"),
        ("7d..7d", "ends before it starts"),
        ("7d..soon", "neither a date"),
        ("..now", "neither a date"),
    ],
)
def test_what_is_no_period_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_window(text, NOW)


def test_a_moment_is_shown_to_the_minute() -> None:
    assert shown(1_795_154_437.5) == "2026-11-20 06:00"
