"""Runs before readiness: makes the first, slow calls and checks the scores of a known query."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from app.engines import Encoder, Pair
from app.errors import InvalidRequest, LoadFailed
from app.rerank.batcher import Batcher

logger = logging.getLogger(__name__)

QUERY = "what is the capital of France"
ANSWER = "Paris is the capital of France."
ASIDE = "Bananas are rich in potassium."
# The first call with a shape is slower than later calls.
ROUNDS = 2


async def warm_up(encoder: Encoder, batcher: Batcher) -> Pair:
    """Score a right and a wrong answer, then full batches, to measure the pace.

    Returns a pair that can be scored.
    """
    encoded = encoder.encode(QUERY, [ANSWER, ASIDE], instruction=None, cut="right")
    answer, aside = (item.pair for item in encoded)
    right, wrong = await score(batcher, [answer, aside])
    for _ in range(ROUNDS):
        width = min(encoder.max_tokens, batcher.budget)
        wide = Pair(np.resize(answer.ids, width), answer.split)  # repeats the tokens
        await score(batcher, [wide] * (batcher.budget // width))
    if right <= wrong:
        hint = "the wrong answer scores higher: is this a reranker, and is its template right?"
        logger.warning("self_check_failed", extra={"fields": {"query": QUERY, "hint": hint}})
    return answer


async def score(batcher: Batcher, pairs: Sequence[Pair]) -> list[float]:
    try:
        scored = await batcher.submit(pairs)
    except InvalidRequest as error:
        raise LoadFailed(f"max_queue_tokens is too small for a known pair: {error}") from error
    logits = [logit for logit in scored.logits if logit is not None]
    if len(logits) < len(pairs):
        raise LoadFailed("the model loads, but cannot score: see the log above")
    return logits
