"""Somebody who uses the page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from playwright.sync_api import ConsoleMessage, Locator, Page, Request

# The browser logs each refused request; the page shows what was refused.
REFUSED = "Failed to load resource"


class Visitor:
    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.errors: list[str] = []
        self.requests: list[Request] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._note)
        page.on("request", self._count)

    def _count(self, request: Request) -> None:
        self.requests.append(request)

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and REFUSED not in message.text:
            self.errors.append(message.text)

    def open(self, fragment: str = "") -> None:
        """Until the first list is ranked and its sentences are marked."""
        self.page.goto(f"{self.url}/ui{fragment}")
        self.wait_for_ranking()

    def wait_for_ranking(self) -> None:
        self.page.wait_for_selector("#rank-button:not([aria-busy])")
        self.page.wait_for_selector(".row")
        self.page.wait_for_selector("#rank-button:not([aria-busy])")

    def paste(self, documents: str, query: str | None = None) -> None:
        if query is not None:
            self.page.fill("#query", query)
        self.page.fill("#documents", documents)

    def rank(self, documents: str | Sequence[Any] | None = None, query: str | None = None) -> None:
        if documents is not None:
            raw = documents if isinstance(documents, str) else json.dumps(documents)
            self.paste(raw, query)
        old = self.page.evaluate_handle("document.querySelector('.board')")
        self.page.click("#rank-button")
        # The board of this ranking is a new element.
        self.page.wait_for_function(
            "old => document.querySelector('.board') && document.querySelector('.board') !== old",
            arg=old,
        )
        self.wait_for_ranking()

    def row(self, index: int) -> Locator:
        """Of the document with this position in the given order, from 0."""
        return self.page.locator(f".row[data-index='{index}']")

    def order(self) -> list[int]:
        rows = self.page.locator(".row")
        return [int(str(row.get_attribute("data-index"))) for row in rows.all()]

    def figure(self, name: str) -> str:
        return self.page.inner_text(f".figure[data-figure='{name}'] strong")

    def tool(self, name: str) -> Locator:
        """A panel below the figures, opened."""
        button = self.page.locator(f"[data-tool='{name}']")
        if button.get_attribute("aria-expanded") == "false":
            button.click()
        return self.page.locator(f"#tool-{name}")

    def module(self, name: str, expression: str, argument: Any = None) -> Any:
        """The value of an expression over the exports `m` of a module, and the argument `a`."""
        script = f"async (a) => {{ const m = await import('/ui/{name}'); return {expression}; }}"
        return self.page.evaluate(script, argument)
