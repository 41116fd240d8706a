"""Training groups: a relevant document with others that look relevant."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.evaluation.data.judged import Judged, Orders, permuted
from app.evaluation.problems import NotMeasurable
from app.evaluation.progress import track

# So that no query outweighs the others.
MAX_POSITIVES_PER_QUERY = 5
# With fewer, a split is not meaningful.
MIN_QUERIES = 10

Score = Callable[[str, Sequence[str]], Sequence[float]]


@dataclass(frozen=True, slots=True)
class Split:
    """The validation set decides when to stop; the test set is used only at the end."""

    train: Judged
    validation: Judged
    test: Judged


@dataclass(frozen=True, slots=True)
class Group:
    query: str
    positive: str
    negatives: Sequence[str]


def split(judged: Judged, validation: float, test: float, seed: int) -> Split:
    """Queries with the same text are on the same side."""
    alike = judged.alike()
    count = len(set(alike))
    if count < MIN_QUERIES:
        raise NotMeasurable(
            f"{judged.name}: {count} different queries are too few; at least {MIN_QUERIES} are "
            "needed"
        )
    order = permuted(count, seed)
    tested = max(1, round(count * test))
    watched = max(1, round(count * validation))
    if tested + watched >= count:
        raise NotMeasurable(f"{judged.name}: validation and test leave no query to train on")

    def side(chosen: Sequence[int]) -> Judged:
        numbers = set(chosen)
        return judged.only([index for index, number in enumerate(alike) if number in numbers])

    return Split(
        train=side(order[tested + watched :]),
        validation=side(order[tested : tested + watched]),
        test=side(order[:tested]),
    )


def mine(
    judged: Judged, orders: Orders, negatives: int, seed: int, score: Score | None = None
) -> list[Group]:
    """First the negatives in the data, then random candidates of the first stage.

    With `score`, candidates that the model ranks above all relevant documents are excluded: most
    of them are relevant but not judged.
    """
    draw = random.Random(seed)  # noqa: S311 (nothing secret)
    answers = answers_by_query(judged)
    groups = []
    for query in track(list(judged.queries), "mining"):
        text, grades = judged.queries[query], judged.grades[query]
        relevant = judged.present(query)
        judged_negatives = [name for name, grade in grades.items() if grade <= 0]
        mined = [
            name
            for name in orders[query]
            if name not in grades and judged.corpus[name] not in answers[query]
        ]
        if score is not None and relevant and mined:
            mined = below_best(judged, score, text, relevant, mined)
        for name in draw.sample(relevant, min(MAX_POSITIVES_PER_QUERY, len(relevant))):
            chosen = draw.sample(judged_negatives, min(negatives, len(judged_negatives)))
            room = min(negatives - len(chosen), len(mined))
            chosen += draw.sample(mined, room)
            if chosen:
                groups.append(Group(text, judged.corpus[name], judged.texts(chosen)))
    if not groups:
        raise NotMeasurable(
            f"{judged.name}: the data contains no negatives, and none could be mined"
        )
    return groups


def answers_by_query(judged: Judged) -> dict[str, set[str]]:
    """The texts that are relevant to each query or to a query with the same text."""
    together: dict[int, set[str]] = defaultdict(set)
    questions = dict(zip(judged.queries, judged.alike(), strict=True))
    for query, number in questions.items():
        together[number].update(judged.texts(judged.present(query)))
    return {query: together[number] for query, number in questions.items()}


def below_best(
    judged: Judged, score: Score, text: str, relevant: Sequence[str], mined: Sequence[str]
) -> list[str]:
    names = [*relevant, *mined]
    scores = dict(zip(names, score(text, judged.texts(names)), strict=True))
    best = max(scores[name] for name in relevant)
    return [name for name in mined if scores[name] < best]
