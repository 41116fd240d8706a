"""The pictures with which the page is compared.

python -m tests.ui.references    makes them again, after a change of the page that is wanted
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, Page, Route

from app.api.playground import FOLDER as PAGE_FOLDER
from tests.ui import fixed_service
from tests.ui.box_font import FAMILY, style_sheet
from tests.ui.comparing import shrunk
from tests.ui.stage import Stage, browser, chromium, stage
from tests.ui.visitor import Visitor

HEIGHT = 900
FOLDER = Path(__file__).parent / "pictures"
# Of the texts of the page; the font has all of them.
SOURCES = (*PAGE_FOLDER.iterdir(), Path(fixed_service.__file__))
# A time that is measured has another length on each machine.
FIXED_TIMES = """() => {
  for (const node of document.querySelectorAll("[data-figure='answered in'] strong")) {
    node.textContent = "5.0 ms";
  }
  for (const node of document.querySelectorAll(".comparison .hint")) {
    node.textContent = node.textContent.replace(/[\\d.]+ m?s/g, "5.0 ms");
  }
}"""


@dataclass(frozen=True, slots=True)
class Scene:
    scheme: Literal["light", "dark"]
    width: int
    prepare: Callable[[Visitor], None]


def ranked(visitor: Visitor) -> None:
    visitor.page.get_by_role("slider", name="Minimum score").focus()
    for _ in range(2):
        visitor.page.keyboard.press("PageUp")
    visitor.row(7).locator(".grade-1").click()
    visitor.row(0).locator(".grade-0").click()
    visitor.page.locator("header").click()  # or the lines of other rows would be faint


def opened(visitor: Visitor) -> None:
    visitor.page.get_by_role("button", name="Long documents").click()
    visitor.page.wait_for_selector(".row mark")
    visitor.page.wait_for_selector("#rank-button:not([aria-busy])")
    for index in (1, 0):
        visitor.row(index).locator(".text").click()
    visitor.page.locator("header").click()


def compared(visitor: Visitor) -> None:
    visitor.page.click("text=Compare with a second setting")
    visitor.page.select_option("#second-source", "fallback")
    visitor.rank()


def coded(visitor: Visitor) -> None:
    visitor.tool("code")


def answered(visitor: Visitor) -> None:
    visitor.page.get_by_role("tab", name="Answer").click()
    visitor.page.fill("#question", "How long may I keep a book?")
    visitor.page.click("#answer-button")
    visitor.page.wait_for_selector(".outcome-answered")
    visitor.page.locator(".cited").first.focus()


SCENES: Mapping[str, Scene] = {
    "rank-light": Scene("light", 1280, ranked),
    "rank-dark": Scene("dark", 1280, ranked),
    "open-dark": Scene("dark", 1280, opened),
    "compare-light": Scene("light", 1280, compared),
    "answer-light": Scene("light", 1280, answered),
    "rank-phone-light": Scene("light", 390, ranked),
    "code-phone-dark": Scene("dark", 390, coded),
    "compare-phone-light": Scene("light", 390, compared),
    "answer-phone-dark": Scene("dark", 390, answered),
}


def characters() -> set[str]:
    return {character for path in SOURCES for character in path.read_text()} | set("▲▼0123456789")


def with_boxes(route: Route) -> None:
    response = route.fetch()
    route.fulfill(response=response, body=response.text() + style_sheet(characters()))


@contextmanager
def prepared(opened_browser: Browser, playground: Stage, scene: Scene) -> Iterator[Visitor]:
    """The page of a scene, with fixed answers and with boxes for letters."""
    context = opened_browser.new_context(
        viewport={"width": scene.width, "height": HEIGHT},
        color_scheme=scene.scheme,
        reduced_motion="reduce",
        bypass_csp=True,  # which forbids fonts of a style sheet
    )
    page = context.new_page()
    fixed_service.stand_in(page)
    page.route("**/ui/base.css", with_boxes)
    visitor = Visitor(page, playground.service.url)
    visitor.open()
    page.wait_for_selector(".row mark")
    scene.prepare(visitor)
    page.wait_for_selector("#rank-button:not([aria-busy])", state="attached")
    assert page.evaluate(f"document.fonts.ready.then(() => document.fonts.check('12px {FAMILY}'))")
    yield visitor
    assert visitor.errors == []
    context.close()


def photograph(page: Page) -> Image.Image:
    """The whole page; from its top, as the form moves with it."""
    page.evaluate(FIXED_TIMES)
    page.evaluate("scrollTo(0, 0)")
    shot = page.screenshot(full_page=True, animations="disabled", caret="hide")
    return shrunk(Image.open(BytesIO(shot)))


def write(picture: Image.Image, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    picture.save(path, optimize=True)


def main() -> int:
    root = Path(__file__).parents[2]
    os.environ.setdefault("RERANKD_ENGINES", str(root / ".cache/engines"))
    path = chromium()
    if path is None:
        sys.stderr.write("chromium is not installed\n")
        return 1
    with (
        tempfile.TemporaryDirectory() as folder,
        stage(Path(folder)) as playground,
        browser(path) as opened_browser,
    ):
        for name, scene in SCENES.items():
            with prepared(opened_browser, playground, scene) as visitor:
                write(photograph(visitor.page), FOLDER / f"{name}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
