from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.ui.stage import Stage, browser, chromium, stage
from tests.ui.visitor import Visitor

# As long as a busy machine may take; no test waits for it to pass.
SECONDS = 30
expect.set_options(timeout=SECONDS * 1000)


@pytest.fixture(scope="package")
def chrome(playground: Stage) -> Iterator[Browser]:
    """Of this folder: Playwright's loop must end before tests with a loop of their own run."""
    with browser(str(chromium())) as opened:
        yield opened


@pytest.fixture(scope="session")
def playground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One service for all: its start takes longer than the tests of a file."""
    if chromium() is None:
        pytest.skip("chromium is not installed; .ci/run installs it")
    with stage(tmp_path_factory.mktemp("playground")) as opened:
        yield opened


@pytest.fixture(scope="package")
def context(chrome: Browser) -> Iterator[BrowserContext]:
    """One for all: the browser keeps the files of the page, and asks whether they changed."""
    opened = chrome.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    opened.set_default_timeout(SECONDS * 1000)
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    opened = context.new_page()
    yield opened
    opened.close()


@pytest.fixture
def visitor(page: Page, playground: Stage) -> Iterator[Visitor]:
    """Somebody who opened the page; whatever the page reports as an error fails the test."""
    visitor = Visitor(page, playground.service.url)
    visitor.open()
    yield visitor
    assert visitor.errors == []
