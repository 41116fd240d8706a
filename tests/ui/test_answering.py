"""The tab “Answer”: sources, the text while it is written, citations, feedback."""

from __future__ import annotations

import json
from itertools import count

from playwright.sync_api import Locator, expect

from tests.ui.stage import FIRST, LAST, MODEL_NAME, REST, Stage
from tests.ui.visitor import Visitor

NUMBERS = count(1)


def ask(visitor: Visitor, playground: Stage, **fields: str) -> None:
    """Each time another question, which no cache has."""
    playground.portal.call(playground.gate.clear)
    visitor.page.get_by_role("tab", name="Answer").click()
    question = f"how long may I keep a book, for the {next(NUMBERS)}th time"
    values = {"question": question, "initial-k": "6", "final-k": "3", **fields}
    for name, value in values.items():
        visitor.page.fill(f"#{name}", value)
    visitor.page.click("#answer-button")


def finish(visitor: Visitor, playground: Stage) -> None:
    playground.let_the_model_write_on()
    expect(visitor.page.locator(".outcome-answered")).to_be_visible()


def is_lit(locator: Locator) -> bool:
    return "lit" in str(locator.get_attribute("class")).split()


def test_sources_come_first_then_the_text_grows_then_it_is_complete(
    visitor: Visitor, playground: Stage
) -> None:
    ask(visitor, playground)
    sources = visitor.page.locator(".source")
    expect(sources).to_have_count(3)
    expect(visitor.page.locator("#answer-text")).to_have_text(FIRST)
    expect(visitor.page.locator(".cursor")).to_be_visible()
    finish(visitor, playground)
    whole = f"{FIRST}{REST}{LAST}".replace(" [9]", "")
    expect(visitor.page.locator("#answer-text")).to_have_text(whole)
    expect(visitor.page.locator(".cursor")).to_have_count(0)
    expect(visitor.page.locator(".outcome-line")).to_contain_text(MODEL_NAME)
    expect(visitor.page.locator(".answer-notes")).to_contain_text("[9]")
    expect(visitor.page.locator(".answer-notes .hint").first).to_contain_text("rerank")


def test_each_source_shows_where_it_was_found_and_where_it_is_ranked(
    visitor: Visitor, playground: Stage
) -> None:
    ask(visitor, playground)
    finish(visitor, playground)
    assert visitor.page.locator(".source-board .slope").count() == 3
    ranks = visitor.page.locator(".found li").all_inner_texts()
    assert ranks == sorted(ranks)
    first = visitor.page.locator("#source-1")
    expect(first).to_contain_text("ranked 1st")
    expect(first.locator(".source-name")).to_contain_text("loans.md")


def test_a_citation_lights_up_its_passage_and_the_other_way_round(
    visitor: Visitor, playground: Stage
) -> None:
    ask(visitor, playground)
    finish(visitor, playground)
    cited = visitor.page.locator(".cited")
    expect(cited).to_have_count(2)
    cited.first.hover()
    assert is_lit(visitor.page.locator("#source-2"))
    assert not is_lit(visitor.page.locator("#source-1"))
    visitor.page.locator("#source-1").focus()
    visitor.page.mouse.move(0, 0)
    visitor.page.locator("#answer-text a.marker").first.click()
    assert visitor.page.evaluate("document.activeElement.id") == "source-2"
    assert is_lit(cited.first)
    assert not is_lit(cited.last)


def test_feedback_is_stored_with_the_right_source(visitor: Visitor, playground: Stage) -> None:
    ask(visitor, playground)
    finish(visitor, playground)
    visitor.page.select_option("#right-source", label="[2]")
    visitor.page.get_by_role("button", name="Yes", exact=True).click()
    expect(visitor.page.locator(".feedback [role='status']")).to_have_text(
        "Thank you. It is stored."
    )
    line = json.loads(playground.feedback.read_text().splitlines()[-1])
    assert line["useful"] == "up"
    assert line["query"].startswith("how long may I keep a book")


def test_what_is_not_in_the_documents_is_said(visitor: Visitor, playground: Stage) -> None:
    ask(visitor, playground, **{"answer-min": "0.999999"})
    expect(visitor.page.locator(".outcome-not_found")).to_have_text("not found")
    expect(visitor.page.locator(".source")).to_have_count(0)


def test_a_question_that_is_refused_shows_the_reason(visitor: Visitor, playground: Stage) -> None:
    ask(visitor, playground, **{"initial-k": "2", "final-k": "2"})
    expect(visitor.page.locator("#answer-problem")).to_contain_text("final_k")


def test_without_a_question_nothing_is_sent(visitor: Visitor, playground: Stage) -> None:
    visitor.page.get_by_role("tab", name="Answer").click()
    visitor.requests.clear()
    visitor.page.click("#answer-button")
    assert visitor.page.evaluate("document.activeElement.id") == "question"
    assert [request for request in visitor.requests if request.method == "POST"] == []
