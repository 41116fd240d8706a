"""Causal rerankers: what stands before the documents is computed once for all pairs that share it.

Template, instruction and query come before the document, and no token of a causal model depends on
what follows it. So the keys and values of these tokens are the same for each document of a request.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from sentence_transformers import CrossEncoder
from torch import Tensor
from transformers.cache_utils import Cache

from app.engines import Ids, Pair

# The batches of a large request share them, and so do a few requests at a time.
MAX_PREFIXES_KEPT = 4
# A shorter one is not worth a call of its own.
MIN_PREFIX_TOKENS = 16
NO_PREFIX: Ids = np.zeros(0, dtype=np.int32)


class Group(NamedTuple):
    """Pairs of a batch, by their index; what is left of them after the prefix."""

    prefix: Ids
    indexes: Sequence[int]
    pairs: Sequence[Pair]


def grouped(batch: Sequence[Pair], waste: int) -> list[Group]:
    """By prefix where that saves more tokens than a call costs; all others together, without."""
    by_prefix: dict[bytes, list[int]] = defaultdict(list)
    for index, pair in enumerate(batch):
        by_prefix[pair.ids[: pair.split].tobytes()].append(index)
    groups, others = list[Group](), list[int]()
    for indexes in by_prefix.values():
        tokens = min(batch[index].split for index in indexes)
        saved = tokens * (len(indexes) - 1)
        whole = any(batch[index].tokens == tokens for index in indexes)
        if tokens < MIN_PREFIX_TOKENS or saved <= waste or whole:
            others += indexes
            continue
        rest = [Pair(batch[index].ids[tokens:], 0) for index in indexes]
        groups.append(Group(batch[indexes[0]].ids[:tokens], indexes, rest))
    if others:
        groups.append(Group(NO_PREFIX, others, [batch[index] for index in others]))
    return groups


class Prefixes:
    """The keys and values of the last prefixes, which later pairs continue."""

    def __init__(self, model: CrossEncoder, constants: Mapping[str, Any], kept: int) -> None:
        """`kept`: how many of them; with 0, only pairs of one batch share."""
        self._model = model
        self._constants = constants
        self._recent = lru_cache(kept)(self._compute)

    def score(self, prefix: Ids, features: Mapping[str, Tensor]) -> Tensor:
        """`features` are those of the tokens that follow, padded on the left."""
        mask = features["attention_mask"]
        pairs, start = len(mask), len(prefix)
        past = deepcopy(self._recent(prefix.tobytes()))  # the model extends it
        past.batch_repeat_interleave(pairs)
        positions = start + mask.cumsum(1) - 1
        continued = {
            "input_ids": features["input_ids"],
            "attention_mask": torch.cat([mask.new_ones(pairs, start), mask], 1),
            "position_ids": positions.clamp(min=0),
            "past_key_values": past,
        }
        scores: Tensor = self._model({**continued, **self._constants})["scores"]
        return scores

    def _compute(self, prefix: bytes) -> Cache:
        ids = torch.from_numpy(np.frombuffer(prefix, np.int32).astype(np.int64))[None]
        causal: Any = self._model[0].model
        output = causal(ids.to(self._model.device), use_cache=True, logits_to_keep=1)
        cache: Cache = output.past_key_values
        return cache
