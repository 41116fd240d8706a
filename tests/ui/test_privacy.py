"""Permalinks, the history, and where texts do not go."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.ui.stage import Stage
from tests.ui.visitor import Visitor

SECRET = "confidential-kumquat"
QUERY = f"who ordered the {SECRET}"
TEXTS = [f"The {SECRET} was ordered by Ada.", "The soup was ordered by Grace. 🌊"]


def test_a_permalink_opens_the_same_list_with_its_judgements(visitor: Visitor, page: Page) -> None:
    visitor.rank(TEXTS, QUERY)
    visitor.page.get_by_text("logit", exact=True).click()
    visitor.wait_for_ranking()
    visitor.row(0).locator(".grade-1").click()
    visitor.page.get_by_role("slider", name="Minimum score").focus()
    visitor.page.keyboard.press("PageUp")
    kept = visitor.figure("kept")
    visitor.tool("link")
    link = visitor.page.input_value("#permalink")
    address, _, fragment = link.partition("#")
    assert address == f"{visitor.url}/ui"
    other = Visitor(page.context.new_page(), visitor.url)
    other.open(f"#{fragment}")
    assert other.page.input_value("#query") == QUERY
    assert other.order() == visitor.order()
    assert other.figure("MRR") == "1.00 → 1.00"
    assert other.figure("kept") == kept
    assert all("#" not in request.url and fragment not in request.url for request in other.requests)
    assert other.errors == []


def test_a_broken_permalink_opens_the_first_example(visitor: Visitor, page: Page) -> None:
    other = Visitor(page.context.new_page(), visitor.url)
    other.open("#list=AAAA")
    assert other.page.input_value("#query") == "how long may I keep the book"
    assert other.errors == []


def test_the_history_brings_back_a_list_and_a_reload_forgets_it(visitor: Visitor) -> None:
    visitor.rank(TEXTS, QUERY)
    visitor.row(1).locator(".grade-1").click()
    visitor.rank(["one", "two"], "another query")
    history = visitor.tool("history")
    assert history.locator("li").count() == 3
    history.get_by_role("button", name=QUERY).click()
    expect(visitor.page.locator(".row")).to_have_count(2)
    expect(visitor.row(1).locator(".grade-1")).to_have_attribute("aria-pressed", "true")
    assert visitor.page.input_value("#query") == QUERY
    visitor.page.reload()
    visitor.wait_for_ranking()
    assert visitor.tool("history").locator("li").count() == 1


def test_no_text_is_in_a_url_the_log_or_any_storage(visitor: Visitor, playground: Stage) -> None:
    visitor.rank(TEXTS, QUERY)
    visitor.row(0).locator(".text").click()
    visitor.row(0).locator(".grade-1").click()
    for tool in ("time", "judge", "code", "link", "history"):
        visitor.tool(tool)
    visitor.page.get_by_role("tab", name="Answer").click()
    visitor.page.fill("#question", f"where is the {SECRET}")
    visitor.page.fill("#answer-min", "0.999999")  # the language model is not called
    visitor.page.click("#answer-button")
    expect(visitor.page.locator(".outcome-not_found")).to_be_visible()
    assert [request.url for request in visitor.requests if SECRET in request.url] == []
    assert {request.url.split("/")[2] for request in visitor.requests} == {
        visitor.url.split("/")[2]
    }
    assert SECRET not in str(playground.service.log)
    state = visitor.page.context.storage_state(indexed_db=True)
    assert state == {"cookies": [], "origins": []}
    assert visitor.page.evaluate("sessionStorage.length + localStorage.length") == 0
    assert visitor.page.evaluate("caches.keys()") == []
    assert visitor.page.url == f"{visitor.url}/ui"


def test_a_key_is_kept_in_memory_and_sent_in_a_header_only(visitor: Visitor) -> None:
    visitor.page.click("#key-button")
    visitor.page.fill("#api-key", "a-secret-key")
    visitor.page.click("text=Use these keys")
    visitor.requests.clear()
    visitor.rank(TEXTS, QUERY)
    ranked = next(request for request in visitor.requests if request.url.endswith("/rerank"))
    assert ranked.header_value("authorization") == "Bearer a-secret-key"
    assert all("a-secret-key" not in request.url for request in visitor.requests)
    visitor.page.reload()
    visitor.wait_for_ranking()
    assert visitor.page.input_value("#api-key") == ""
