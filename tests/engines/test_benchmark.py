from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from scipy.stats import kendalltau

from app.engines import Pair, benchmark
from app.engines.benchmark import Result, agree, measure, stream_counts, tau
from app.engines.select import fastest
from app.engines.slices import WHOLE
from app.errors import LoadFailed
from tests.fakes import pair


class Scorer:
    """An engine that answers each pair with its first token, times `sign`."""

    name, device, dtype = "scorer", "cpu", "int8"
    state_cache = None

    def __init__(self, sign: int = 1, streams: int = 1) -> None:
        self.slicing = replace(WHOLE, streams=streams)
        self.sign = sign

    def score(self, batch: Sequence[Pair]) -> list[float]:
        return [float(self.sign * pair.ids[0]) for pair in batch]

    def memory(self) -> int:
        return 0


def result_of(engine: str, pace: float, agreement: float = 1.0) -> Result:
    return Result(engine, "int8", 1, 512, pace, agreement)


LISTS = [[pair(8, mark) for mark in (3, 1, 2)], [pair(9, mark) for mark in (1, 5, 9)]]
REFERENCE = [[3.0, 1.0, 2.0], [1.0, 5.0, 9.0]]


def test_the_fastest_wins() -> None:
    assert fastest([result_of("a", 10), result_of("b", 30), result_of("c", 20)]).engine == "b"


def test_the_fastest_does_not_win_if_it_ranks_otherwise_than_the_reference() -> None:
    assert (
        fastest([result_of("a", 10), result_of("b", 30, 0.96), result_of("c", 20, 0.97)]).engine
        == "c"
    )


def test_where_none_ranks_as_the_reference_does_it_says_how_far_off_each_is() -> None:
    """As when one precision is asked for and none of its engines agrees."""
    with pytest.raises(LoadFailed, match=r"a int8 0\.960, b int8 0\.100; at least 0\.97.*auto"):
        fastest([result_of("a", 10, 0.96), result_of("b", 30, 0.1)])


def test_an_engine_is_measured_with_the_size_of_slice_that_is_fastest() -> None:
    result = measure([Scorer()], LISTS, REFERENCE)
    assert (result.engine, result.agreement, result.faithful) == ("scorer", 1.0, True)
    assert result.tokens in {512, 1024}
    assert result.pairs_per_second > 0


def test_an_engine_that_ranks_backwards_is_not_faithful() -> None:
    result = measure([Scorer(sign=-1)], LISTS, REFERENCE)
    assert (result.agreement, result.faithful) == (-1.0, False)


def test_an_engine_is_measured_with_the_number_of_streams_that_is_fastest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paces = {1: 10.0, 2: 30.0, 4: 20.0}
    monkeypatch.setattr(benchmark, "pace", lambda engine, lists: paces[engine.slicing.streams])
    engines = [Scorer(streams=streams) for streams in paces]
    result = measure(engines, LISTS, REFERENCE)
    assert (result.streams, result.pairs_per_second) == (2, 30)


def test_one_slice_may_have_all_threads_or_one_each() -> None:
    assert [stream_counts(threads) for threads in (1, 2, 8)] == [[1], [1, 2], [1, 2, 4, 8]]


def test_agreement_is_the_mean_over_the_lists() -> None:
    assert agree([[1.0, 2.0], [1.0, 2.0]], [[1.0, 2.0], [2.0, 1.0]]) == 0


def test_tau_is_kendalls() -> None:
    first, second = [0.1, 2.0, -1.0, 0.7, 3.0], [0.3, 1.0, -2.0, 0.2, 0.9]
    assert tau(first, second) == pytest.approx(kendalltau(first, second).statistic)


def test_what_the_reference_cannot_tell_apart_does_not_count() -> None:
    assert tau([1.0, 1.0005, 5.0], [2.0, 1.0, 9.0]) == 1.0
