"""LiteLLM, under the name of each provider."""

from __future__ import annotations

import os

import litellm
from probe import DOCUMENTS, main

litellm.suppress_debug_info = True


def of(model, path="", **more):
    def call(url, key, query):
        os.environ["HUGGINGFACE_API_KEY"] = key
        answer = litellm.rerank(
            model=model,
            query=query,
            documents=DOCUMENTS,
            api_base=url + path,
            api_key=key,
            max_retries=0,
            **more,
        )
        ranks = [
            [result["index"], result["relevance_score"], text_of(result.get("document"))]
            for result in answer.results
        ]
        return {"ranks": ranks, "usage": usage_of(answer)}

    return call


def text_of(document):
    return document.get("text") if isinstance(document, dict) else document


def usage_of(answer):
    meta = answer.meta or {}
    tokens = meta.get("tokens") or {}
    billed = meta.get("billed_units") or {}
    return tokens.get("input_tokens") or billed.get("total_tokens")


main(
    {
        "litellm cohere": of("cohere/m"),
        "litellm cohere v1": of("cohere/m", max_chunks_per_doc=2),
        "litellm jina_ai": of("jina_ai/m"),
        "litellm voyage": of("voyage/m"),
        "litellm infinity": of("infinity/m", "/infinity"),
        "litellm hosted_vllm": of("hosted_vllm/m"),
        "litellm huggingface": of("huggingface/m"),
        "litellm nvidia_nim": of("nvidia_nim/ranking/m"),
    }
)
