"""The same questions with the same vectors give the same candidates in every real store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.retrieval.recall import Sample, make_sample, measure
from tests.retrieval.stand_ins.milvus import Milvus
from tests.retrieval.stand_ins.serving import serving

pytestmark = pytest.mark.anyio

NEEDED = 0.99


@pytest.fixture(scope="module")
def sample() -> Sample:
    """`python -m tests.retrieval.recall` asks 500 questions, with more and longer vectors."""
    return make_sample(passages=1000, questions=80, size=32)


def test_half_of_the_questions_have_a_filter_and_each_has_its_candidates(sample: Sample) -> None:
    first, second, third = sample.questions[:3]
    assert (len(first.right), len(second.right)) == (50, 50)
    assert (first.filters, second.filters) == ({}, {"color": "red", "even": False})
    assert first.right != third.right


@pytest.mark.parametrize("kind", ["sqlite", "faiss", "lancedb"])
async def test_an_embedded_store_finds_what_an_exact_search_finds(
    kind: str, sample: Sample, tmp_path: Path
) -> None:
    recall = await measure(f"{kind}:{tmp_path / 'store'}", "docs", sample)
    assert recall.worst >= NEEDED


async def test_chroma_finds_what_an_exact_search_finds(sample: Sample, chroma_port: int) -> None:
    recall = await measure(f"chroma://127.0.0.1:{chroma_port}", "recall", sample)
    assert recall.mean >= NEEDED


async def test_postgresql_finds_what_an_exact_search_finds(
    sample: Sample, postgres_url: str
) -> None:
    recall = await measure(postgres_url, "recall", sample)
    assert recall.mean >= NEEDED


async def test_redis_finds_what_an_exact_search_finds(sample: Sample, redis_url: str) -> None:
    recall = await measure(redis_url, "recall", sample)
    assert recall.mean >= NEEDED


async def test_the_engine_of_milvus_finds_what_an_exact_search_finds(sample: Sample) -> None:
    """With fewer questions, because this engine is slow."""
    few = replace(sample, questions=sample.questions[:16])
    with serving(Milvus()) as port:
        recall = await measure(f"milvus://127.0.0.1:{port}", "recall", few)
    assert recall.mean >= NEEDED
