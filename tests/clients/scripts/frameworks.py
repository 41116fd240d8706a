"""LlamaIndex's postprocessors and Haystack's rankers."""

from __future__ import annotations

import os

import requests
from haystack import Document
from haystack.utils import Secret
from haystack_integrations.components.rankers.cohere import CohereRanker
from haystack_integrations.components.rankers.jina import JinaRanker
from haystack_integrations.components.rankers.nvidia import NvidiaRanker
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.postprocessor.cohere_rerank import CohereRerank
from llama_index.postprocessor.jinaai_rerank import JinaRerank
from llama_index.postprocessor.nvidia_rerank import NVIDIARerank
from llama_index.postprocessor.siliconflow_rerank import SiliconFlowRerank
from llama_index.postprocessor.tei_rerank import TextEmbeddingInference
from llama_index.postprocessor.voyageai_rerank import VoyageAIRerank
from llama_index.postprocessor.xinference_rerank import XinferenceRerank
from probe import DOCUMENTS, MODEL, by_text, main

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "false"


def nodes_by(ranker, query):
    nodes = [NodeWithScore(node=TextNode(text=text)) for text in DOCUMENTS]
    ranked = ranker.postprocess_nodes(nodes, query_str=query)
    return by_text((scored.node.text, scored.score) for scored in ranked)


def llama_cohere(url, key, query):
    return nodes_by(CohereRerank(api_key=key, base_url=url, model="m", top_n=9), query)


def llama_voyage(url, key, query):
    ranker = VoyageAIRerank(model="m", api_key=key, top_n=9)
    ranker._client._params["base_url"] = f"{url}/v1"
    return nodes_by(ranker, query)


def llama_jina(url, key, query):
    ranker = JinaRerank(api_key=key, base_url=f"{url}/v1", model="m", top_n=9)
    return nodes_by(ranker, query)


def llama_tei(url, key, query):
    ranker = TextEmbeddingInference(base_url=url, auth_token=f"Bearer {key}", top_n=9)
    return nodes_by(ranker, query)


def llama_siliconflow(url, key, query):
    ranker = SiliconFlowRerank(api_key=key, base_url=f"{url}/v1/rerank", top_n=9)
    return nodes_by(ranker, query)


def llama_nvidia(url, key, query):
    ranker = NVIDIARerank(base_url=f"{url}/v1", model=MODEL, api_key=key, top_n=9)
    return nodes_by(ranker, query)


def llama_xinference(url, key, query):
    """It has no way to give a key: a session of `requests` with one stands in for a proxy."""
    plain = requests.post
    requests.post = lambda *args, headers, **more: plain(
        *args, headers=headers | {"Authorization": f"Bearer {key}"}, **more
    )
    try:
        return nodes_by(XinferenceRerank(base_url=url, model="m", top_n=9), query)
    finally:
        requests.post = plain


def haystack_by(ranker, query):
    answer = ranker.run(query=query, documents=[Document(content=text) for text in DOCUMENTS])
    return by_text((document.content, document.score) for document in answer["documents"])


def haystack_cohere(url, key, query):
    secret = Secret.from_token(key)
    return haystack_by(CohereRanker(model="m", api_key=secret, api_base_url=url, top_k=9), query)


def haystack_jina(url, key, query):
    secret = Secret.from_token(key)
    ranker = JinaRanker(model="m", api_key=secret, base_url=f"{url}/v1/rerank", top_k=9)
    return haystack_by(ranker, query)


def haystack_nvidia(url, key, query):
    secret = Secret.from_token(key)
    ranker = NvidiaRanker(model="m", api_url=f"{url}/v1", api_key=secret, top_k=9)
    ranker.warm_up()
    return haystack_by(ranker, query)


main(
    {
        "llama-index cohere": llama_cohere,
        "llama-index voyageai": llama_voyage,
        "llama-index jinaai": llama_jina,
        "llama-index tei": llama_tei,
        "llama-index siliconflow": llama_siliconflow,
        "llama-index nvidia": llama_nvidia,
        "llama-index xinference": llama_xinference,
        "cohere-haystack": haystack_cohere,
        "jina-haystack": haystack_jina,
        "nvidia-haystack": haystack_nvidia,
    }
)
