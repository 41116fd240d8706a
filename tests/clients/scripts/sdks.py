"""The vendors' own Python clients, and those that speak for several."""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import sys
import types

import cohere
import voyageai
from baseten_performance_client import PerformanceClient, RequestProcessingPreference
from infinity_client import Client
from infinity_client.api.default import rerank as infinity_rerank
from infinity_client.models import RerankInput
from probe import DOCUMENTS, main
from rerankers.models.api_rankers import APIRanker
from xinference_client import RESTfulClient
from xinference_client.client.restful.restful_client import RESTfulRerankModelHandle


def cohere_ranks(answer):
    ranks = [
        [
            result.index,
            result.relevance_score,
            getattr(getattr(result, "document", None), "text", None),
        ]
        for result in answer.results
    ]
    units = answer.meta.billed_units.search_units
    return {"ranks": ranks, "usage": answer.meta.tokens.input_tokens, "search_units": units}


def cohere_v1(url, key, query):
    client = cohere.Client(api_key=key, base_url=url)
    answer = client.rerank(model="m", query=query, documents=DOCUMENTS, return_documents=True)
    return cohere_ranks(answer)


def cohere_v1_fields(url, key, query):
    rows = [{"title": "-", "body": text} for text in DOCUMENTS]
    client = cohere.Client(api_key=key, base_url=url)
    return cohere_ranks(client.rerank(model="m", query=query, documents=rows, rank_fields=["body"]))


def cohere_v1_async(url, key, query):
    async def ask():
        client = cohere.AsyncClient(api_key=key, base_url=url)
        return await client.rerank(model="m", query=query, documents=DOCUMENTS)

    return cohere_ranks(asyncio.run(ask()))


def cohere_v2(url, key, query):
    client = cohere.ClientV2(api_key=key, base_url=url)
    answer = client.rerank(
        model="m", query=query, documents=DOCUMENTS, max_tokens_per_doc=4096, priority=1
    )
    return cohere_ranks(answer)


def cohere_v2_async(url, key, query):
    async def ask():
        client = cohere.AsyncClientV2(api_key=key, base_url=url)
        return await client.rerank(model="m", query=query, documents=DOCUMENTS)

    return cohere_ranks(asyncio.run(ask()))


def voyage_ranks(answer):
    ranks = [[result.index, result.relevance_score, result.document] for result in answer.results]
    return {"ranks": ranks, "usage": answer.total_tokens}


def voyage(url, key, query):
    client = voyageai.Client(api_key=key, base_url=f"{url}/v1")
    return voyage_ranks(client.rerank(query, DOCUMENTS, model="m"))


def voyage_async(url, key, query):
    async def ask():
        client = voyageai.AsyncClient(api_key=key, base_url=f"{url}/v1")
        return await client.rerank(query, DOCUMENTS, model="m")

    return voyage_ranks(asyncio.run(ask()))


def infinity(url, key, query):
    client = Client(base_url=url, headers={"Authorization": f"Bearer {key}"})
    body = RerankInput(query=query, documents=DOCUMENTS, model="m", return_documents=True)
    answer = infinity_rerank.sync(client=client, body=body)
    if answer is None or not hasattr(answer, "results"):
        return {"answer": repr(answer)}
    ranks = [[result.index, result.relevance_score, result.document] for result in answer.results]
    return {"ranks": ranks, "usage": answer.usage.total_tokens}


def xinference_ranks(answer):
    ranks = [
        [result["index"], result["relevance_score"], (result.get("document") or {}).get("text")]
        for result in answer["results"]
    ]
    return {"ranks": ranks, "usage": answer["meta"]["tokens"]["input_tokens"]}


def xinference(url, key, query):
    headers = {"Authorization": f"Bearer {key}"}
    handle = RESTfulRerankModelHandle("m", url, auth_headers=headers)
    return xinference_ranks(handle.rerank(DOCUMENTS, query, return_documents=True))


def xinference_client(url, key, query):
    handle = RESTfulClient(url, api_key=key).get_model("m")
    return xinference_ranks(handle.rerank(DOCUMENTS, query))


def rerankers(provider, path):
    def call(url, key, query):
        ranker = APIRanker("m", key, provider, verbose=0, url=url + path)
        answer = ranker.rank(query, DOCUMENTS)
        return {"ranks": [[result.doc_id, result.score, result.text] for result in answer.results]}

    return call


def baseten(url, key, query):
    client = PerformanceClient(base_url=url, api_key=key)
    once = RequestProcessingPreference(max_retries=0)
    answer = client.rerank(query=query, texts=DOCUMENTS, return_text=True, preference=once)
    return {"ranks": [[result.index, result.score, result.text] for result in answer.data]}


def open_webui_reranker():
    """Its own module, with stand-ins for its settings and its headers of users.

    Without them, importing the package would start the application.
    """
    (packages,) = {
        str(file.locate().parents[2])
        for file in importlib.metadata.files("open-webui")
        if file.match("open_webui/retrieval/models/external.py")
    }
    package = types.ModuleType("open_webui")
    package.__path__ = [packages]
    env = types.ModuleType("open_webui.env")
    env.ENABLE_FORWARD_USER_INFO_HEADERS, env.REQUESTS_VERIFY = False, True
    headers = types.ModuleType("open_webui.utils.headers")
    headers.include_user_info_headers = None
    modules = (package, env, types.ModuleType("open_webui.utils"), headers)
    sys.modules.update({module.__name__: module for module in modules})
    return importlib.import_module("open_webui.retrieval.models.external").ExternalReranker


def open_webui(url, key, query):
    """It gives a score for each document in their order, and None for any refusal."""
    reranker = open_webui_reranker()(key, f"{url}/v1/rerank")
    scores = reranker.predict([(query, text) for text in DOCUMENTS])
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    return {"ranks": [[index, scores[index], DOCUMENTS[index]] for index in order]}


main(
    {
        "baseten-performance-client": baseten,
        "open-webui external": open_webui,
        "cohere v1": cohere_v1,
        "cohere v1 with fields": cohere_v1_fields,
        "cohere v1 async": cohere_v1_async,
        "cohere v2": cohere_v2,
        "cohere v2 async": cohere_v2_async,
        "voyageai": voyage,
        "voyageai async": voyage_async,
        "infinity-client": infinity,
        "xinference-client handle": xinference,
        "xinference-client": xinference_client,
        "rerankers tei": rerankers("text-embeddings-inference", "/rerank"),
        "rerankers cohere": rerankers("cohere", "/v1/rerank"),
        "rerankers jina": rerankers("jina", "/v1/rerank"),
        "rerankers voyage": rerankers("voyage", "/v1/rerank"),
        "rerankers mixedbread.ai": rerankers("mixedbread.ai", "/v1/reranking"),
    }
)
