"""Before readiness: the first, slow calls are made, and a known pair is checked."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from app.errors import LoadFailed
from app.rerank.batcher import Batcher
from app.rerank.engine import Encoder, Pair

logger = logging.getLogger(__name__)

QUERY = "what is the capital of France"
ANSWER = "Paris is the capital of France."
ASIDE = "Bananas are rich in potassium."
ROUNDS = 2  # the first call of a shape is slower than those that follow


async def warm_up(encoder: Encoder, batcher: Batcher) -> None:
    """Score a right and a wrong answer, then full batches, so that the pace is known."""
    texts = [ANSWER, ASIDE]
    encoded = encoder.encode(QUERY, texts, instruction=None, cut="right")
    right, wrong = await score(batcher, [one.pair for one in encoded])
    long = encoder.encode(QUERY, [ANSWER * encoder.max_tokens], instruction=None, cut="right")
    width = long[0].tokens
    for _ in range(ROUNDS):
        await score(batcher, [long[0].pair] * max(1, batcher.budget // width))
    if right <= wrong:
        logger.warning(
            "self-check: the model finds %r no better an answer than %r to %r; "
            "is it a reranker, and is its template right?",
            ANSWER,
            ASIDE,
            QUERY,
        )


async def score(batcher: Batcher, pairs: Sequence[Pair]) -> list[float]:
    logits = [logit for logit in (await batcher.submit(pairs)).logits if logit is not None]
    if len(logits) < len(pairs):
        raise LoadFailed("the model loads, but cannot score: see the log above")
    return logits
