"""Chooses how much of the training is kept, by sources outside the training data."""

import copy
import logging

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from app.engines.torch.duet import Duet
from app.training.bundled.head import Rows, by_query, first_places, texts_of
from app.training.bundled.scoring import score

log = logging.getLogger(__name__)


def judge(
    model: Duet, tokenizer: PreTrainedTokenizerFast, rows: Rows, *, length: int = 256
) -> tuple[Tensor, Tensor]:
    """Logits [query, document], and a mask of the pairs that exist."""
    logits = torch.tensor(score(model, tokenizer, texts_of(rows), length=length))
    return by_query(logits.float(), rows)


def quality(model: Duet, tokenizer: PreTrainedTokenizerFast, rows: Rows) -> float:
    """The mean over the sources, so that each has the same weight."""
    names = {name for name, _ in rows}
    own = [[row for row in rows if row[0] == name] for name in sorted(names)]
    return sum(first_places(*judge(model, tokenizer, each)) for each in own) / len(own)


def part_way(start: Duet, trained: Duet, share: float) -> Duet:
    """A mean of both models: it keeps the training, and more of the general knowledge."""
    model = copy.deepcopy(start)
    with torch.no_grad():
        for kept, new in zip(model.parameters(), trained.parameters(), strict=True):
            kept.lerp_(new, share)
    return model


def choose(
    start: Duet, trained: Duet, share: float, tokenizer: PreTrainedTokenizerFast, rows: Rows
) -> Duet:
    """The partly trained model, if it is better on sources outside the training data."""
    moved = part_way(start, trained, share)
    before, after = (quality(model, tokenizer, rows) for model in (start, moved))
    log.info("nDCG@10 on held-out sources: start %.4f, trained %.4f", before, after)
    return moved if after > before else start
