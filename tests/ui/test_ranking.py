"""The tab “Rank”: what was pasted, what moved, and why."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from app.api.dialects import DIALECTS
from tests.ui.stage import Stage
from tests.ui.visitor import Visitor

QUERY = "how long may I keep a book"
TEXTS = [
    "The library opens at nine.",
    "Books are lent for four weeks.",
    "The café sells soup and bread.",
]
SENTENCE = "Windows face the river and lamps are lit at three. "
KEY = "You may keep a book for four weeks."


def answer_of(playground: Stage, body: dict[str, object]) -> dict[str, object]:
    answer: dict[str, object] = httpx.post(
        f"{playground.service.url}/rerank", json=body, timeout=60
    ).json()
    return answer


def test_the_page_opens_with_an_example_that_is_ranked(visitor: Visitor) -> None:
    assert len(visitor.order()) == 10
    assert visitor.order()[0] == 7
    assert visitor.page.input_value("#query") == "how long may I keep the book"


CURL = """curl https://api.voyageai.com/v1/rerank -H "Content-Type: application/json" \\
  -d '{"query": "it'\\''s late", "documents": ["one", "two"], "model": "rerank-2.5"}'"""
PASTES = [
    ("a\n\nb\n\nc", "lines · 3 documents", None),
    ("first\nline\n\nsecond", "paragraphs · 2 documents", None),
    ('["a", {"text": "b", "id": 7}]', "JSON list · 2 documents", None),
    ('{"text": "a"}\n{"text": "b"}', "JSON lines · 2 documents", None),
    ('{"query": "q1", "documents": ["a", "b"], "relevant": [1]}\n{"query": "q2", "documents": []}',
     "JSON lines · 2 documents · The first of 2 queries is shown.", "q1"),
    ("id\ttext\n1\tsome words\n2\tother words", "tab-separated table · 2 documents", None),
    ("7\tthe longer column\n8\tof the table", "tab-separated table · 2 documents", None),
    (CURL, "curl command · 2 documents", "it's late"),
    ('{"query": {"text": "nim"}, "passages": [{"text": "a"}]}', "JSON body · 1 document", "nim"),
    ('{"query": "tei", "texts": ["a", "a", ""]}',
     "JSON body · 3 documents · 1 duplicate · 1 empty", "tei"),
    ('{"query": "mixed", "input": ["a"]}', "JSON body · 1 document", "mixed"),
    ('{"query": "v1", "documents": [{"title": "T", "body": "B"}], "rank_fields": ["body"]}',
     "JSON body · 1 document", "v1"),
    ('{"query": {"content": [{"type": "text", "text": "vllm"}]}, "documents": ["a"]}',
     "JSON body · 1 document", "vllm"),
    ("curl http://localhost/info", "This curl command has no body (-d or --json).", None),
]  # fmt: skip


def test_whatever_is_pasted_is_recognised(visitor: Visitor) -> None:
    for raw, recognised, query in PASTES:
        visitor.paste(raw, "before")
        expect(visitor.page.locator("#recognised")).to_have_text(recognised)
        expect(visitor.page.locator("#query")).to_have_value(query or "before")


def test_a_table_gives_the_column_with_the_texts(visitor: Visitor) -> None:
    parsed = visitor.module("paste.js", "m.parse(a).documents", "id\ttext\n1\tsome\n2\tother")
    assert parsed == ["some", "other"]
    assert visitor.module("paste.js", "m.shellWords(a)", r"""a 'b c' "d\"e" $'f\ng' h\ i""") == [
        "a", "b c", 'd"e', "f\ng", "h i",
    ]  # fmt: skip


def test_a_file_is_read(visitor: Visitor, tmp_path: Path) -> None:
    file = tmp_path / "list.jsonl"
    file.write_text(json.dumps({"query": QUERY, "documents": TEXTS, "relevant": [1]}) + "\n")
    visitor.page.set_input_files("#file", file)
    expect(visitor.page.locator("#recognised")).to_have_text("JSON body · 3 documents")
    visitor.rank()
    assert visitor.figure("MRR") == "0.50 → 1.00"  # the judgement of the file counts


def test_a_file_that_is_dropped_is_read_and_keeps_its_order_as_before(visitor: Visitor) -> None:
    table = "id\ttext\n" + "".join(f"{index}\t{text}\n" for index, text in enumerate(TEXTS))
    visitor.page.fill("#query", QUERY)
    visitor.page.evaluate(
        """table => {
          const data = new DataTransfer();
          data.items.add(new File([table], "list.tsv", { type: "text/tab-separated-values" }));
          const options = { dataTransfer: data, bubbles: true, cancelable: true };
          document.getElementById("documents").dispatchEvent(new DragEvent("drop", options));
        }""",
        table,
    )
    expect(visitor.page.locator("#recognised")).to_have_text("tab-separated table · 3 documents")
    visitor.rank()
    assert visitor.page.locator(".given .short").all_inner_texts() == TEXTS


