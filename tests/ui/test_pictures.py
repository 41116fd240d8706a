"""The page looks as it did: light, dark and on a phone, and a change of its looks is noticed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image, ImageChops
from playwright.sync_api import Browser

from tests.ui.comparing import Difference, difference, differing, marked, shrunk
from tests.ui.references import FOLDER, SCENES, photograph, prepared, write
from tests.ui.stage import Stage
from tests.ui.visitor import Visitor

# Changes that somebody may make by mistake; each has to be seen in the scene.
CHANGES = {
    ("rank-light", "no bars"): ".track { visibility: hidden }",
    ("rank-light", "no column of scores"): ".row .score { display: none }",
    ("rank-light", "no lines of movement"): ".slopes { visibility: hidden }",
    ("rank-light", "no judgements"): ".judge { visibility: hidden }",
    ("rank-light", "no figures above"): ".summary { display: none }",
    ("rank-light", "no state of the service"): "#status { visibility: hidden }",
    ("rank-light", "no handle of the minimum"): ".handle { visibility: hidden }",
    ("rank-light", "another colour of the bars"): ":root { --bar-from: gray; --bar-to: gray }",
    ("rank-light", "a wider form"): "#panel-rank { grid-template-columns: 420px 1fr }",
    ("rank-light", "smaller letters"): ".row .text { font-size: 11px }",
    ("rank-dark", "light in the dark"): ":root { color-scheme: light !important }",
    ("open-dark", "nothing marked"): "mark { background: none !important }",
    ("open-dark", "nothing grey"): ".unread { color: inherit; background: none }",
    ("compare-light", "no second ranking"): ".second { visibility: hidden }",
    ("compare-light", "no notice"): "#fallback-notice { visibility: hidden }",
    ("answer-light", "no sources"): ".sources { visibility: hidden }",
    (
        "answer-light",
        "nothing lights up",
    ): ".lit { all: revert-layer; background: none; border: 0 }",
    ("rank-phone-light", "wider than the screen"): ".board { min-width: 520px }",
    ("rank-phone-light", "no bars"): ".track { visibility: hidden }",
    ("code-phone-dark", "no code"): "#snippet { visibility: hidden }",
    ("answer-phone-dark", "no text"): ".prose { opacity: 0 }",
}


class Photographed(NamedTuple):
    name: str
    visitor: Visitor

    def difference(self) -> Difference:
        reference = Image.open(FOLDER / f"{self.name}.png").convert("RGB")
        return difference(reference, photograph(self.visitor.page))


@pytest.fixture(scope="module", params=list(SCENES))
def scene(
    request: pytest.FixtureRequest, chrome: Browser, playground: Stage
) -> Iterator[Photographed]:
    with prepared(chrome, playground, SCENES[request.param]) as visitor:
        yield Photographed(request.param, visitor)


def test_the_page_looks_as_in_its_reference(scene: Photographed, tmp_path: Path) -> None:
    picture = photograph(scene.visitor.page)
    reference = Image.open(FOLDER / f"{scene.name}.png").convert("RGB")
    measured = difference(reference, picture)
    if measured.is_too_large:
        path = tmp_path / f"{scene.name}.png"
        write(picture, path)
        if picture.size == reference.size:
            marked(picture, differing(reference, picture)).save(tmp_path / "difference.png")
        pytest.fail(
            f"{scene.name}: {measured}. Look at {path} and difference.png beside it; "
            "if the change is wanted: python -m tests.ui.references"
        )


def test_a_change_of_its_looks_is_noticed(scene: Photographed) -> None:
    """Otherwise the test above could not fail."""
    for (name, change), style in CHANGES.items():
        if name == scene.name:
            sheet = scene.visitor.page.add_style_tag(content=style)
            assert scene.difference().is_too_large, change
            sheet.evaluate("node => node.remove()")
    assert not scene.difference().is_too_large


def test_each_scene_has_a_reference_and_no_other_file_is_there() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(SCENES)
    assert {name for name, _ in CHANGES} <= set(SCENES)
    sizes = [path.stat().st_size for path in FOLDER.iterdir()]
    assert sum(sizes) < 300_000


@pytest.fixture(scope="module")
def drawn() -> Image.Image:
    """A page with sharp edges, in its full size."""
    picture = Image.new("RGB", (800, 640), "white")
    for left in range(20, 780, 60):
        for top in range(20, 620, 40):
            picture.paste((21, 24, 38), (left, top, left + 44, top + 9))
    return picture


def test_a_page_that_is_drawn_a_little_differently_is_the_same_page(drawn: Image.Image) -> None:
    generator = np.random.default_rng(1)
    pixels = np.asarray(drawn, np.int16)
    noise = generator.integers(-25, 26, pixels.shape)
    noisy = Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))
    brighter = drawn.point(lambda value: min(255, value + 20))
    for other in (drawn, noisy, brighter):
        assert not difference(shrunk(drawn), shrunk(other)).is_too_large


def test_a_page_that_has_moved_or_lost_something_is_another_page(drawn: Image.Image) -> None:
    moved = ImageChops.offset(drawn, 0, 6)
    lost = drawn.copy()
    lost.paste("white", (320, 300, 390, 360))  # one or two of 195 boxes
    taller = drawn.resize((800, 700))
    for other in (moved, lost, taller):
        assert difference(shrunk(drawn), shrunk(other)).is_too_large
