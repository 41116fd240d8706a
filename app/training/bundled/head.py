"""The last layer of the model: weights of the kinds of evidence, fitted on held-out rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from app.engines.torch.duet import Duet
from app.engines.torch.evidence import FEATURES
from app.training.bundled.batches import Group
from app.training.bundled.data import Source
from app.training.bundled.recipe import Recipe
from app.training.bundled.scoring import evidence_of

# Training passages are long and well embedded: a fit on them undervalues words.
FLOORS = {"stems": 0.4, "phrases": 0.3, "kin": 0.6}
PRIOR, PULL = 0.3, 0.006

# Each with the name of its source.
Rows = Sequence[tuple[str, Group]]


@dataclass(frozen=True)
class Examples:
    """Evidence [query, document, feature], the positive first; `there` is 0 for padding.

    Each query has a weight.
    """

    evidence: Tensor
    there: Tensor
    weight: Tensor


def held_out(
    sources: Sequence[Source], recipe: Recipe, *, per: int = 80
) -> list[tuple[str, Group]]:
    """Held-out queries, each with a positive, the best BM25 candidates and a few others."""
    rng = np.random.default_rng([recipe.seed, 1])
    groups = []
    for source in sources:
        first = recipe.trainable(len(source.queries))
        for query in first + rng.permutation(len(source.queries) - first)[:per]:
            hits = source.candidates[query]
            hits = hits[hits >= 0]
            rest = rng.permutation(hits[8:])[:12]
            numbers = [source.positives[query][0], *hits[:8], *rest]
            texts = [source.passages[number] for number in numbers]
            groups.append((source.name, Group(source.queries[query], texts)))
    return groups


def texts_of(groups: Rows) -> list[tuple[str, str]]:
    return [(group.query, text) for _, group in groups for text in group.documents]


def by_query(values: Tensor, groups: Rows) -> tuple[Tensor, Tensor]:
    """The values of each pair as [query, document, …], and a mask of the pairs that exist."""
    sizes = [len(group.documents) for _, group in groups]
    padded = nn.utils.rnn.pad_sequence(list(torch.split(values, sizes)), batch_first=True)
    return padded, (torch.arange(padded.shape[1]) < torch.tensor(sizes)[:, None]).float()


def gather(
    model: Duet, tokenizer: PreTrainedTokenizerFast, groups: Rows, recipe: Recipe
) -> Examples:
    evidence, there = by_query(evidence_of(model, tokenizer, texts_of(groups)), groups)
    weight = torch.tensor([min(recipe.weights.get(name, 1.0), 1.0) for name, _ in groups])
    return retrievable(Examples(evidence, there, weight))


def retrievable(examples: Examples) -> Examples:
    """Exclude queries whose positive shares fewer words than nearly all other documents: a word
    search would not return it."""
    stems = examples.evidence[..., FEATURES.index("stems")]
    beaten = ((stems < stems[:, :1]) * examples.there).sum(1) / examples.there.sum(1)
    kept = beaten > 0.05
    return Examples(examples.evidence[kept], examples.there[kept], examples.weight[kept])


def fit_line(
    features: Tensor, examples: Examples, *, steps: int = 300, rate: float = 0.03
) -> Tensor:
    """Non-negative weights that rank positives first; `features` are standardised."""
    floors = torch.tensor([FLOORS.get(name, 0.0) for name in FEATURES])
    weights = torch.full((len(FEATURES),), PRIOR, requires_grad=True)
    optimizer = torch.optim.Adam([weights], lr=rate)
    share = examples.weight / examples.weight.sum()
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * (1 - step / steps)
        scores = (features @ weights).masked_fill(examples.there == 0, -1e4)
        loss = -(scores.log_softmax(1)[:, 0] * share).sum()
        loss = loss + PULL * (weights - PRIOR).square().sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            weights.copy_(torch.maximum(weights, floors))
    return weights.detach()


def calibrate(scores: Tensor, there: Tensor) -> tuple[float, float]:
    """Slope and offset of a logit; positives and negatives have the same total weight."""
    wanted = torch.zeros_like(scores)
    wanted[:, 0] = 1
    mass = there * torch.where(wanted > 0, there.sum(1, keepdim=True) - 1, torch.ones(1))
    line = torch.tensor([1.0, 0.0], requires_grad=True)
    optimizer = torch.optim.LBFGS([line], max_iter=100)

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = line[0] * scores + line[1]
        each = nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        total = (each * mass).sum() / mass.sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    slope, offset = line.tolist()
    return slope, offset


def set_scale(model: Duet, logits: Tensor, there: Tensor) -> None:
    """Scale and shift the logits, so that their sigmoid is a probability."""
    slope, offset = calibrate(logits, there)
    head = model.head
    with torch.no_grad():
        head.line.weight.mul_(slope)
        head.joint.weight.mul_(slope)
        head.line.bias.mul_(slope).add_(offset)


def first_places(logits: Tensor, there: Tensor) -> float:
    """Mean nDCG@10, where the first document of each query is the relevant one."""
    above = ((logits[:, 1:] >= logits[:, :1]) * there[:, 1:]).sum(1)
    return float(((above < 10) / torch.log2(above + 2)).mean())


def fit_head(model: Duet, examples: Examples) -> None:
    """Set the linear layer of the head; the weight of `[CLS]` starts at 0."""
    rows = examples.evidence[examples.there > 0]
    shift, scale = rows.mean(0), 1 / (rows.std(0) + 1e-6)
    features = (examples.evidence - shift) * scale
    weights = fit_line(features, examples)
    slope, offset = calibrate(features @ weights, examples.there)
    head = model.head
    with torch.no_grad():
        head.shift.copy_(shift)
        head.scale.copy_(scale)
        head.line.weight.copy_(weights[None] * slope)
        head.line.bias.fill_(offset)
        head.joint.weight.zero_()
