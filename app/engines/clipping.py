"""Only the part of a long text that can count is tokenized, and its ids are those of the whole.

A tokenizer splits a text into words first, and reads each word by itself. In a clipped text all
words are those of the whole, but for a few beside the cut: their tokens are not used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from app.engines import Ids
from app.text import Side

# Characters that are read at first, for each token that is needed.
FIRST_CHARS_PER_TOKEN = 6
# A text that is not so many times longer is read whole: that is faster without its words.
MIN_TIMES_LONGER = 2
# So many times as much is read when the first part gave too few tokens.
GROWTH = 4
# Words beside a cut that the text on its other side could change.
UNCERTAIN_WORDS = 2
# Of a text so many characters at most are tokenized at first, for each token that is needed.
CHARS_THAT_COUNT = FIRST_CHARS_PER_TOKEN * MIN_TIMES_LONGER

Read = TypeVar("Read")
# Ids, and the number of the word that each belongs to.
Words = tuple[Ids, Sequence[int | None]]


def clipped(
    texts: Sequence[str],
    need: int,
    cut: Side,
    read: Callable[[Sequence[str]], Sequence[Read]],
    read_words: Callable[[Sequence[str]], Sequence[Words]],
    finish: Callable[[str, Ids], Read | None],
) -> list[Read]:
    """Each text as `read` returns it, or as `finish` makes it from at least `need` of its ids.

    The ids are counted from the end that is not cut. Of a text for which `finish` returns None,
    more is read.
    """
    kept: dict[int, Read] = {}
    left, size = list(range(len(texts))), need * FIRST_CHARS_PER_TOKEN
    while left:
        parts = {index: clip(texts[index], size, cut) for index in left}
        long = [i for i in left if len(texts[i]) > MIN_TIMES_LONGER * len(parts[i])]
        if short := [i for i in left if len(texts[i]) <= MIN_TIMES_LONGER * len(parts[i])]:
            kept.update(zip(short, read([texts[index] for index in short]), strict=True))
        if long:
            words = read_words([parts[index] for index in long])
            for index, words_of_part in zip(long, words, strict=True):
                ids = certain(words_of_part, cut)
                finished = finish(texts[index], ids) if len(ids) >= need else None
                if finished is not None:
                    kept[index] = finished
        left = [index for index in long if index not in kept]
        size *= GROWTH
    return [kept[index] for index in range(len(texts))]


def clip(text: str, size: int, cut: Side) -> str:
    """The beginning of a text, or its end, which starts at a gap between words."""
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
    for count, index in enumerate(inwards):
        if len(dropped | {numbers[index]}) > UNCERTAIN_WORDS:
            return ids[count:] if cut == "left" else ids[: len(ids) - count]
        dropped.add(numbers[index])
    return ids[:0]
