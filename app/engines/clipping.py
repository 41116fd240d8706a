"""Of a long text only the part that can count is tokenized, and its ids are those of the whole.

A tokenizer splits a text into words first, and reads each word by itself. In a clipped text all
words are those of the whole, but for a few beside the cut: their tokens are not used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from app.engines import Ids
from app.rerank.query import Side

FIRST = 6  # characters that are read for each token that is needed, at first
WORTH = 2  # a text that is not this much longer is read whole: that is faster without its words
GROWTH = 4  # times as much is read when that gave too few tokens
EDGE = 2  # words beside a cut that the other side of it could change

CHARS_THAT_COUNT = FIRST * WORTH  # that a text is tokenized of at first, for each token

Read = TypeVar("Read")
Words = tuple[Ids, Sequence[int | None]]  # ids, and the number of the word that each belongs to


def clipped(
    texts: Sequence[str],
    need: int,
    cut: Side,
    read: Callable[[Sequence[str]], Sequence[Read]],
    read_words: Callable[[Sequence[str]], Sequence[Words]],
    finish: Callable[[str, Ids], Read | None],
) -> list[Read]:
    """Each text as `read` has it, or `finish` of at least `need` of its ids, from the end that is
    not cut; a text that it returns None for is read on."""
    kept: dict[int, Read] = {}
    left, size = list(range(len(texts))), need * FIRST
    while left:
        parts = {place: clip(texts[place], size, cut) for place in left}
        long = [place for place in left if len(texts[place]) > WORTH * len(parts[place])]
        if short := [place for place in left if len(texts[place]) <= WORTH * len(parts[place])]:
            kept.update(zip(short, read([texts[place] for place in short]), strict=True))
        if long:
            words = read_words([parts[place] for place in long])
            for place, one in zip(long, words, strict=True):
                ids = certain(one, cut)
                finished = finish(texts[place], ids) if len(ids) >= need else None
                if finished is not None:
                    kept[place] = finished
        left = [place for place in long if place not in kept]
        size *= GROWTH
    return [kept[place] for place in range(len(texts))]


def clip(text: str, size: int, cut: Side) -> str:
    """The beginning of a text, or its end from the next gap between words on."""
    if cut == "right":
        return text[:size]
    return text[gap_before(text, max(0, len(text) - size)) :]


def gap_before(text: str, end: int) -> int:
    """Where the last white space before `end` begins; 0 where there is none."""
    before = text[:end]
    if before[-1:].isspace():
        return len(before.rstrip())
    *rest, word = before.rsplit(None, 1) or [before]
    return len(before[: len(before) - len(word)].rstrip()) if rest else 0


def certain(words: Words, cut: Side) -> Ids:
    """Without the words beside the cut."""
    ids, numbers = words
    inwards = range(len(ids)) if cut == "left" else range(len(ids) - 1, -1, -1)
    dropped: set[int | None] = set()
    for count, place in enumerate(inwards):
        if len(dropped | {numbers[place]}) > EDGE:
            return ids[count:] if cut == "left" else ids[: len(ids) - count]
        dropped.add(numbers[place])
    return ids[:0]
