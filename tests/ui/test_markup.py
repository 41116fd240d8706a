"""Documents are texts, whatever they hold."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import Route, expect

from tests.ui.visitor import Visitor

HOSTILE = [
    "<script>window.attacked = 1</script>",
    "<img src=x onerror='window.attacked = 1'><svg onload='window.attacked = 1'>",
    "</li></ol><h1>gone</h1><style>body { display: none }</style>",
    "javascript:window.attacked = 1 [link](javascript:alert(1)) &lt;b&gt; &amp;",
    "zero\u200bwidth \u202etxet denrut\u202c and a soft\u00adhyphen",
    "النص العربي من اليمين",
    "{{constructor.constructor('window.attacked = 1')()}} ${window.attacked = 1}",
]
TAGS = "script, style, img, iframe, object, embed, link, base, form, h1, svg"


def test_markup_scripts_and_hidden_characters_render_as_text(visitor: Visitor) -> None:
    count = f"document.querySelectorAll('#board-place :is({TAGS})').length"
    visitor.rank(HOSTILE, "<b onclick='window.attacked = 1'>query</b>")
    for index, text in enumerate(HOSTILE):
        visitor.row(index).locator(".text").click()
        assert visitor.row(index).locator(".whole").text_content() == text
    visitor.tool("history")
    visitor.tool("code")
    assert visitor.page.evaluate("window.attacked") is None
    assert visitor.page.evaluate(count) == 1  # the lines of movement
    expect(visitor.page.locator("h1")).to_have_count(1)


def test_markup_in_a_comparison_and_in_code_renders_as_text(visitor: Visitor) -> None:
    visitor.page.click("text=Compare with a second setting")
    visitor.page.select_option("#second-source", "answer")
    scores = [{"index": index, "score": index / 10} for index in range(len(HOSTILE))]
    visitor.page.fill("#answer-b", json.dumps(scores))
    visitor.rank(HOSTILE, HOSTILE[0])
    for panel in (visitor.page.locator("#comparison"), visitor.page.locator(".second")):
        assert HOSTILE[0] in str(panel.text_content())
        assert panel.locator(f":is({TAGS})").count() == 0
    assert HOSTILE[1].partition(" ")[0] in visitor.tool("code").locator("pre").inner_text()
    visitor.page.fill("#answer-b", "<img src=x onerror='window.attacked = 1'>")
    visitor.page.click("#rank-button")
    expect(visitor.page.locator("#problem")).to_contain_text("not JSON")
    assert visitor.page.evaluate("window.attacked") is None


def test_markup_in_an_answer_and_its_sources_renders_as_text(visitor: Visitor) -> None:
    def hostile(route: Route) -> None:
        route.fulfill(body=hostile_answer(), content_type="text/event-stream")

    visitor.page.route("**/answer", hostile)
    visitor.page.get_by_role("tab", name="Answer").click()
    visitor.page.fill("#question", HOSTILE[0])
    visitor.page.click("#answer-button")
    expect(visitor.page.locator("#answer-text")).to_contain_text(HOSTILE[1])
    answer = visitor.page.locator("#answer-place")
    assert answer.locator(f":is({TAGS}):not(.slopes)").count() == 0
    for text in (*HOSTILE, f"warning {HOSTILE[1]}"):
        assert text in str(answer.text_content())
    codes = [mark.get_attribute("data-code") for mark in answer.locator(".invisible").all()]
    assert {"U+200B", "U+202E"} <= set(codes)
    assert visitor.page.evaluate("window.attacked") is None


def hostile_answer() -> str:
    """The events of an answer that holds hostile texts everywhere."""
    sources = [
        {"number": number, "id": text, "text": text, "metadata": {"source": text, "section": text}}
        | {"first_stage_rank": number, "rerank_rank": number, "rerank_score": 0.5}
        for number, text in enumerate(HOSTILE, start=1)
    ]
    answer: dict[str, Any] = {
        "id": "1",
        "outcome": "answered",
        "answer": "\n".join(HOSTILE),
        "llm": HOSTILE[1],
    }
    answer |= {"citations": [{"start": 0, "end": 20, "sources": [1]}], "sources": sources}
    answer |= {"warnings": [f"warning {HOSTILE[1]}"], "cached": False, "usage": {"total_tokens": 1}}
    answer |= {"retrieved_count": 7, "used_count": 7, "times_ms": {"<b>": 1.0}}
    events = [("sources", {"id": "1", "sources": sources}), ("answer", answer)]
    return "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events)


def test_characters_that_hide_or_turn_text_are_made_visible(visitor: Visitor) -> None:
    visitor.rank(HOSTILE, "query")
    marks = visitor.row(4).locator(".text .invisible")
    codes = [mark.get_attribute("data-code") for mark in marks.all()]
    assert codes == ["U+200B", "U+202E", "U+202C", "U+00AD"]
    shown = visitor.row(4).locator(".text .invisible").first
    content = shown.evaluate("node => getComputedStyle(node, '::after').content")
    assert "U+200B" in content or "attr" in content


def test_text_from_right_to_left_runs_so_and_turns_nothing_around_it(visitor: Visitor) -> None:
    visitor.rank(HOSTILE, "query")
    text = visitor.row(5).locator(".snippet")
    assert text.evaluate("node => getComputedStyle(node).direction") == "rtl"
    row = visitor.row(5)
    assert row.evaluate("node => getComputedStyle(node).direction") == "ltr"


def test_the_browser_refuses_markup_from_text_even_in_the_code_of_the_page(
    visitor: Visitor,
) -> None:
    refused = visitor.page.evaluate(
        "() => { try { document.body.innerHTML = '<p>'; return false; }"
        " catch (error) { return error instanceof TypeError; } }"
    )
    assert refused is True
    visitor.errors.clear()
