"""Two settings side by side, judgements, their measures and their export."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from playwright.sync_api import expect

from app.evaluation.data.lists import read_lists
from tests.ui.visitor import Visitor

QUERY = "how long may I keep a book"
TEXTS = [
    "The library opens at nine.",
    "The café sells soup and bread.",
    "Books are lent for four weeks.",
    "A loan can be extended twice.",
]
FILLER = "Windows face the river and lamps are lit at three. "
KEY = "You may keep a book for four weeks."


def test_judging_shows_ndcg_and_mrr_before_and_after(visitor: Visitor) -> None:
    visitor.rank(TEXTS, QUERY)
    assert visitor.order()[0] == 2
    visitor.row(2).get_by_role("button", name="Relevant: document 3", exact=True).click()
    assert visitor.figure("MRR") == "0.33 → 1.00"
    assert visitor.figure("nDCG@10") == f"{1 / math.log2(4):.2f} → 1.00"
    pressed = visitor.row(2).locator(".grade-1")
    assert pressed.get_attribute("aria-pressed") == "true"
    visitor.row(2).locator(".grade-1").click()
    expect(visitor.page.locator("[data-figure='MRR']")).to_have_count(0)


def test_the_measures_are_those_of_rerankd_eval(visitor: Visitor) -> None:
    import ir_measures  # noqa: PLC0415 (imports much)

    grades = {0: 1, 3: 2, 4: 0, 7: 1}
    order = [5, 3, 1, 7, 2, 0, 4, 6]
    script = "[m.ndcg(a[0], new Map(a[1]), 5), m.reciprocalRank(a[0], new Map(a[1]), 5)]"
    ours = visitor.module("measures.js", script, [order, list(grades.items())])
    qrels = {"q": {str(document): grade for document, grade in grades.items()}}
    run = {"q": {str(document): -float(rank) for rank, document in enumerate(order)}}
    measures = [ir_measures.nDCG @ 5, ir_measures.RR @ 5]
    theirs = ir_measures.calc_aggregate(measures, qrels, run)
    assert ours == pytest.approx([theirs[measure] for measure in measures])


def test_kendalls_tau_counts_pairs_in_the_same_order(visitor: Visitor) -> None:
    def tau(first: list[int], second: list[int]) -> float | None:
        value: float | None = visitor.module("measures.js", "m.kendallTau(...a)", [first, second])
        return value

    assert tau([0, 1, 2, 3], [0, 1, 2, 3]) == 1
    assert tau([0, 1, 2, 3], [3, 2, 1, 0]) == -1
    assert tau([0, 1, 2, 3], [1, 0, 2, 3]) == pytest.approx(4 / 6)
    assert tau([0], [0]) is None


def test_judgements_are_exported_as_data_that_eval_reads(visitor: Visitor, tmp_path: Path) -> None:
    visitor.rank(["", *TEXTS], QUERY)
    visitor.row(3).locator(".grade-1").click()
    visitor.row(1).locator(".grade-0").click()
    visitor.rank([TEXTS[0], TEXTS[1]], "when does it open")
    visitor.row(0).locator(".grade-1").click()
    with visitor.page.expect_download() as download:
        visitor.tool("judge").get_by_role("button", name="Export").click()
    file = tmp_path / "judgements.jsonl"
    download.value.save_as(file)
    assert [json.loads(line)["query"] for line in file.read_text().splitlines()] == [
        "when does it open",
        QUERY,
    ]
    judged = read_lists(file)
    assert list(judged.queries.values()) == ["when does it open", QUERY]
    relevant = [judged.corpus[name] for query in judged.queries for name in judged.relevant(query)]
    assert relevant == [TEXTS[0], TEXTS[2]]  # the empty document is no candidate


def compare(visitor: Visitor) -> None:
    visitor.page.click("text=Compare with a second setting")


def test_two_ways_to_read_are_compared_on_one_list(visitor: Visitor) -> None:
    visitor.page.click("text=How documents are read")
    visitor.page.select_option("#a-long_documents", "windows")
    compare(visitor)
    visitor.page.select_option("#b-long_documents", "cut")
    visitor.rank([TEXTS[3], f"{FILLER * 90}{KEY}", TEXTS[0]], QUERY)
    first = visitor.order()
    second = [
        int(str(item.get_attribute("data-index")))
        for item in visitor.page.locator(".second-item").all()
    ]
    assert sorted(first) == sorted(second) == [0, 1, 2]
    assert first[0] == 1 != second[0]
    tau = visitor.module("measures.js", "m.kendallTau(...a)", [first, second])
    expect(visitor.page.locator("[data-figure='tau']")).to_have_text(
        f"Kendall\N{RIGHT SINGLE QUOTATION MARK}s τ {tau:.2f}"
    )
    expect(visitor.page.locator(".head-second")).to_have_text("Second: cut")
    assert visitor.page.locator(".moves li").count() >= 2
    assert visitor.page.locator(".slopes-second .slope").count() == 3


def test_the_answer_of_another_service_is_compared(visitor: Visitor) -> None:
    compare(visitor)
    visitor.page.select_option("#second-source", "answer")
    scores = [{"index": index, "relevance_score": 0.1 * index} for index in range(4)]
    visitor.page.fill("#answer-b", json.dumps({"results": scores}))
    visitor.rank(TEXTS, QUERY)
    items = visitor.page.locator(".second-item").all()
    assert [item.get_attribute("data-index") for item in items] == ["3", "2", "1", "0"]
    visitor.row(2).locator(".grade-1").click()
    expect(visitor.page.locator("#comparison")).to_contain_text("MRR 1.00 and 0.50")
    visitor.page.fill("#answer-b", '{"no": "results"}')
    visitor.page.click("#rank-button")
    expect(visitor.page.locator("#problem")).to_contain_text("no results, data or rankings")


def test_another_query_is_compared(visitor: Visitor) -> None:
    compare(visitor)
    visitor.page.fill("#query-b", "when does it open")
    visitor.rank(TEXTS, QUERY)
    first = visitor.page.locator(".second-item").first
    assert (visitor.order()[0], first.get_attribute("data-index")) == (2, "0")


def test_a_model_without_instructions_says_so(visitor: Visitor) -> None:
    visitor.page.click("text=How documents are read")
    expect(visitor.page.locator("#a-instruction")).to_be_disabled()
    expect(visitor.page.locator("#a-instruction-hint")).to_be_visible()
