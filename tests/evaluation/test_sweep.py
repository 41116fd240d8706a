from __future__ import annotations

import re
from collections.abc import Sequence
from io import BytesIO

import pytest
from PIL import Image

from app.evaluation.data.judged import Judged
from app.evaluation.first_stage import candidates
from app.evaluation.reports import table
from app.evaluation.reports.page import sweep_page
from app.evaluation.reports.pictures import draw_sweep
from app.evaluation.scoring import Latency
from app.evaluation.sweep import (
    Point,
    Setting,
    advise,
    by_final_k,
    first_points,
    make_point,
    measure_model,
    model_points,
)
from tests.evaluation.conftest import WordScorer

pytestmark = pytest.mark.anyio

MODEL = "letters <1>"


@pytest.fixture
async def points(handbook: Judged, scorer: WordScorer) -> list[Point]:
    orders = candidates(handbook, 8, "english", own_ranks=False)
    answers, _ = await measure_model(scorer, handbook, orders, [4, 8], concurrency=1)
    latencies = {4: Latency(5, 6, 7), 8: Latency(9, 10, 11)}
    return [
        *first_points(handbook, orders, [1, 3], seed=0),
        *model_points(MODEL, handbook, orders, answers, latencies, [1, 3], seed=0),
    ]


async def test_each_combination_is_measured(points: Sequence[Point]) -> None:
    assert [point.setting for point in points] == [
        (None, 0, 1),
        (None, 0, 3),
        (MODEL, 4, 1),
        (MODEL, 8, 1),
        (MODEL, 4, 3),
        (MODEL, 8, 3),
    ]
    assert {final_k: len(group) for final_k, group in by_final_k(points).items()} == {1: 3, 3: 3}


async def test_the_largest_depth_is_asked_of_every_query_and_the_smaller_of_some(
    handbook: Judged, scorer: WordScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.evaluation.sweep.TIMED_QUERIES", 5)
    orders = {query: list(handbook.corpus)[:8] for query in handbook.queries}
    answers, latencies = await measure_model(scorer, handbook, orders, [8, 2], concurrency=1)
    assert [depth for _, depth in scorer.calls] == [2] * 5 + [8] * 44
    assert len(answers) == 44
    assert list(latencies) == [2, 8]


async def test_the_table_has_a_row_for_each_point(points: Sequence[Point]) -> None:
    lines = table.as_text(points).splitlines()
    assert len(lines) == 7
    assert lines[1].split()[:5] == ["1", "first", "stage", "alone", "-"]
    assert lines[3].split()[:4] == ["1", "letters", "<1>", "4"]
    assert len({line.index("ms") for line in lines[:1]}) == 1


async def test_five_queries_are_too_few_to_call_a_cheaper_setting_worse(handbook: Judged) -> None:
    judged = handbook.only(range(5))
    best = {query: judged.relevant(query) for query in judged.queries}
    nothing: dict[str, list[str]] = {query: [] for query in judged.queries}
    first = make_point(judged, Setting(None, 0, 3), nothing, nothing, Latency(0, 0, 0), 0)
    point = make_point(judged, Setting(MODEL, 5, 3), nothing, best, Latency(9, 9, 9), 0)
    advice = advise([first, point], seed=0)
    assert "the first stage alone (nDCG@3 0.000) is not measurably worse" in advice
    assert advice.endswith("; 5 different queries are few, so measure again with more.")


async def test_the_page_needs_nothing_else(points: Sequence[Point]) -> None:
    picture = draw_sweep(points)
    assert Image.open(BytesIO(picture)).format == "PNG"
    page = sweep_page("my <data>", 44, ["Take it."], points, picture)
    assert "my &lt;data&gt;" in page
    assert "letters &lt;1&gt;" in page
    assert page.count("<tr>") == 7
    assert re.findall(r'(?:src|href)="(?!data:)', page) == []


async def test_the_same_points_give_the_same_picture(points: Sequence[Point]) -> None:
    assert draw_sweep(points) == draw_sweep(points)


async def test_advice_names_the_best_and_what_is_cheaper_and_as_good(
    points: Sequence[Point],
) -> None:
    first, small, large = by_final_k(points)[3]
    assert "For final_k 3, " in advise([first, small, large], seed=0)
    assert advise([first], seed=0).endswith("reranking is not worth its time.")
    assert advise([small], seed=0).endswith("all cheaper settings are measurably worse.")
    assert "few" not in advise([first], seed=0)
    same = advise([small, Point(small.setting, small.measured, Latency(1, 1, 1), small.gain)], 0)
    assert "1 ms per query) is not measurably worse" in same
