from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest

from app.engines import Encoded, Pair
from app.errors import LoadFailed
from app.rerank.batcher import Batcher, Limits
from app.rerank.warmup import ANSWER, ASIDE, warm_up
from tests.fakes import FakeEngine, WordEncoder
from tests.virtual_time import in_virtual_time


class Reversed(WordEncoder):
    """Finds the shorter document better, so that the aside beats the answer."""

    def _encode(self, query: str, text: str, most: int) -> Encoded:
        encoded = super()._encode(query, text, most)
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
async def test_a_model_that_takes_more_than_a_batch_is_warmed_with_a_batch() -> None:
    """What a model of 40,960 positions could take would need an hour of a CPU, and more queue."""
    engine, encoder, widths = FakeEngine(), WordEncoder(max_tokens=40_960), list[list[int]]()

    async def score(pairs: Sequence[Pair]) -> Sequence[float]:
        widths.append([pair.tokens for pair in pairs])
        return await engine.score(pairs)

    async with Batcher(score, Limits(400, 450)) as batcher:
        await warm_up(encoder, batcher)
    assert widths[1:] == [[400], [400]]
    assert encoder.calls == [[ANSWER, ASIDE]]


@in_virtual_time
async def test_a_queue_without_room_for_a_known_pair_is_named() -> None:
    async with Batcher(FakeEngine().score, Limits(5, 5)) as batcher:
        with pytest.raises(
            LoadFailed, match=r"max_queue_tokens is too small .* accepts at most 5 "
        ):
            await warm_up(WordEncoder(), batcher)


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
    assert "self_check_failed" in caplog.text
    assert len(ANSWER.split()) > len(ASIDE.split())
