"""A passage's words as an extract may show them: nothing in them poses as the answer's own.

A marker would cite another passage, a picture would be fetched by whoever shows the answer, a link
or an element of HTML would act in the answer's name. What is shown must hold also where code is
not recognized as it is here, so each of them is broken within code too.
"""

from __future__ import annotations

import re

CODE = r"(?P<code>`[^`\n]*`)"
LINK = re.compile(rf"{CODE}|!?\[(?P<text>[^\[\]]*)\]\([^()]*\)")
MARKER = re.compile(rf"{CODE}|[\[【]\s*(?P<numbers>\d[\d\s,;]*)[\]】]")
OPENING = re.compile(r"[\[【](?=\s*\d)")  # of a marker
ACTIVE = re.compile(r"\](?=[(:])|<(?=[A-Za-z/!?])")  # in links and their definitions, and in HTML
NESTED = 2  # a picture in a link


def quoted(text: str) -> str:
    """Of a link its text, of a picture what it is called; a marker in parentheses."""
    words = text
    for _ in range(NESTED):
        words = LINK.sub(lambda part: part[0] if part["code"] else part["text"], words)
    words = MARKER.sub(unmarked, words if words.strip() else text)
    return ACTIVE.sub(r"\g<0> ", words)


def unmarked(part: re.Match[str]) -> str:
    if part["code"]:
        return OPENING.sub(r"\g<0> ", part[0])
    return f"({part['numbers'].strip()})"
