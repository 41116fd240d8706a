// The JavaScript clients, each called as it should be, with a wrong key, a blank query, and full.
import { createCohere } from "@ai-sdk/cohere";
import { Document as LangChainDocument } from "@langchain/core/documents";
import { CohereRerank as LangChainCohere } from "@langchain/cohere";
import { MixedbreadAIReranker as LangChainMixedbread } from "@langchain/mixedbread-ai";
import { CohereRerank as LlamaIndexCohere } from "@llamaindex/cohere";
import { TextNode } from "@llamaindex/core/schema";
import { MixedbreadAIReranker as LlamaIndexMixedbread } from "@llamaindex/mixedbread";
import { rerank } from "ai";
import { CohereClient, CohereClientV2 } from "cohere-ai";
import { createVoyage } from "voyage-ai-provider";
import { VoyageAIClient } from "voyageai";

const { service, full, key, query, documents } = JSON.parse(process.argv[2]);

async function cohereV1(url, token, asked) {
  const client = new CohereClient({ token, environment: url });
  const answer = await client.rerank({ model: "m", query: asked, documents, returnDocuments: true });
  return {
    ranks: answer.results.map((one) => [one.index, one.relevanceScore, one.document?.text ?? null]),
    usage: answer.meta.tokens.inputTokens,
  };
}

async function cohereV2(url, token, asked) {
  const client = new CohereClientV2({ token, environment: url });
  const answer = await client.rerank({ model: "m", query: asked, documents });
  return {
    ranks: answer.results.map((one) => [one.index, one.relevanceScore, null]),
    usage: answer.meta.tokens.inputTokens,
  };
}

async function voyage(url, apiKey, asked) {
  const client = new VoyageAIClient({ apiKey, environment: `${url}/v1` });
  const answer = await client.rerank({ model: "m", query: asked, documents });
  return {
    ranks: answer.data.map((one) => [one.index, one.relevanceScore, one.document ?? null]),
    usage: answer.usage.totalTokens,
  };
}

function vercel(model) {
  return async (url, apiKey, asked) => {
    const answer = await rerank({ model: model(url, apiKey), query: asked, documents, maxRetries: 0 });
    return { ranks: answer.ranking.map((one) => [one.originalIndex, one.score, one.document]) };
  };
}

function langchain(reranker) {
  return async (url, apiKey, query) => {
    const pages = documents.map((pageContent) => new LangChainDocument({ pageContent }));
    const ranked = await reranker(url, apiKey).compressDocuments(pages, query);
    const texts = ranked.map((page) => [page.pageContent, page.metadata.relevanceScore]);
    return { ranks: texts.map(([text, score]) => [documents.indexOf(text), score, text]) };
  };
}

function llamaIndex(reranker) {
  return async (url, apiKey, query) => {
    const nodes = documents.map((text) => ({ node: new TextNode({ text }), score: 0 }));
    const ranked = await reranker(url, apiKey).postprocessNodes(nodes, query);
    const texts = ranked.map(({ node, score }) => [node.text, score]);
    return { ranks: texts.map(([text, score]) => [documents.indexOf(text), score, text]) };
  };
}

const topN = documents.length;

const calls = {
  "@langchain/cohere": langchain((url, token) => {
    const client = new CohereClient({ token, environment: url });
    return new LangChainCohere({ client, model: "m", topN });
  }),
  "@langchain/mixedbread-ai": langchain(
    (baseUrl, key) => new LangChainMixedbread({ apiKey: `Bearer ${key}`, baseUrl, topK: topN }),
  ),
  "@llamaindex/cohere": llamaIndex(
    (baseUrl, apiKey) => new LlamaIndexCohere({ apiKey, baseUrl, model: "m", topN }),
  ),
  "@llamaindex/mixedbread": llamaIndex(
    (baseUrl, key) => new LlamaIndexMixedbread({ apiKey: `Bearer ${key}`, baseUrl, topK: topN }),
  ),
  "cohere-ai v1": cohereV1,
  "cohere-ai v2": cohereV2,
  "voyageai npm": voyage,
  "@ai-sdk/cohere": vercel((url, apiKey) =>
    createCohere({ baseURL: `${url}/v2`, apiKey }).reranking("m"),
  ),
  "voyage-ai-provider": vercel((url, apiKey) =>
    createVoyage({ baseURL: `${url}/v1`, apiKey }).reranking("m"),
  ),
};

async function refused(call, ...how) {
  try {
    return { classes: [], answer: JSON.stringify(await call(...how)) };
  } catch (error) {
    return {
      classes: [error.constructor.name, error.name],
      status: error.statusCode ?? null,
      says: String(error.message),
    };
  }
}

const found = {};
for (const [name, call] of Object.entries(calls)) {
  try {
    found[name] = {
      ...(await call(service, key, query)),
      401: await refused(call, service, "wrong", query),
      422: await refused(call, service, key, "  "),
      429: await refused(call, full, key, query),
    };
  } catch (error) {
    found[name] = { failed: String(error.stack) };
  }
}
console.log(`RESULT ${JSON.stringify(found)}`);
