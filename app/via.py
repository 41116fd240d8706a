"""Who passed a request on: the marks in `Via` (RFC 9110, 7.6.3) by which a service knows its own.

Entries of others, proxies most likely, say nothing of a circle, and are nobody's business upstream.
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
    """Of one process, for as long as it lives."""
    return f"rerankd-{secrets.token_hex(8)}"


def read(value: str) -> list[str]:
    return MARK.findall(value)


def write(marks: Sequence[str]) -> str:
    return ", ".join(f"1.1 {mark}" for mark in marks)
