from __future__ import annotations

import pytest

from app.jsonl import NotJson, read_values

WHOLE = [(1, '{"a": 1}'), (2, "  "), (3, "[2]")]


def test_each_value_comes_with_its_line_and_blank_lines_are_left_out() -> None:
    assert list(read_values(WHOLE)) == [(1, {"a": 1}), (3, [2])]


@pytest.mark.parametrize("line", ['{"a": 1', "nonsense", '{"a": 1}}'])
def test_what_is_not_json_is_an_error_with_its_line(line: str) -> None:
    values = read_values([*WHOLE, (4, line)])
    assert [next(values), next(values)] == [(1, {"a": 1}), (3, [2])]
    with pytest.raises(NotJson, match=r"^not valid JSON: ") as caught:
        next(values)
    assert caught.value.line == 4


def test_a_line_that_ends_too_early_may_be_passed_over() -> None:
    problems: list[NotJson] = []
    lines = [(1, '{"a": 1'), (2, "[2]")]
    assert list(read_values(lines, problems.append)) == [(2, [2])]
    assert [problem.line for problem in problems] == [1]
    with pytest.raises(NotJson):
        list(read_values([(1, "nonsense")], problems.append))
