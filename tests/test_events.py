"""Every event is counted: the metrics know each one, and each one moves a figure."""

from __future__ import annotations

from typing import get_args

import pytest

from app.events import (
    CLOSE_REASONS,
    AnswerGiven,
    AnswerStageDone,
    BatchDone,
    ConnectionClosed,
    Event,
    FallbackUsed,
    FeedbackGiven,
    LLMCalled,
    LLMCrowded,
    LoopLagged,
    ModelLoaded,
    PairsWithdrawn,
    Ranked,
    RequestEnded,
    RequestRefused,
    RequestStarted,
    SharedCacheFailed,
    SharedCacheRead,
    SharedCacheSwitched,
    SharedCacheWritten,
    StoreSearched,
    TopScored,
    UpstreamCalled,
)
from app.metrics import Metrics
from tests.fakes import CARD

MOVED: dict[Event, str] = {
    RequestStarted(): "rerankd_requests_in_flight 1.0",
    RequestEnded("/rerank", "ok", 0.5): 'request_seconds_sum{outcome="ok",route="/rerank"} 0.5',
    RequestRefused("draining"): 'rerankd_refusals_total{reason="draining"} 1.0',
    ConnectionClosed(CLOSE_REASONS[0]): f'closed_total{{reason="{CLOSE_REASONS[0]}"}} 1.0',
    LoopLagged(0.5): "rerankd_loop_lag_seconds_sum 0.5",
    ModelLoaded(2.0, CARD): "rerankd_model_load_seconds 2.0",
    BatchDone(3, 90, 6, 0.5, failed=1, budget=100): 'rerankd_tokens_total{kind="padding"} 6.0',
    PairsWithdrawn(4): "rerankd_pairs_withdrawn_total 4.0",
    Ranked(2, 1, 0, 1, (0.75, 0.25), compute=1.0): "rerankd_compute_seconds_sum 1.0",
    TopScored(0.75, 0.5): "rerankd_score_gap_sum 0.5",
    UpstreamCalled("jina", "ok", 0.5): 'upstream_seconds_sum{outcome="ok",upstream="jina"} 0.5',
    FallbackUsed("sent", 7): 'rerankd_fallback_documents_total{outcome="sent"} 7.0',
    StoreSearched("sqlite", "ok", 0.5): 'store_seconds_sum{outcome="ok",store="sqlite"} 0.5',
    LLMCalled("a", "ok", 0.5, 7, 3): 'rerankd_llm_tokens_total{kind="prompt",llm="a"} 7.0',
    LLMCrowded(): "rerankd_llm_crowded_total 1.0",
    AnswerStageDone("search", "ok", 0.5): 'stage_seconds_sum{outcome="ok",stage="search"} 0.5',
    AnswerGiven("answered", cached=False, invented=2): "rerankd_citations_invented_total 2.0",
    FeedbackGiven("up"): 'rerankd_feedback_total{useful="up"} 1.0',
    SharedCacheRead(3, 1, 0.5): "rerankd_shared_cache_hits_total 3.0",
    SharedCacheWritten(5): "rerankd_shared_cache_writes_total 5.0",
    SharedCacheFailed("timeout", 2): 'shared_cache_errors_total{reason="timeout"} 2.0',
    SharedCacheSwitched(up=True): "rerankd_shared_cache_up 1.0",
}


def test_each_kind_of_event_is_here() -> None:
    assert {type(event) for event in MOVED} == set(get_args(Event))


@pytest.mark.parametrize(("event", "line"), MOVED.items())
def test_each_event_moves_its_figure(event: Event, line: str) -> None:
    metrics = Metrics()
    assert line not in metrics.exposition("")[0].decode()
    metrics.observe(event)
    assert line in metrics.exposition("")[0].decode()


@pytest.mark.parametrize("outcome", ["passed_over", "failed", "timeout"])
def test_a_language_model_that_did_not_answer_counts_as_a_fallback(outcome: str) -> None:
    metrics = Metrics()
    metrics.observe(LLMCalled("a", outcome, 0.5))
    text = metrics.exposition("")[0].decode()
    assert 'rerankd_llm_fallbacks_total{llm="a"} 1.0' in text
    timed = f'rerankd_llm_seconds_count{{llm="a",outcome="{outcome}"}} 1.0' in text
    assert timed == (outcome != "passed_over")


def test_a_ranking_of_another_service_has_no_times_of_the_engine() -> None:
    metrics = Metrics()
    metrics.observe(Ranked(2, 0, 0, 0, (0.5, 0.5), by_another_service=True))
    text = metrics.exposition("")[0].decode()
    assert "rerankd_compute_seconds_count 0.0" in text
    assert "rerankd_request_documents_count 1.0" in text
