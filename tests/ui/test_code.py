"""“Copy as code”, and where the time went."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO

import pytest
from playwright.sync_api import expect

from app.api.dialects import DIALECTS
from tests.ui.stage import Stage
from tests.ui.visitor import Visitor

QUERY = 'it\'s "quoted" \\ and 🌊 $HOME `x`'
LANGUAGES = ("curl", "Python", "JavaScript")
SCORES = ("relevance_score", "score", "logit")
DOCUMENTS = ["it's one", {"text": "two \u2028 lines\nof text", "id": 7, "page": None}]


def choose(visitor: Visitor, dialect: str, language: str) -> str:
    visitor.tool("code")
    visitor.page.select_option("#code-dialect", dialect)
    visitor.page.select_option("#code-language", language)
    return visitor.page.inner_text("#snippet")


def test_the_page_knows_each_dialect_of_the_service(visitor: Visitor) -> None:
    named = visitor.module("dialects.js", "m.DIALECTS.map(({name, path}) => [name, path])")
    paths = {dialect.name: set(dialect.paths) for dialect in DIALECTS}
    assert {name for name, _ in named} == paths.keys()
    assert [name for name, path in named if path not in paths[name]] == []


def test_the_request_in_each_dialect_is_answered_exactly(visitor: Visitor) -> None:
    visitor.rank(DOCUMENTS, QUERY)
    panel = visitor.tool("code")
    for name in [dialect.name for dialect in DIALECTS]:
        visitor.page.select_option("#code-dialect", name)
        with visitor.page.expect_response(
            lambda response: response.request.method == "POST"
        ) as sent:
            panel.get_by_role("button", name="Send it").click()
        expect(panel.locator("#exact-answer")).to_be_visible()
        assert sent.value.status == 200, (name, sent.value.text())
        shown = json.loads(panel.locator("#exact-answer").inner_text())
        assert shown == sent.value.json()


def printed(*command: str) -> object:
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def test_the_code_for_curl_and_python_runs_as_it_is(visitor: Visitor) -> None:
    visitor.rank(DOCUMENTS, QUERY)
    answers = [
        json.loads(str(printed("bash", "-c", choose(visitor, "native", "curl")))),
        eval(str(printed(sys.executable, "-c", choose(visitor, "native", "Python")))),
        json.loads(str(printed("bash", "-c", choose(visitor, "jina", "curl")))),
    ]
    orders = [[result["index"] for result in answer["results"]] for answer in answers]
    assert orders == [visitor.order()] * 3
    assert answers[2]["results"][visitor.order().index(1)]["document"] == DOCUMENTS[1]


def test_the_code_of_each_dialect_and_language_sends_its_request(visitor: Visitor) -> None:
    """JavaScript in the page; Python in this process, as importing httpx takes a while."""
    visitor.rank(DOCUMENTS, QUERY)
    for name in [dialect.name for dialect in DIALECTS]:
        answers = [
            json.loads(str(printed("bash", "-c", choose(visitor, name, "curl")))),
            executed(choose(visitor, name, "Python")),
            logged(visitor, choose(visitor, name, "JavaScript")),
        ]
        scores = [scores_of(answer) for answer in answers]
        assert scores == [scores[0]] * len(LANGUAGES), name
        assert scores[0], name
    visitor.errors.clear()


def executed(code: str) -> object:
    output = StringIO()
    with redirect_stdout(output):
        exec(code, {})
    return ast.literal_eval(output.getvalue())


def logged(visitor: Visitor, code: str) -> object:
    """What the code prints in the page."""
    with visitor.page.expect_console_message() as message:
        visitor.page.evaluate(f"async () => {{ {code} }}")
    value: object = message.value.args[0].json_value()
    return value


def scores_of(answer: object) -> list[float]:
    """In order, wherever the API has them."""
    if isinstance(answer, list):
        return [score for part in answer for score in scores_of(part)]
    if not isinstance(answer, dict):
        return []
    own = [round(answer[key], 4) for key in SCORES if isinstance(answer.get(key), float)]
    return own + [score for value in answer.values() for score in scores_of(value)]


def test_the_code_for_javascript_runs_as_it_is(visitor: Visitor) -> None:
    visitor.rank(DOCUMENTS, QUERY)
    code = choose(visitor, "native", "JavaScript")
    with visitor.page.expect_response("**/rerank") as sent:
        visitor.page.evaluate(f"async () => {{ {code} }}")
    assert sent.value.request.post_data_json == {"query": QUERY, "documents": DOCUMENTS}
    visitor.errors.clear()


def test_the_code_has_the_settings_of_the_form(visitor: Visitor) -> None:
    visitor.page.click("text=How documents are read")
    visitor.page.select_option("#a-truncation_direction", "left")
    visitor.rank(["a", "b"], "query")
    visitor.page.get_by_text("logit", exact=True).click()
    visitor.wait_for_ranking()
    handle = visitor.page.get_by_role("slider", name="Minimum score")
    handle.focus()
    visitor.page.keyboard.press("PageUp")
    code = choose(visitor, "native", "curl")
    body = json.loads(code.split("-d '")[1].removesuffix("'"))
    assert body["score"] == "logit"
    assert body["truncation_direction"] == "left"
    assert body["min_score"] == pytest.approx(float(str(handle.get_attribute("aria-valuenow"))))


def test_code_is_copied_without_a_key(visitor: Visitor, playground: Stage) -> None:
    context = visitor.page.context
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=playground.service.url)
    visitor.page.click("#key-button")
    visitor.page.fill("#api-key", "a-secret-key")
    visitor.page.click("text=Use these keys")
    for language in LANGUAGES:
        code = choose(visitor, "tei", language)
        visitor.tool("code").get_by_role("button", name="Copy", exact=True).click()
        expect(visitor.page.locator("#announcement")).to_have_text("Copied.")
        copied = visitor.page.evaluate("navigator.clipboard.readText()")
        assert copied.strip() == code.strip()
        assert "a-secret-key" not in copied


def test_the_time_of_each_stage_and_the_request_are_shown(visitor: Visitor) -> None:
    texts = ["a text that nobody has sent before", "a text that nobody has sent before", "other"]
    visitor.rank(texts, "query for the first time")
    panel = visitor.tool("time")
    legend = panel.locator(".legend").inner_text()
    for stage in ("tokenize", "queue", "compute", "rest of the service", "network and page"):
        assert stage in legend
    facts = panel.locator(".facts").inner_text().splitlines()
    values = dict(zip(facts[::2], facts[1::2], strict=True))
    assert values["From the cache"] == "0 of 3 documents"
    assert values["Duplicates"] == "1, computed once"
    assert values["Computed now"] == "2"
    assert values["Scored by"] == "rerankd-minilm"
    assert int(values["Tokens"]) > 10
    assert len(values["Request"]) == 32
    visitor.rank()
    assert "3 of 3 documents" in visitor.tool("time").inner_text() or (
        "2 of 3 documents" in visitor.tool("time").inner_text()
    )
