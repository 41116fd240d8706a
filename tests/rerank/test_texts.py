from __future__ import annotations

import asyncio

import pytest

from app.rerank.cache import pair_key
from app.rerank.query import Document
from app.rerank.texts import MAX_UNBROKEN_CHARS, TEXT_OVERHEAD_CHARS, is_blank, keys_of

pytestmark = pytest.mark.anyio


def documents(*texts: str) -> list[Document]:
    return [Document(text) for text in texts]


async def test_each_text_has_its_key_once_and_in_order_and_blank_ones_have_none() -> None:
    key = pair_key("query")
    keys = await keys_of(documents("b", " ", "a", "", "b", "\u3000\n", "a"), key)
    assert list(keys.items()) == [("b", key("b")), ("a", key("a"))]


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u3000\u00a0", "a", " a ", "\u200b", "\x1c"])
def test_blank_is_what_stripping_leaves_nothing_of(text: str) -> None:
    assert is_blank(text) == (not text.strip())


@pytest.mark.parametrize("size", [MAX_UNBROKEN_CHARS, 1])
async def test_others_run_between_the_portions(size: int) -> None:
    """Of few large texts as of many small ones."""
    count = 4 if size > 1 else 4 * MAX_UNBROKEN_CHARS // TEXT_OVERHEAD_CHARS
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    await keys_of([Document(f"{index}" + "x" * size) for index in range(count)], lambda text: b"")
    task.cancel()
    assert turns >= 3
