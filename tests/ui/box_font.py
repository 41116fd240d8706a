"""A font whose letters are boxes of one width: a picture then depends on no font of the machine."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from io import BytesIO

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

FAMILY = "Boxes"
UNITS, ADVANCE = 1000, 500
ASCENT, DESCENT = 800, 200
LEFT, RIGHT, TOP = 30, 470, 560
BOX, SPACE = "box", "space"


def draw(right: int) -> TTGlyphPen:
    pen = TTGlyphPen(None)
    if right > LEFT:
        pen.moveTo((LEFT, 0))
        for point in ((LEFT, TOP), (right, TOP), (right, 0)):
            pen.lineTo(point)
        pen.closePath()
    return pen


def box_font(characters: Iterable[str]) -> bytes:
    """Has a box for each of the characters; the browser takes others from the machine."""
    builder = FontBuilder(UNITS, isTTF=True)
    builder.setupGlyphOrder([".notdef", SPACE, BOX])
    builder.setupCharacterMap(
        {ord(character): SPACE if character.isspace() else BOX for character in characters}
    )
    box = draw(RIGHT).glyph()
    builder.setupGlyf({".notdef": box, SPACE: draw(0).glyph(), BOX: box})
    builder.setupHorizontalMetrics(dict.fromkeys((".notdef", SPACE, BOX), (ADVANCE, LEFT)))
    builder.setupHorizontalHeader(ascent=ASCENT, descent=-DESCENT)
    builder.setupNameTable({"familyName": FAMILY, "styleName": "Regular"})
    builder.setupOS2(
        sTypoAscender=ASCENT, sTypoDescender=-DESCENT, usWinAscent=ASCENT, usWinDescent=DESCENT
    )
    builder.setupPost()
    file = BytesIO()
    builder.save(file)
    return file.getvalue()


def style_sheet(characters: Iterable[str]) -> str:
    """Rules that draw all texts of a page with this font, whatever its own rules say."""
    address = f"data:font/ttf;base64,{b64encode(box_font(characters)).decode()}"
    return (
        f'@font-face {{ font-family: {FAMILY}; src: url("{address}"); font-weight: 1 1000; }}\n'
        "*, *::before, *::after, ::placeholder {"
        f" font-family: {FAMILY} !important; font-synthesis: none !important;"
        # Or some browsers round the width of each letter to whole pixels.
        " text-rendering: geometricPrecision !important; }\n"
    )
