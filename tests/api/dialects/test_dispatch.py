from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from app.api.dialects import DIALECTS
from app.api.dialects.dialect import Dialect
from app.api.dialects.registry import Registry

REGISTRY = Registry(DIALECTS)
PLAIN = {"query": "q", "documents": ["a"]}
COHERE_SDK = {"x-fern-sdk-name": "cohere"}
VOYAGE_SDK = {"x-fern-sdk-name": "voyageai"}


@pytest.mark.parametrize(
    ("path", "headers", "more", "name"),
    [
        ("/v2/rerank", {}, {}, "cohere_v2"),
        ("/v2/rerank", {}, {"top_k": 1}, "cohere_v2"),
        ("/v1/rerank", COHERE_SDK, {}, "cohere_v1"),
        ("/v1/rerank", {"user-agent": "cohere/7.3.1"}, {}, "cohere_v1"),
        ("/v1/rerank", {}, {"rank_fields": None}, "cohere_v1"),
        ("/v1/rerank", {}, {"max_chunks_per_doc": 3}, "cohere_v1"),
        ("/v1/rerank", {}, {"top_k": None}, "voyage"),
        ("/v1/rerank", {}, {"truncation": False}, "voyage"),
        ("/v1/rerank", VOYAGE_SDK, {}, "voyage"),
        ("/v1/rerank", {"user-agent": "Voyage/v1 PythonBindings/0.3.7"}, {}, "voyage"),
        ("/v1/rerank", {}, {"kwargs": "{}", "max_chunks_per_doc": None}, "xinference"),
        ("/v1/rerank", {}, {"return_len": None}, "xinference"),
        ("/v1/rerank", {}, {"max_chunks_per_doc": 3, "overlap_tokens": 9}, "siliconflow"),
        ("/v1/rerank", {}, {"top_n": 3}, "shared"),
        ("/rerank", {}, {"texts": ["a"]}, "tei"),
        ("/rerank", {}, {"texts": ["a"], "raw_scores": False}, "tei"),
        ("/", {}, {}, "tei"),
        ("/invocations", {}, {}, "tei"),
        ("/rerank", {}, {"raw_scores": False}, "infinity"),
        ("/rerank", {}, {"top_k": 1}, "voyage"),
        ("/rerank", {}, {"truncation": True}, "voyage"),
        ("/rerank", {}, {"property": ""}, "weaviate"),
        ("/rerank", {}, {"top_n": 1}, "native"),
        ("/rerank", {"user-agent": "python-httpx/0.28"}, {}, "native"),
        ("/reranking", {}, {"texts": ["a"]}, "tei"),
        ("/v1/reranking", {}, {"input": ["a"]}, "mixedbread"),
        ("/v1/reranking", {}, {}, "llamacpp"),
        ("/reranking", {}, {"top_n": 1}, "llamacpp"),
        ("/v1/ranking", {}, {}, "nim"),
        ("/ranking", {}, {}, "nim"),
        ("/v1/retrieval/nvidia/some-model/reranking", {}, {}, "nim"),
        ("/rerank", {}, {"passages": []}, "nim"),
        ("/score", {}, {"queries": "q"}, "vllm"),
        ("/v1/score", {}, {"text_1": "q"}, "vllm"),
        ("/nowhere", {}, {}, "native"),
        ("", {}, {}, "native"),
    ],
)
def test_a_request_is_taken_for_what_its_path_headers_and_keys_say(
    path: str, headers: dict[str, str], more: dict[str, Any], name: str
) -> None:
    assert REGISTRY.choose(path, headers, PLAIN | more).name == name


@pytest.mark.parametrize("prefix", REGISTRY.prefixes)
def test_under_a_prefix_nothing_is_guessed(prefix: str) -> None:
    dialect = REGISTRY.prefixes[prefix]
    body = PLAIN | {"texts": [], "passages": [], "top_k": 1, "raw_scores": True, "kwargs": ""}
    for path in dialect.paths:
        if path.startswith(f"/{prefix}/"):
            assert REGISTRY.choose(path, VOYAGE_SDK, body) is dialect


def test_both_versions_of_cohere_live_under_its_prefix() -> None:
    assert REGISTRY.choose("/cohere/v1/rerank", {}, {}).name == "cohere_v1"
    assert REGISTRY.choose("/cohere/v2/rerank", {}, {}).name == "cohere_v2"
    assert REGISTRY.choose("/cohere/v1/models", {}, {}).name == "cohere_v1"


def test_a_path_alone_names_the_dialect_that_its_refusals_are_in() -> None:
    for dialect in DIALECTS:
        for path in dialect.paths:
            assert REGISTRY.choose(path, {}, {}) is dialect


def test_every_dialect_has_its_own_name_and_its_own_paths() -> None:
    names = [dialect.name for dialect in DIALECTS]
    paths = [path for dialect in DIALECTS for path in dialect.paths]
    assert (len(set(names)), len(set(paths))) == (len(names), len(paths))


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_the_constant_of_each_file_is_listed(dialect: Dialect) -> None:
    assert import_module(f"app.api.dialects.{dialect.name}").DIALECT is dialect
