"""Documents are texts, whatever they hold."""

from __future__ import annotations

from playwright.sync_api import expect

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
