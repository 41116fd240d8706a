"""LangChain's rerankers, through their public `compress_documents`."""

from __future__ import annotations

import os

from infinity_client import Client
from langchain_cohere import CohereRerank
from langchain_community.document_compressors import InfinityRerank, JinaRerank, jina_rerank
from langchain_core.documents import Document
from langchain_nvidia_ai_endpoints import NVIDIARerank
from langchain_voyageai import VoyageAIRerank
from probe import DOCUMENTS, by_text, main


def ranks_of(ranker, query):
    documents = ranker.compress_documents([Document(text) for text in DOCUMENTS], query)
    return by_text(
        (document.page_content, document.metadata["relevance_score"]) for document in documents
    )


def cohere(url, key, query):
    return ranks_of(CohereRerank(model="m", cohere_api_key=key, base_url=url, top_n=9), query)


def voyage(url, key, query):
    ranker = VoyageAIRerank(model="m", api_key=key, base_url=f"{url}/v1", top_k=9)
    return ranks_of(ranker, query)


def jina(url, key, query):
    jina_rerank.JINA_API_URL = f"{url}/v1/rerank"
    return ranks_of(JinaRerank(model="m", jina_api_key=key, top_n=9), query)


def infinity(url, key, query):
    client = Client(base_url=url, headers={"Authorization": f"Bearer {key}"})
    return ranks_of(InfinityRerank(client=client, model="m", top_n=9), query)


def nvidia(url, key, query):
    ranker = NVIDIARerank(base_url=f"{url}/v1", model="m", api_key=key, top_n=9)
    return ranks_of(ranker, query)


os.environ.pop("NVIDIA_API_KEY", None)
main(
    {
        "langchain-cohere": cohere,
        "langchain-voyageai": voyage,
        "langchain-community jina": jina,
        "langchain-community infinity": infinity,
        "langchain-nvidia-ai-endpoints": nvidia,
    }
)
