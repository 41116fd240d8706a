"""Before readiness: the first, slow calls are made, and a known pair is checked."""

from __future__ import annotations

import logging

from app.errors import LoadFailed, ScoringFailed
from app.rerank.batcher import Batcher
from app.rerank.engine import Encoder

logger = logging.getLogger(__name__)

QUERY = "what is the capital of France"
ANSWER = "Paris is the capital of France."
ASIDE = "Bananas are rich in potassium."
ROUNDS = 2  # the first call of a shape is slower than those that follow


async def warm_up(encoder: Encoder, batcher: Batcher) -> None:
    """Score a right and a wrong answer, then full batches, so that the pace is known."""
    texts = [ANSWER, ASIDE]
    encoded = encoder.encode(QUERY, texts, instruction=None, cut="right")
    try:
        right, wrong = (await batcher.submit([one.pair for one in encoded])).logits
        long = encoder.encode(QUERY, [ANSWER * encoder.max_tokens], instruction=None, cut="right")
        width = long[0].tokens
        for _ in range(ROUNDS):
            await batcher.submit([long[0].pair] * max(1, batcher.budget // width))
    except ScoringFailed as error:
        raise LoadFailed("the model loads, but cannot score: see the log above") from error
    if right is not None and wrong is not None and right <= wrong:
        logger.warning(
            "self-check: the model finds %r no better an answer than %r to %r; "
            "is it a reranker, and is its template right?",
            ANSWER,
            ASIDE,
            QUERY,
        )
