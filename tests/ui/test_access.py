"""The page for everybody: axe-core, the keyboard, themes, phones, weight and first paint."""

from __future__ import annotations

import re
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from app.api.playground import FOLDER
from tests.ui.stage import Stage
from tests.ui.test_answering import ask, finish
from tests.ui.visitor import Visitor

MAX_BYTES = 300_000
MAX_PAINT_MS = 1000
MAX_VISITS = 5
PHONE = 390
TOOLS = ("code", "time", "judge", "link", "history")
PAINTS = "performance.getEntriesByName('first-contentful-paint')"
LIGHT, DARK = "rgb(245, 246, 250)", "rgb(13, 15, 23)"
LONG = "Windows face the river and lamps are lit at three. " * 90
TEXTS = [LONG, "", "Books are lent for four weeks.", "Books are lent for four weeks.", "\u200bx"]


def violations(visitor: Visitor) -> list[tuple[str, Any]]:
    results = Axe().run(visitor.page)
    return [
        (violation["id"], [node["html"][:120] for node in violation["nodes"]])
        for violation in results.response["violations"]
    ]


def is_wider_than_the_screen(visitor: Visitor) -> bool:
    return bool(visitor.page.evaluate("document.documentElement.scrollWidth > innerWidth"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, PHONE])
def test_axe_finds_no_violation_on_any_panel(
    chrome: Browser, playground: Stage, scheme: Any, width: int
) -> None:
    context = chrome.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    )
    visitor = Visitor(context.new_page(), playground.service.url)
    visitor.open()
    visitor.page.click("text=How documents are read")
    visitor.page.click("text=Compare with a second setting")
    visitor.page.select_option("#b-long_documents", "windows")
    visitor.rank(TEXTS, "how long may I keep a book")
    for row in visitor.page.locator(".row .text").all():
        row.click()
    visitor.row(2).locator(".grade-1").click()
    visitor.row(0).locator(".grade-0").click()
    visitor.page.get_by_role("slider", name="Minimum score").focus()
    visitor.page.keyboard.press("PageUp")
    for tool in TOOLS:
        visitor.tool(tool)
        assert_accessible(visitor, tool)
    visitor.page.select_option("#second-source", "answer")
    visitor.page.fill("#answer-b", "no JSON")
    visitor.page.click("#key-button")
    visitor.page.click("#rank-button")
    expect(visitor.page.locator("#problem")).to_contain_text("not JSON")
    assert_accessible(visitor, "keys, a pasted answer and a problem")
    ask(visitor, playground)
    finish(visitor, playground)
    visitor.page.locator(".cited").first.focus()
    assert_accessible(visitor, "an answer")
    ask(visitor, playground, **{"initial-k": "2", "final-k": "2"})
    expect(visitor.page.locator("#answer-problem")).to_contain_text("final_k")
    assert_accessible(visitor, "a question that is refused")
    context.close()


def assert_accessible(visitor: Visitor, panel: str) -> None:
    assert violations(visitor) == [], panel
    assert not is_wider_than_the_screen(visitor), panel


def test_the_page_works_with_the_keyboard_alone(visitor: Visitor) -> None:
    keyboard = visitor.page.keyboard
    visitor.page.locator("body").press("Tab")
    expect(visitor.page.locator(".skip")).to_be_focused()
    visitor.page.focus("#tab-rank")
    keyboard.press("ArrowRight")
    expect(visitor.page.locator("#panel-answer")).to_be_visible()
    expect(visitor.page.locator("#panel-rank")).to_be_hidden()
    keyboard.press("ArrowLeft")
    visitor.page.focus(".row .text")
    keyboard.press("Enter")
    expect(visitor.page.locator(".row .details").first).to_be_visible()
    keyboard.press("Tab")
    keyboard.press("Space")
    pressed = visitor.page.locator(".row .grade-1").first
    expect(pressed).to_have_attribute("aria-pressed", "true")
    expect(pressed).to_be_focused()


def test_movement_is_said_in_words_too(visitor: Visitor) -> None:
    first = visitor.page.locator(".row").first.locator(".rank")
    assert "was 8th" in str(first.text_content())
    announced = visitor.page.locator("#announcement").text_content()
    assert announced == "10 documents ranked, 10 moved."


def test_the_theme_follows_the_system_or_the_button(visitor: Visitor) -> None:
    visitor.page.emulate_media(color_scheme="light")
    expect_paper(visitor, LIGHT)
    visitor.page.emulate_media(color_scheme="dark")
    expect_paper(visitor, DARK)
    button = visitor.page.locator("#theme-button")
    for name, color in (("light", LIGHT), ("dark", DARK), ("auto", DARK)):
        button.click()
        expect(button).to_have_text(f"Theme: {name}")
        expect_paper(visitor, color)


def expect_paper(visitor: Visitor, color: str) -> None:
    expect(visitor.page.locator("body")).to_have_css("background-color", color)


def test_the_page_is_light(chrome: Browser, playground: Stage) -> None:
    context = chrome.new_context()  # with nothing in its cache
    page = context.new_page()
    page.goto(f"{playground.service.url}/ui", wait_until="load")
    sizes = page.evaluate(
        "['navigation', 'resource'].flatMap((type) => performance.getEntriesByType(type))"
        ".filter((entry) => entry.name.includes('/ui')).map((entry) => entry.transferSize)"
    )
    assert len(sizes) > 20
    assert sum(sizes) <= MAX_BYTES
    context.close()


def test_the_page_paints_within_a_second(chrome: Browser, playground: Stage) -> None:
    """On a machine that other tests keep busy, at the best of some visits."""
    paints = []
    for _visit in range(MAX_VISITS):
        context = chrome.new_context()
        page = context.new_page()
        page.goto(f"{playground.service.url}/ui", wait_until="load")
        page.wait_for_function(f"{PAINTS}.length > 0")
        paints.append(page.evaluate(f"{PAINTS}[0].startTime"))
        context.close()
        if paints[-1] <= MAX_PAINT_MS:
            break
    assert min(paints) <= MAX_PAINT_MS, paints


def test_each_colour_of_the_page_stands_once() -> None:
    """A dark colour beside its light one, so that neither is forgotten."""
    sheet = (FOLDER / "base.css").read_text()
    names = re.findall(r"^ *(--[\w-]+):", sheet, re.MULTILINE)
    assert len(names) == len(set(names)) > 20
    assert "prefers-color-scheme" not in sheet
