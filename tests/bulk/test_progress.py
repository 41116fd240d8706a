from __future__ import annotations

import io

import pytest

from app.bulk.latencies import Latencies
from app.bulk.progress import Progress, duration


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_without_a_terminal_a_line_is_written_every_ten_seconds(clock: Clock) -> None:
    stream = io.StringIO()
    progress = Progress(stream, clock)
    progress.start(1000, 0)
    for _ in range(25):
        clock.now += 1
        progress.advance(10)
    assert stream.getvalue().splitlines() == [
        "rerankd: 1,000 pairs to rank, 0 of them done before",
        " 10%  100 of 1,000 pairs, 10 pairs/s, 2 min left",
        " 20%  200 of 1,000 pairs, 10 pairs/s, 80 s left",
    ]


def test_a_terminal_shows_a_bar_in_place(clock: Clock) -> None:
    stream = Terminal()
    progress = Progress(stream, clock)
    progress.start(100, 0)
    clock.now += 1
    progress.advance(50)
    assert stream.getvalue().endswith(
        "\r\x1b[K██████████░░░░░░░░░░  50%  50 of 100 pairs, 50 pairs/s, 1 s left"
    )
    progress.say("done")
    assert stream.getvalue().endswith("\r\x1b[Krerankd: done\n")


def test_the_pace_is_of_this_run_alone(clock: Clock) -> None:
    progress = Progress(io.StringIO(), clock)
    progress.start(1000, 600)
    clock.now += 10
    progress.advance(100)
    assert (progress.done, progress.rate) == (700, 10)
    assert "30 s left" in progress.text()


def test_a_block_that_ended_counts_its_documents_not_its_windows(clock: Clock) -> None:
    progress = Progress(io.StringIO(), clock)
    progress.start(100, 0)
    progress.advance(400)
    assert progress.done == 100
    progress.end_block(10)
    progress.end_block(10)
    progress.start(100, 20)
    assert progress.done == 100


def test_the_last_line_says_what_the_run_did(clock: Clock) -> None:
    stream = io.StringIO()
    progress = Progress(stream, clock)
    progress.start(3000, 1000)
    progress.end_block(2000)
    clock.now += 20
    progress.finish("padding 0.4% of the tokens")
    assert stream.getvalue().endswith(
        "rerankd: 2,000 pairs in 20 s, 100 pairs/s, padding 0.4% of the tokens\n"
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (89, "89 s"), (100, "2 min"), (7_900, "2 h 12 min")]
)
def test_durations_are_rounded(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_quantiles_are_within_one_percent() -> None:
    latencies = Latencies()
    for milliseconds in range(1, 1001):
        latencies.add(milliseconds / 1000)
    for share in (0.5, 0.95, 0.99):
        assert latencies.quantile(share) == pytest.approx(share, rel=0.011)


def test_without_calls_a_quantile_is_zero() -> None:
    assert Latencies().quantile(0.5) == 0
