"""The texts of a request, each once with its key; in portions, for they may take megabytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from app.event_loop import pause
from app.rerank.query import Document

# Hashing so many takes some milliseconds.
MAX_UNBROKEN_CHARS = 1_048_576
TEXT_OVERHEAD_CHARS = 500


def is_blank(text: str) -> bool:
    return not text or text.isspace()


async def keys_of(documents: Sequence[Document], key: Callable[[str], bytes]) -> dict[str, bytes]:
    """In order, without blank ones. Other requests run between the portions."""
    keys: dict[str, bytes] = {}
    unbroken = 0
    for document in documents:
        unbroken += TEXT_OVERHEAD_CHARS + len(document.text)
        if unbroken > MAX_UNBROKEN_CHARS:
            unbroken = 0
            await pause()
        if document.text not in keys and not is_blank(document.text):
            keys[document.text] = key(document.text)
    return keys
