from __future__ import annotations

from typing import Any

import pytest

from app.api.dialects.cohere import V1, V2
from app.api.dialects.dialect import Dialect
from app.api.dialects.infinity import INFINITY
from app.api.dialects.jina import SHARED
from app.api.dialects.llamacpp import LLAMACPP
from app.api.dialects.mixedbread import MIXEDBREAD
from app.api.dialects.native import NATIVE
from app.api.dialects.nim import NIM
from app.api.dialects.registry import DIALECTS, PREFIXED, SNIFFED, choose
from app.api.dialects.siliconflow import SILICONFLOW
from app.api.dialects.tei import TEI
from app.api.dialects.vllm import VLLM
from app.api.dialects.voyage import VOYAGE
from app.api.dialects.xinference import XINFERENCE

PLAIN = {"query": "q", "documents": ["a"]}
COHERE_SDK = {"x-fern-sdk-name": "cohere"}
VOYAGE_SDK = {"x-fern-sdk-name": "voyageai"}


@pytest.mark.parametrize(
    ("path", "headers", "more", "dialect"),
    [
        ("/v2/rerank", {}, {}, V2),
        ("/v2/rerank", {}, {"top_k": 1}, V2),
        ("/v1/rerank", COHERE_SDK, {}, V1),
        ("/v1/rerank", {"user-agent": "cohere/7.3.1"}, {}, V1),
        ("/v1/rerank", {}, {"rank_fields": None}, V1),
        ("/v1/rerank", {}, {"max_chunks_per_doc": 3}, V1),
        ("/v1/rerank", {}, {"top_k": None}, VOYAGE),
        ("/v1/rerank", {}, {"truncation": False}, VOYAGE),
        ("/v1/rerank", VOYAGE_SDK, {}, VOYAGE),
        ("/v1/rerank", {"user-agent": "Voyage/v1 PythonBindings/0.3.7"}, {}, VOYAGE),
        ("/v1/rerank", {}, {"kwargs": "{}", "max_chunks_per_doc": None}, XINFERENCE),
        ("/v1/rerank", {}, {"return_len": None}, XINFERENCE),
        ("/v1/rerank", {}, {"max_chunks_per_doc": 3, "overlap_tokens": 9}, SILICONFLOW),
        ("/v1/rerank", {}, {"top_n": 3}, SHARED),
        ("/rerank", {}, {"texts": ["a"]}, TEI),
        ("/rerank", {}, {"texts": ["a"], "raw_scores": False}, TEI),
        ("/", {}, {}, TEI),
        ("/invocations", {}, {}, TEI),
        ("/rerank", {}, {"raw_scores": False}, INFINITY),
        ("/rerank", {}, {"top_k": 1}, VOYAGE),
        ("/rerank", {}, {"truncation": True}, VOYAGE),
        ("/rerank", {}, {"top_n": 1}, NATIVE),
        ("/rerank", {"user-agent": "python-httpx/0.28"}, {}, NATIVE),
        ("/reranking", {}, {"texts": ["a"]}, TEI),
        ("/v1/reranking", {}, {"input": ["a"]}, MIXEDBREAD),
        ("/v1/reranking", {}, {}, LLAMACPP),
        ("/reranking", {}, {"top_n": 1}, LLAMACPP),
        ("/v1/ranking", {}, {}, NIM),
        ("/ranking", {}, {}, NIM),
        ("/v1/retrieval/nvidia/some-model/reranking", {}, {}, NIM),
        ("/rerank", {}, {"passages": []}, NIM),
        ("/score", {}, {"queries": "q"}, VLLM),
        ("/v1/score", {}, {"text_1": "q"}, VLLM),
        ("/nowhere", {}, {}, NATIVE),
        ("", {}, {}, NATIVE),
    ],
)
def test_a_request_is_taken_for_what_its_path_headers_and_keys_say(
    path: str, headers: dict[str, str], more: dict[str, Any], dialect: Dialect
) -> None:
    assert choose(path, headers, PLAIN | more).name == dialect.name


@pytest.mark.parametrize("prefix", PREFIXED)
def test_under_a_prefix_nothing_is_guessed(prefix: str) -> None:
    dialect, paths = PREFIXED[prefix]
    body = PLAIN | {"texts": [], "passages": [], "top_k": 1, "raw_scores": True, "kwargs": ""}
    for path in set(paths) - {"/v2/rerank"}:
        assert choose(f"/{prefix}{path}", VOYAGE_SDK, body) is dialect


def test_both_versions_of_cohere_live_under_its_prefix() -> None:
    assert choose("/cohere/v1/rerank", {}, {}) is V1
    assert choose("/cohere/v2/rerank", {}, {}) is V2


def test_a_path_alone_names_the_dialect_that_its_refusals_are_in() -> None:
    for path, dialect in SNIFFED.items():
        assert choose(path, {}, {}).name == dialect.name


def test_every_dialect_has_its_own_name() -> None:
    assert len({dialect.name for dialect in DIALECTS}) == len(DIALECTS)