def test_each_example_is_ranked(visitor: Visitor) -> None:
    buttons = visitor.page.locator("#examples button")
    assert buttons.count() >= 4
    for name in buttons.all_inner_texts():
        visitor.page.get_by_role("button", name=name, exact=True).click()
        visitor.wait_for_ranking()
        count = visitor.page.locator(".given-item").count()
        assert count >= 5, name
        expect(visitor.page.locator("#recognised")).to_contain_text(f"{count} documents")


def test_a_curl_command_of_each_dialect_is_read_back(visitor: Visitor) -> None:
    visitor.rank(TEXTS, QUERY)
    panel = visitor.tool("code")
    for dialect in DIALECTS:
        panel.locator("#code-dialect").select_option(dialect.name)
        parsed = visitor.module("paste.js", "m.parse(a)", panel.locator("#snippet").inner_text())
        texts = [text if isinstance(text, str) else text["text"] for text in parsed["documents"]]
        read = (parsed["kind"], parsed["query"], texts)
        assert read == ("curl", QUERY, TEXTS), dialect.name


def test_the_picture_shows_the_order_and_the_scores_of_the_answer(
    visitor: Visitor, playground: Stage
) -> None:
    visitor.rank(TEXTS, QUERY)
    answer = answer_of(playground, {"query": QUERY, "documents": TEXTS})
    results = answer["results"]
    assert isinstance(results, list)
    assert visitor.order() == [result["index"] for result in results]
    for rank, result in enumerate(results):
        row = visitor.row(result["index"])
        assert row.locator(".score .value").inner_text() == f"{result['relevance_score']:.3f}"
        assert f"was {result['index'] + 1}" in str(row.locator(".rank").text_content())
        change = result["index"] - rank
        assert f"slope {'same' if not change else 'up' if change > 0 else 'down'}" == (
            visitor.page.locator(f".slope[data-index='{result['index']}']").get_attribute("class")
        )
    assert visitor.figure("moved") == "2 of 3"


# From the bounding box without the stroke.
ENDS = """path => {
  const [box, top] = [path.getBBox(), path.ownerSVGElement.getBoundingClientRect().top];
  return [top + box.y, top + box.y + box.height];
}"""
MIDDLE = """number => {
  const box = number.getBoundingClientRect();
  return box.top + box.height / 2;
}"""


def test_each_line_leads_from_the_given_number_to_the_row(visitor: Visitor) -> None:
    visitor.rank(TEXTS, QUERY)
    visitor.row(0).locator(".text").click()  # a row that opens moves those below it
    for index in range(3):
        ends = visitor.page.locator(f".slope[data-index='{index}']").evaluate(ENDS)
        numbers = [
            visitor.page.locator(f".given-item[data-index='{index}'] .number").evaluate(MIDDLE),
            visitor.row(index).locator(".rank .number").evaluate(MIDDLE),
        ]
        assert ends == pytest.approx(sorted(numbers), abs=1)


def test_a_line_that_is_followed_stays_so_when_it_is_drawn_again(visitor: Visitor) -> None:
    visitor.rank(TEXTS, QUERY)
    visitor.row(1).locator(".text").focus()
    before = visitor.page.locator(".slope").first.evaluate_handle("line => line")
    visitor.page.keyboard.press("Enter")  # the row opens and moves the lines
    visitor.page.wait_for_function("line => !line.isConnected", arg=before)
    near = [line.get_attribute("data-index") for line in visitor.page.locator(".slope.near").all()]
    assert near == ["1"]


