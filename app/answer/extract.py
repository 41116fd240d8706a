"""An answer without a language model: the best sentences of the passages, by the same reranker.

The words of a passage are quoted so that nothing in them looks like the answer's own: a marker
would cite another passage, an image would be fetched by the program that shows the answer, a link
or an HTML element would act in the answer's name. Each is broken within code too, because the
program may recognize code differently than we do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from app.answer.citations import Citation
from app.rerank.query import Document, Query, Ranker
from app.text.sentences import sentences

MAX_SENTENCES = 3
# Another sentence needs this share of the best one's score.
MIN_SHARE_OF_BEST = 0.5
# The limits for all passages together, and the minimum for each: an ordinary chunk is read whole,
# and of a very long document only as much as can be scored while a caller waits.
MAX_CHARS_READ, MIN_CHARS_READ = 200_000, 4_000
MAX_SENTENCES_READ, MIN_SENTENCES_READ = 1_000, 20
# A shorter text without an end mark is most likely a heading.
MIN_SENTENCE_CHARS = 20
END_MARKS = ".!?。！？"  # noqa: RUF001
# Headings, rows of tables, rules.
LAYOUT = re.compile(r"\s*+(?:#{1,6}\s.*|\|.*)|[-*_=:|\s]{3,}")
FENCE = re.compile(r"\s*(?:```|~~~)(.*)")
CODE = r"(?P<code>`[^`\n]*`)"
LINK = re.compile(rf"{CODE}|!?\[(?P<text>[^\[\]]*)\]\([^()]*\)")
MARKER = re.compile(rf"{CODE}|[\[【]\s*(?P<numbers>\d[\d\s,;]*)[\]】]")
MARKER_START = re.compile(r"[\[【](?=\s*\d)")
# In links and their definitions, and in HTML.
ACTIVE = re.compile(r"\](?=[(:])|<(?=[A-Za-z/!?])")
# An image may stand in a link.
MAX_NESTED_LINKS = 2


@dataclass(frozen=True, slots=True)
class Extract:
    """`by`: the ranker that chose the sentences."""

    text: str
    citations: Sequence[Citation]
    by: str = ""


async def extract(
    reranker: Ranker,
    question: str,
    passages: Sequence[str],
    limit: float | None,
    caller: str = "",
) -> Extract:
    """`limit`: seconds that it may take."""
    parts = statements(passages)
    documents = [Document(text) for text in parts]
    query = Query(question, documents, top_n=MAX_SENTENCES, timeout=limit, caller=caller)
    ranking = await reranker.rank(query)
    least = MIN_SHARE_OF_BEST * ranking.results[0].score if ranking.results else 0.0
    chosen = [result.index for result in ranking.results if result.score >= least]
    made = joined(parts, [documents[index].text for index in sorted(chosen)])
    return replace(made, by=ranking.by or ranking.model)


def statements(passages: Sequence[str]) -> dict[str, list[int]]:
    """Each sentence once, in order of reading, with the numbers of the passages that hold it."""
    numbers_of: dict[str, list[int]] = {}
    characters = max(MIN_CHARS_READ, MAX_CHARS_READ // max(1, len(passages)))
    share = max(MIN_SENTENCES_READ, MAX_SENTENCES_READ // max(1, len(passages)))
    for number, passage in enumerate(passages, 1):
        text = quoted(prose(passage[:characters]))
        for start, end in islice(sentences(text), share):
            numbers = numbers_of.setdefault(" ".join(text[start:end].split()), [])
            if number not in numbers:
                numbers.append(number)
    full = {text: numbers for text, numbers in numbers_of.items() if is_sentence(text)}
    return full or numbers_of


def prose(passage: str) -> str:
    """The passage without its layout and its code; unchanged if nothing else is in it."""
    lines, in_code = [], False
    for line in passage.splitlines():
        if not line or line.isspace():
            lines.append("")
        elif fence := FENCE.fullmatch(line):
            # Only a fence that opens a block names a language.
            in_code = bool(fence[1].strip()) or not in_code
        elif not in_code and not LAYOUT.fullmatch(line):
            lines.append(line)
    text = "\n".join(lines)
    return text if text.strip() else passage


def is_sentence(text: str) -> bool:
    return len(text) >= MIN_SENTENCE_CHARS or text[-1] in END_MARKS


def joined(parts: Mapping[str, Sequence[int]], chosen: Sequence[str]) -> Extract:
    text, citations = "", []
    for sentence in chosen:
        start = len(text) + bool(text)
        marks = "".join(f"[{number}]" for number in parts[sentence])
        text += f"{' ' * bool(text)}{sentence} {marks}"
        citations.append(Citation(start, start + len(sentence), tuple(parts[sentence])))
    return Extract(text, citations)


def quoted(text: str) -> str:
    """A link becomes its text, an image its description; markers get parentheses."""
    words = text
    for _ in range(MAX_NESTED_LINKS):
        words = LINK.sub(lambda part: part[0] if part["code"] else part["text"], words)
    words = MARKER.sub(unmarked, words if words.strip() else text)
    return ACTIVE.sub(r"\g<0> ", words)


def unmarked(part: re.Match[str]) -> str:
    if part["code"]:
        return MARKER_START.sub(r"\g<0> ", part[0])
    return f"({part['numbers'].strip()})"
