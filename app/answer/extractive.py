"""An answer without a language model: the passages' own best sentences, by the same reranker."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from app.answer.citations import Citation
from app.answer.quoting import quoted
from app.rerank.query import Document, Query, Ranker
from app.text.sentences import sentences

MOST = 3  # sentences
SHARE = 0.5  # of the best one's score, that another needs
# What is read of all passages together, and of each at least: an ordinary chunk whole, and of a
# document that was made to be long no more than can be scored while a caller waits.
MAX_CHARACTERS, MIN_CHARACTERS = 200_000, 4_000
MAX_SENTENCES, MIN_SENTENCES = 1_000, 20
SHORT = 20  # characters; without an end mark that is a heading, most likely
LAYOUT = re.compile(r"\s*+(?:#{1,6}\s.*|\|.*)|[-*_=:|\s]{3,}")  # headings, rows of tables, rules
FENCE = re.compile(r"\s*(?:```|~~~)(.*)")


@dataclass(frozen=True, slots=True)
class Extract:
    text: str
    citations: Sequence[Citation]
    by: str = ""  # who chose the sentences


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
    query = Query(question, documents, top_n=MOST, timeout=limit, caller=caller)
    ranking = await reranker.rank(query)
    least = SHARE * ranking.results[0].score if ranking.results else 0.0
    chosen = [one.index for one in ranking.results if one.score >= least]
    made = joined(parts, [documents[index].text for index in sorted(chosen)])
    return replace(made, by=ranking.by or ranking.model)


def statements(passages: Sequence[str]) -> dict[str, list[int]]:
    """Each sentence once, in the order read, with the places of the passages that hold it."""
    found: dict[str, list[int]] = {}
    characters = max(MIN_CHARACTERS, MAX_CHARACTERS // max(1, len(passages)))
    share = max(MIN_SENTENCES, MAX_SENTENCES // max(1, len(passages)))
    for place, passage in enumerate(passages, 1):
        said = quoted(prose(passage[:characters]))
        for start, end in islice(sentences(said), share):
            places = found.setdefault(" ".join(said[start:end].split()), [])
            if place not in places:
                places.append(place)
    telling = {text: places for text, places in found.items() if tells(text)}
    return telling or found


def prose(passage: str) -> str:
    """The passage without its layout and its code; as it is, if there is nothing else."""
    said, in_code = [], False
    for line in passage.splitlines():
        if not line or line.isspace():
            said.append("")
        elif fence := FENCE.fullmatch(line):
            in_code = bool(fence[1].strip()) or not in_code  # only one that opens names a language
        elif not in_code and not LAYOUT.fullmatch(line):
            said.append(line)
    text = "\n".join(said)
    return text if text.strip() else passage


def tells(text: str) -> bool:
    return len(text) >= SHORT or text[-1] in ".!?。！？"  # noqa: RUF001


def joined(parts: Mapping[str, Sequence[int]], chosen: Sequence[str]) -> Extract:
    text, citations = "", []
    for sentence in chosen:
        start = len(text) + bool(text)
        marks = "".join(f"[{place}]" for place in parts[sentence])
        text += f"{' ' * bool(text)}{sentence} {marks}"
        citations.append(Citation(start, start + len(sentence), tuple(parts[sentence])))
    return Extract(text, citations)