def test_scores_are_bars_on_one_scale_and_change_their_kind(
    visitor: Visitor, playground: Stage
) -> None:
    visitor.rank(TEXTS, QUERY)
    sizes = [
        float(bar.evaluate("bar => getComputedStyle(bar).getPropertyValue('--size')"))
        for bar in visitor.page.locator(".after .track").all()
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 0.4
    visitor.page.get_by_text("logit", exact=True).click()
    expect(visitor.page.locator(".row .value").last).to_contain_text("-")
    visitor.page.get_by_text("calibrated", exact=True).click()
    best = visitor.page.locator(".row .value").first
    answer = answer_of(playground, {"query": QUERY, "documents": TEXTS, "score": "calibrated"})
    results = answer["results"]
    assert isinstance(results, list)
    expect(best).to_have_text(f"{results[0]['relevance_score']:.3f}")


def test_the_line_of_the_minimum_is_moved_by_keys_and_by_dragging(visitor: Visitor) -> None:
    visitor.rank(TEXTS, QUERY)
    handle = visitor.page.get_by_role("slider", name="Minimum score")
    handle.focus()
    visitor.page.keyboard.press("End")
    assert visitor.figure("kept") == "0"
    visitor.page.keyboard.press("Home")
    assert visitor.figure("kept") == "3"
    scale = visitor.page.locator(".scale").bounding_box()
    knob = visitor.page.locator(".handle-label").bounding_box()
    assert scale is not None
    assert knob is not None
    visitor.page.mouse.move(knob["x"] + knob["width"] / 2, knob["y"] + 5)
    visitor.page.mouse.down()
    visitor.page.mouse.move(scale["x"] + scale["width"] * 0.6, knob["y"] + 5, steps=4)
    visitor.page.mouse.up()
    value = float(str(handle.get_attribute("aria-valuenow")))
    assert value == pytest.approx(float(str(handle.get_attribute("aria-valuemax"))) * 0.6, rel=0.1)
    below = visitor.page.locator(".row.below").count()
    assert visitor.figure("kept") == str(3 - below)


def test_sentences_that_count_are_marked_and_open_with_the_row(visitor: Visitor) -> None:
    document = f"{SENTENCE * 3}{KEY} {SENTENCE * 2}"
    visitor.rank([TEXTS[0], document], QUERY)
    row = visitor.row(1)
    expect(row.locator("mark.level-5").first).to_have_text(KEY)
    row.locator(".text").click()
    assert row.locator(".text").get_attribute("aria-expanded") == "true"
    assert row.locator(".whole").text_content() == document
    expect(row.locator(".best-sentences li").first).to_contain_text(KEY)
    expect(row.locator(".details .hint").first).to_contain_text("tokens, all read")


def test_what_was_cut_is_grey_with_its_tokens(visitor: Visitor) -> None:
    document = f"{KEY} {SENTENCE * 90}"
    visitor.rank([document, TEXTS[0]], QUERY)
    row = visitor.row(0)
    expect(row.locator(".badge")).to_contain_text("tokens read")
    row.locator(".text").click()
    unread = str(row.locator(".whole .unread").first.text_content())
    assert document.endswith(unread)
    assert 0 < len(unread) < len(document)


def test_windows_are_drawn_and_the_best_stands_out(visitor: Visitor) -> None:
    visitor.page.click("text=How documents are read")
    visitor.page.select_option("#a-long_documents", "windows")
    visitor.rank([f"{SENTENCE * 90}{KEY}", TEXTS[0]], QUERY)
    row = visitor.row(0)
    row.locator(".text").click()
    windows = row.locator(".window")
    assert windows.count() >= 3
    assert "best" in str(windows.last.get_attribute("class"))
    assert row.locator(".unread").count() == 0


def test_duplicates_and_empty_documents_are_marked(visitor: Visitor) -> None:
    visitor.rank(["same", "", "same"], "same")
    expect(visitor.row(2).locator(".badge")).to_have_text("same text as 1")
    expect(visitor.row(1).locator(".text")).to_have_text("empty document")
    assert visitor.order()[-1] == 1
    assert visitor.row(1).locator(".value").inner_text() == "\N{EN DASH}"


def test_a_long_list_shows_its_best_first_and_all_on_request(visitor: Visitor) -> None:
    visitor.rank([f"document number {number}" for number in range(130)], QUERY)
    assert visitor.page.locator(".row").count() == 100
    visitor.page.click("text=Show all 130 documents")
    assert visitor.page.locator(".row").count() == 130


def test_what_the_service_refuses_is_said_in_its_words(visitor: Visitor) -> None:
    visitor.paste("\n".join(f"{number}" for number in range(1001)), QUERY)
    visitor.page.click("#rank-button")
    problem = visitor.page.locator("#problem")
    expect(problem).to_contain_text("1000")
    expect(problem).to_contain_text("status 4")


def test_without_a_query_or_documents_nothing_is_sent(visitor: Visitor) -> None:
    visitor.paste("", "")
    visitor.requests.clear()
    visitor.page.click("#rank-button")
    expect(visitor.page.locator("#recognised")).to_have_text("Write a query.")
    visitor.page.fill("#query", QUERY)
    visitor.page.keyboard.press("Control+Enter")
    expect(visitor.page.locator("#recognised")).to_have_text("Paste at least one document.")
    assert [request for request in visitor.requests if request.method == "POST"] == []
