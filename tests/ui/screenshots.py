"""Makes the pictures of docs/how-to/playground.md from the running page.

python -m tests.ui.screenshots
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from tests.ui.stage import FILES, Stage, browser, chromium, stage
from tests.ui.visitor import Visitor

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/how-to"
WIDTH, HEIGHT = 1360, 860


def drawn(visitor: Visitor, _: Stage) -> None:
    visitor.page.get_by_role("slider", name="Minimum score").focus()
    for _step in range(2):
        visitor.page.keyboard.press("PageUp")
    visitor.page.locator(".row .grade-1").first.click()
    visitor.page.locator("header").click()


def odd(visitor: Visitor, _: Stage) -> None:
    visitor.page.get_by_role("button", name="Odd documents").click()
    visitor.page.wait_for_selector(".row .badge")
    visitor.page.wait_for_selector(".row mark")
    visitor.page.locator(".row .text").first.click()
    visitor.page.locator("header").click()


def compared(visitor: Visitor, _: Stage) -> None:
    visitor.page.get_by_role("button", name="Long documents").click()
    visitor.page.click("text=Compare with a second setting")
    visitor.page.select_option("#b-long_documents", "cut")
    visitor.rank()
    visitor.page.wait_for_selector(".row mark")
    visitor.page.locator(".row .text").first.click()
    visitor.page.locator("header").click()


def answered(visitor: Visitor, playground: Stage) -> None:
    playground.let_the_model_write_on()
    visitor.page.get_by_role("tab", name="Answer").click()
    visitor.page.fill("#question", "How long may I keep a book?")
    visitor.page.fill("#initial-k", str(len(FILES) + 8))
    visitor.page.fill("#final-k", "3")
    visitor.page.click("#answer-button")
    visitor.page.wait_for_selector(".outcome-answered")
    visitor.page.locator(".cited").first.hover()


PICTURES: dict[str, tuple[str, Callable[[Visitor, Stage], None]]] = {
    "light": ("light", drawn),
    "dark": ("dark", odd),
    "compare": ("light", compared),
    "answer": ("light", answered),
}


def photograph(opened: Browser, playground: Stage, name: str, folder: Path) -> Path:
    scheme: Any
    scheme, prepare = PICTURES[name]
    context = opened.new_context(
        viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme, reduced_motion="reduce"
    )
    visitor = Visitor(context.new_page(), playground.service.url)
    visitor.open()
    prepare(visitor, playground)
    path = folder / f"playground-{name}.png"
    visitor.page.screenshot(path=path, animations="disabled")
    context.close()
    return path


def main() -> int:
    os.environ.setdefault("RERANKD_ENGINES", str(ROOT / ".cache/engines"))
    path = chromium()
    if path is None:
        sys.stderr.write("chromium is not installed\n")
        return 1
    with (
        tempfile.TemporaryDirectory() as folder,
        stage(Path(folder)) as playground,
        browser(path) as opened,
    ):
        for name in PICTURES:
            photograph(opened, playground, name, FOLDER)
    return 0


if __name__ == "__main__":
    sys.exit(main())
