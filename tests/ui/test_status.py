"""The status line: honest while the service starts, needs a key, is full, or passes texts on."""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import Page, Route, expect

from tests.live.service import running
from tests.ui.stage import Stage
from tests.ui.visitor import Visitor

REFUSAL = '{"type": "overloaded", "title": "Full", "detail": "the queue is full", "status": 429}'
METRICS = """# HELP rerankd_request_seconds x
rerankd_request_seconds_bucket{le="0.1",outcome="ok",route="/rerank"} 80.0
rerankd_request_seconds_bucket{le="0.5",outcome="ok",route="/rerank"} 100.0
rerankd_request_seconds_bucket{le="+Inf",outcome="ok",route="/rerank"} 100.0
rerankd_request_seconds_bucket{le="0.1",outcome="ok",route="/metrics"} 900.0
rerankd_request_seconds_bucket{le="0.5",outcome="ok",route="/metrics"} 900.0
rerankd_request_seconds_bucket{le="+Inf",outcome="ok",route="/metrics"} 900.0
rerankd_queue_tokens 500.0
rerankd_queue_tokens_limit 1000.0
rerankd_tokens_total{kind="text"} 300.0
rerankd_tokens_total{kind="padding"} 100.0
"""


# Loads its model as soon as there is a file with the name of the first argument.
LOADS_AFTER = """
import sys, time
from pathlib import Path
from app import cli
from app.compose import loading

release, load_soon = Path(sys.argv.pop(1)), loading.load_soon

def load_after(*arguments, **options):
    while not release.exists():
        time.sleep(0.01)
    return load_soon(*arguments, **options)

loading.load_soon = load_after
sys.exit(cli.main())
"""


def test_the_model_the_engine_and_the_load_are_shown(visitor: Visitor) -> None:
    status = visitor.page.locator("#status")
    expect(status.locator(".light")).to_have_text("ready")
    expect(status.locator("[data-status='model']")).to_contain_text("rerankd-minilm")
    expect(status.locator("[data-status='engine']")).to_contain_text("cpu")
    expect(status.locator("[data-status='queue']")).to_contain_text("0%")
    expect(status.locator("[data-status='p95']")).to_contain_text("s")
    expect(status.locator("[data-status='padding']")).to_contain_text("%")
    expect(status.locator("[data-status='rate']")).to_contain_text("requests/s")


def test_figures_are_those_of_the_time_between_two_readings(visitor: Visitor) -> None:
    script = "m.figuresOf(m.readMetrics(a[0]), m.readMetrics(a[1]), 10)"
    earlier = METRICS.replace("80.0", "30.0").replace("100.0", "50.0")
    figures = visitor.module("metrics.js", script, [METRICS, earlier])
    assert figures["perSecond"] == 5.0
    assert 0.1 <= figures["p95"] <= 0.5 or figures["p95"] < 0.1
    assert figures["padding"] == 0.25
    assert (figures["queue"], figures["queueLimit"]) == (500, 1000)
    whole = visitor.module("metrics.js", "m.figuresOf(m.readMetrics(a), null, 0)", METRICS)
    assert whole["perSecond"] is None
    assert 0.3 < whole["p95"] < 0.5


def test_a_full_service_counts_down_to_when_it_may_be_tried_again(visitor: Visitor) -> None:
    def refuse(route: Route) -> None:
        headers = {"Retry-After": "8", "retry-after-ms": "7200", "X-Request-ID": "r1"}
        route.fulfill(status=429, headers=headers, body=REFUSAL, content_type="application/json")

    visitor.page.route("**/rerank", refuse)
    visitor.page.clock.install()  # the seconds pass when the test says so
    visitor.page.click("#rank-button")
    problem = visitor.page.locator("#problem")
    expect(problem).to_contain_text("the queue is full")
    expect(problem).to_contain_text("request r1")
    visitor.page.clock.run_for(200)
    expect(problem.locator(".countdown")).to_contain_text("Room again in about")
    again = problem.get_by_role("button", name="Try again")
    expect(again).to_be_disabled()
    visitor.page.clock.run_for(8000)
    expect(again).to_be_enabled()
    visitor.page.unroute("**/rerank")
    again.click()
    visitor.wait_for_ranking()
    expect(problem).to_be_empty()


def test_a_service_that_starts_says_so_and_then_asks_for_a_key(page: Page, tmp_path: Path) -> None:
    release = tmp_path / "release"
    program = (sys.executable, "-c", LOADS_AFTER, str(release), "serve")
    keys = {"api_keys": "right-key", "metrics_key": "metrics-key"}
    with running(wait=False, program=program, **keys) as service:
        visitor = Visitor(page, service.url)
        page.goto(f"{service.url}/ui")
        status = page.locator("#status")
        expect(status).to_contain_text("not ready: the model is loading")
        expect(status).to_contain_text("a key is needed")
        release.touch()
        service.wait_until_ready()
        expect(status.locator(".light")).to_have_text("ready")
        page.click("#rank-button")
        expect(page.locator("#problem")).to_contain_text("API key")
        page.click("#key-button")
        page.fill("#api-key", "right-key")
        page.keyboard.press("Enter")
        visitor.wait_for_ranking()  # the first example, as soon as there is a key
        expect(status).to_contain_text("metrics need their own key")
        page.click("#key-button")
        page.fill("#metrics-key", "metrics-key")
        page.keyboard.press("Enter")
        expect(status.locator("[data-status='queue']")).to_be_visible()
        assert visitor.errors == []
        assert "right-key" not in str(service.log)


def test_a_service_that_passes_texts_on_says_so_plainly(page: Page, playground: Stage) -> None:
    with running(model=playground.service.url) as service:
        visitor = Visitor(page, service.url)
        visitor.open()
        notice = page.get_by_role("note")
        expect(notice).to_contain_text("Another service ranks here")
        expect(notice).to_contain_text("sent to it")
        assert page.locator("input[value=calibrated]").is_disabled()  # no calibration is loaded
        visitor.row(0).locator(".text").click()
        expect(visitor.row(0).locator(".details")).to_contain_text("explain was ignored")
        page.get_by_role("tab", name="Answer").click()
        page.fill("#question", "anything")
        page.click("#answer-button")
        expect(page.locator("#answer-problem")).to_be_visible()
        assert visitor.errors == []
