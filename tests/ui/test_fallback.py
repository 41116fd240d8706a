"""The local model and the fallback side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests import models
from tests.live.service import LiveService, running
from tests.live.test_remote import local_status
from tests.ui.stage import Stage
from tests.ui.test_ranking import answer_of
from tests.ui.visitor import Visitor

SECRET = "confidential-kumquat"
QUERY = f"how long may I keep the {SECRET}"
TEXTS = [
    "The library opens at nine.",
    f"The {SECRET} is lent for four weeks.",
    "The café sells soup and bread.",
    "A loan can be extended twice.",
]
DAILY_DOCUMENTS = 30


@pytest.fixture(scope="module")
def behind(playground: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    """A service with a small model, behind which stands the service of the other tests."""
    with running(
        model=models.bert(tmp_path_factory.mktemp("model")),
        fallback=playground.service.url,
        fallback_on_request=True,
        fallback_daily_documents=DAILY_DOCUMENTS,
    ) as service:
        assert local_status(service) == "ready"
        yield service


@pytest.fixture
def guest(page: Page, behind: LiveService) -> Iterator[Visitor]:
    visitor = Visitor(page, behind.url)
    visitor.open()
    yield visitor
    assert visitor.errors == []


def choose_fallback(visitor: Visitor) -> None:
    visitor.page.click("text=Compare with a second setting")
    visitor.page.select_option("#second-source", "fallback")


def ranked_by(requests: list[Request]) -> list[Any]:
    bodies: list[Any] = [request.post_data_json for request in requests if request.method == "POST"]
    return [body.get("ranker") for body in bodies if not body.get("explain")]


def second_order(visitor: Visitor) -> list[int]:
    items = visitor.page.locator(".second-item").all()
    return [int(str(item.get_attribute("data-index"))) for item in items]


def test_both_rank_one_list_and_the_page_says_who_ranked_and_where_texts_go(
    guest: Visitor, behind: LiveService, playground: Stage
) -> None:
    expect(guest.page.locator("#notices")).to_contain_text("This service has a fallback.")
    choose_fallback(guest)
    notice = guest.page.locator("#fallback-notice")
    expect(notice).to_have_text("Each ranking sends your query and documents to rerankd.")
    guest.requests.clear()
    guest.rank(TEXTS, QUERY)
    assert sorted(ranked_by(guest.requests)) == ["fallback", "local"]
    expect(guest.page.locator(".head-second")).to_have_text("Fallback: rerankd")
    results = answer_of(playground, {"query": QUERY, "documents": TEXTS})["results"]
    assert isinstance(results, list)
    assert second_order(guest) == [result["index"] for result in results]
    tau = guest.module("measures.js", "m.kendallTau(...a)", [guest.order(), second_order(guest)])
    comparison = guest.page.locator("#comparison")
    expect(comparison.locator("[data-figure='tau']")).to_contain_text(f"{tau:.2f}")
    expect(comparison).to_contain_text("Ranked by ")
    expect(comparison).to_contain_text(", and by rerankd · answered in ")
    assert_private(guest, behind, playground)
    code = guest.tool("code").locator("#snippet")
    expect(code).to_contain_text('"ranker": "local"')


def assert_private(visitor: Visitor, *services: LiveService | Stage) -> None:
    assert {request.url.split("/")[2] for request in visitor.requests} == {
        visitor.url.split("/")[2]
    }
    assert [request.url for request in visitor.requests if SECRET in request.url] == []
    for service in services:
        log = service.service.log if isinstance(service, Stage) else service.log
        assert SECRET not in str(log)
    assert visitor.page.evaluate("sessionStorage.length + localStorage.length") == 0


def test_a_permalink_sends_nothing_to_the_fallback_until_somebody_asks(
    guest: Visitor, page: Page
) -> None:
    choose_fallback(guest)
    guest.rank(TEXTS, QUERY)
    guest.tool("link")
    fragment = guest.page.input_value("#permalink").partition("#")[2]
    other = Visitor(page.context.new_page(), guest.url)
    other.open(f"#{fragment}")
    assert set(ranked_by(other.requests)) == {"local"}
    waiting = other.page.locator("#comparison")
    expect(waiting).to_have_text("Press “Rank” to compare: that sends this list to the fallback.")
    expect(other.page.locator("#fallback-notice")).to_be_visible()
    other.rank()
    assert "fallback" in ranked_by(other.requests)
    assert second_order(other) == second_order(guest)
    assert other.errors == []


def test_what_the_fallback_refuses_leaves_the_local_ranking(guest: Visitor) -> None:
    choose_fallback(guest)
    guest.rank(TEXTS, QUERY)
    texts = [f"document {number}" for number in range(DAILY_DOCUMENTS)]
    guest.paste("\n".join(texts), QUERY)
    guest.page.click("#rank-button")
    problem = guest.page.locator("#problem")
    expect(problem).to_contain_text("The fallback takes no more today")
    expect(problem).to_contain_text("fallback_daily_documents")
    expect(problem.locator(".countdown")).to_contain_text("Room again in about")
    expect(guest.page.locator(".row")).to_have_count(DAILY_DOCUMENTS)
    expect(guest.page.locator(".second-item")).to_have_count(0)


def test_a_fallback_that_is_not_released_is_named_and_cannot_be_chosen(
    page: Page, behind: LiveService
) -> None:
    def keep_back(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, json=response.json() | {"fallback_on_request": False})

    page.route("**/info", keep_back)
    visitor = Visitor(page, behind.url)
    visitor.open()
    page.click("text=Compare with a second setting")
    expect(page.locator("#second-source option[value=fallback]")).to_be_disabled()
    expect(page.locator("#fallback-hint")).to_contain_text("RERANKD_FALLBACK_ON_REQUEST")


def test_without_a_fallback_there_is_no_such_choice(visitor: Visitor) -> None:
    visitor.page.click("text=Compare with a second setting")
    option = visitor.page.locator("#second-source option[value=fallback]")
    assert option.get_attribute("hidden") is not None
    expect(visitor.page.locator("#fallback-hint")).to_be_hidden()
    # A permalink from elsewhere may still name it: the service says why it cannot.
    visitor.page.evaluate("document.getElementById('second-source').value = 'fallback'")
    visitor.page.click("#rank-button")
    expect(visitor.page.locator("#problem")).to_contain_text("no fallback is configured")
