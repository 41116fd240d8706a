"""Groups to learn from: a relevant document among others that are easily taken for relevant."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.evaluation.data.judged import Judged, Orders, permuted
from app.evaluation.problems import NotMeasurable
from app.evaluation.progress import track

POSITIVES = 5  # of one query, at most: no query may drown the others
FEWEST = 10  # queries, below which a split says nothing

Score = Callable[[str, Sequence[str]], Sequence[float]]


@dataclass(frozen=True, slots=True)
class Split:
    train: Judged
    validation: Judged  # when to stop
    test: Judged  # seen by nothing until the end


@dataclass(frozen=True, slots=True)
class Group:
    query: str
    positive: str
    negatives: Sequence[str]


def split(judged: Judged, validation: float, test: float, seed: int) -> Split:
    """By what is asked, so that no question is on two sides, however often it was asked."""
    alike = judged.alike()
    count = len(set(alike))
    if count < FEWEST:
        raise NotMeasurable(
            f"{judged.name}: {count} different queries are too few; {FEWEST} are needed"
        )
    order = permuted(count, seed)
    tested = max(1, round(count * test))
    watched = max(1, round(count * validation))
    if tested + watched >= count:
        raise NotMeasurable(f"{judged.name}: validation and test leave no query to train on")

    def side(chosen: Sequence[int]) -> Judged:
        numbers = set(chosen)
        return judged.only([place for place, number in enumerate(alike) if number in numbers])

    return Split(
        train=side(order[tested + watched :]),
        validation=side(order[tested : tested + watched]),
        test=side(order[:tested]),
    )


def mine(
    judged: Judged, found: Orders, negatives: int, seed: int, score: Score | None = None
) -> list[Group]:
    """Negatives given with the data first, then a draw from the first stage's candidates.

    With `score`, candidates that the model puts above every relevant document are left out: most
    of them are relevant and were never judged.
    """
    draw = random.Random(seed)  # noqa: S311 (nothing secret)
    answers = answers_by_query(judged)
    groups = []
    for query in track(list(judged.queries), "mining"):
        text, grades = judged.queries[query], judged.grades[query]
        relevant = judged.present(query)
        given = [name for name, grade in grades.items() if grade <= 0]
        mined = [
            name
            for name in found[query]
            if name not in grades and judged.corpus[name] not in answers[query]
        ]
        if score is not None and relevant and mined:
            mined = below_best(judged, score, text, relevant, mined)
        for name in draw.sample(relevant, min(POSITIVES, len(relevant))):
            chosen = draw.sample(given, min(negatives, len(given)))
            room = min(negatives - len(chosen), len(mined))
            chosen += draw.sample(mined, room)
            if chosen:
                groups.append(Group(text, judged.corpus[name], judged.texts(chosen)))
    if not groups:
        raise NotMeasurable(f"{judged.name}: no negatives were given, and none could be mined")
    return groups


def answers_by_query(judged: Judged) -> dict[str, set[str]]:
    """The texts that are relevant to it, wherever the same was asked."""
    together: dict[int, set[str]] = defaultdict(set)
    asked = dict(zip(judged.queries, judged.alike(), strict=True))
    for query, number in asked.items():
        together[number].update(judged.texts(judged.present(query)))
    return {query: together[number] for query, number in asked.items()}


def below_best(
    judged: Judged, score: Score, text: str, relevant: Sequence[str], mined: Sequence[str]
) -> list[str]:
    names = [*relevant, *mined]
    scores = dict(zip(names, score(text, judged.texts(names)), strict=True))
    best = max(scores[name] for name in relevant)
    return [name for name in mined if scores[name] < best]
