from __future__ import annotations

from collections.abc import Callable

from loadtest.turns import Ratio, take_turns


def test_every_other_round_goes_backwards_and_all_are_told_its_number() -> None:
    calls: list[tuple[str, int]] = []

    def contender(name: str) -> Callable[[int], float]:
        def measure(number: int) -> float:
            calls.append((name, number))
            return float(len(calls))

        return measure

    measured = take_turns({name: contender(name) for name in "abc"}, rounds=2)
    assert calls == [("a", 0), ("b", 0), ("c", 0), ("c", 1), ("b", 1), ("a", 1)]
    assert measured == {"a": [1.0, 6.0], "b": [2.0, 5.0], "c": [3.0, 4.0]}


def test_a_ratio_is_taken_round_by_round() -> None:
    """A round in which the machine was slow for both does not count as a difference."""
    ratio = Ratio.of([40, 4, 50], [10, 1, 10])
    assert ratio == (4, 4, 5)
    assert str(ratio) == "4.00 (4.00 to 5.00)"


def test_a_ratio_that_never_moves_has_no_range() -> None:
    assert str(Ratio.of([3, 3], [2, 2])) == "1.50"
