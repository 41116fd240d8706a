"""Whether two pictures show the same page.

Browsers of other versions and processors draw edges, shadows and form controls a little
differently, and may move a line by a pixel. So the pictures are compared at a quarter of their
size, a point differs only if one of its colours differs by more than a fifth of the range, and some
points may. What is missing or elsewhere in one region changes many points of that region, so each
region has a limit of its own beside that of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SCALE = 4
MAX_COLOR_DIFFERENCE = 50
MAX_SHARE = 0.004
# Points of a region, at each side: 80 pixels of the page.
REGION = 20
MAX_REGION_SHARE = 0.1
Points = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Difference:
    """The share of all points that differ, and that of the worst region with its position."""

    share: float
    region_share: float
    region: tuple[int, int]

    @property
    def is_too_large(self) -> bool:
        return self.share > MAX_SHARE or self.region_share > MAX_REGION_SHARE

    def __str__(self) -> str:
        x, y = (REGION * SCALE * part for part in self.region)
        return (
            f"{self.share:.2%} of the page differs (at most {MAX_SHARE:.1%}), and "
            f"{self.region_share:.0%} of the region at {x}, {y} (at most {MAX_REGION_SHARE:.0%})"
        )


EVERYTHING = Difference(1.0, 1.0, (0, 0))


def shrunk(picture: Image.Image) -> Image.Image:
    """As references are kept."""
    return picture.convert("RGB").reduce(SCALE)


def differing(first: Image.Image, second: Image.Image) -> Points:
    one_side, other_side = (np.asarray(picture, np.int16) for picture in (first, second))
    differences: Points = np.abs(one_side - other_side).max(axis=2) > MAX_COLOR_DIFFERENCE
    return differences


def difference(first: Image.Image, second: Image.Image) -> Difference:
    """Of two pictures that were shrunk; another size is another page."""
    if first.size != second.size:
        return EVERYTHING
    points = differing(first, second)
    shares = {
        (left // REGION, top // REGION): float(
            points[top : top + REGION, left : left + REGION].mean()
        )
        for top in range(0, points.shape[0], REGION)
        for left in range(0, points.shape[1], REGION)
    }
    region = max(shares, key=lambda position: shares[position])
    return Difference(float(points.mean()), shares[region], region)


def marked(picture: Image.Image, points: Points) -> Image.Image:
    """The picture with what differs in red, to look at."""
    pixels = np.asarray(picture.convert("RGB")).copy()
    pixels[points] = (255, 0, 0)
    return Image.fromarray(pixels)
