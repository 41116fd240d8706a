"""The pairs of a step: a pure function of the recipe, the sources and the step number."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.training.bundled.data import Source
from app.training.bundled.recipe import Recipe


@dataclass(frozen=True)
class Group:
    """One query with its documents, the positive one first."""

    query: str
    documents: list[str]


def draw_group(source: Source, recipe: Recipe, rng: np.random.Generator) -> Group | None:
    query = int(rng.integers(recipe.trainable(len(source.queries))))
    numbers = source.candidates[query]
    numbers = numbers[numbers >= 0]
    if len(numbers) < recipe.negatives:
        return None
    near = 1 / np.sqrt(np.arange(len(numbers)) + 3)
    chosen = rng.choice(numbers, recipe.negatives, replace=False, p=near / near.sum())
    positive = int(rng.choice(source.positives[query]))
    texts = [source.passages[number] for number in (positive, *chosen)]
    return Group(source.queries[query], texts)


def draw_step(sources: Sequence[Source], recipe: Recipe, step: int) -> tuple[list[Group], int]:
    """The groups of a step, shortest first, and the maximum length of their pairs."""
    rng = np.random.default_rng([recipe.seed, step])
    shares = np.array([recipe.weights.get(source.name, 1.0) for source in sources])
    groups: list[Group] = []
    while len(groups) < recipe.groups:
        source = sources[int(rng.choice(len(sources), p=shares / shares.sum()))]
        group = draw_group(source, recipe, rng)
        if group is not None:
            groups.append(group)
    groups.sort(key=lambda group: max(map(len, group.documents)))
    return groups, int(rng.choice(recipe.lengths))
