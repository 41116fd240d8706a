from __future__ import annotations

import logging

import pytest

from app.errors import LoadFailed
from app.rerank.batcher import Batcher, Limits
from app.rerank.warmup import ANSWER, ASIDE, warm_up
from tests.fakes import FakeEngine, WordEncoder
from tests.virtual_time import in_virtual_time


class Reversed(WordEncoder):
    """Finds the shorter document better, so that the aside beats the answer."""

    def _encode(self, query: str, text: str) -> object:  # type: ignore[override]
        encoded = super()._encode(query, text)
        encoded.pair.ids[0] = -encoded.pair.ids[0]
        return encoded


@in_virtual_time
async def test_after_it_the_pace_is_known_from_full_batches() -> None:
    engine = FakeEngine(per_token=0.001)
    async with Batcher(engine.score, Limits(400, 10_000)) as batcher:
        await warm_up(WordEncoder(max_tokens=100), batcher)
        assert batcher.pace.tokens_per_second == pytest.approx(1000)
    assert [len(marks) for marks in engine.batches[1:]] == [4, 4]


@in_virtual_time
async def test_a_model_that_cannot_score_the_probe_is_not_served() -> None:
    engine = FakeEngine()
    engine.error = RuntimeError("broken")
    async with Batcher(engine.score, Limits(400, 10_000)) as batcher:
        with pytest.raises(LoadFailed, match="loads, but cannot score"):
            await warm_up(WordEncoder(), batcher)


def test_a_model_that_ranks_a_known_pair_the_wrong_way_round_is_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @in_virtual_time
    async def run(encoder: WordEncoder) -> None:
        async with Batcher(FakeEngine().score, Limits(400, 10_000)) as batcher:
            await warm_up(encoder, batcher)

    with caplog.at_level(logging.WARNING):
        run(WordEncoder())
        assert caplog.records == []
        run(Reversed())
    assert "self-check" in caplog.text
    assert len(ANSWER.split()) > len(ASIDE.split())
