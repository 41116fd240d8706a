"""Marks in the header `Via` (RFC 9110, 7.6.3): a service recognises requests that it forwarded.

Entries of other software, such as proxies, do not indicate a loop and are not sent upstream.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence

HEADER = "Via"
MARK = re.compile(r"\brerankd-[0-9a-f]{16}\b")
ADVICE = (
    "look at RERANKD_MODEL, RERANKD_FALLBACK and RERANKD_UPSTREAM_URL of each service on the way"
)


def new_mark() -> str:
    """A mark for this process, unchanged until it ends."""
    return f"rerankd-{secrets.token_hex(8)}"


def read(value: str) -> list[str]:
    return MARK.findall(value)


def write(marks: Sequence[str]) -> str:
    return ", ".join(f"1.1 {mark}" for mark in marks)
