// The request of the page in the format of each API that the service speaks.

const text = (item) => (typeof item === "string" ? item : item.text);
const texts = (documents) => documents.map(text);
const objects = (documents) => documents.map((item) => (typeof item === "string" ? { text: item } : item));
const logits = ({ score }) => score === "logit";

function without(body) {
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined && value !== false));
}

// Each `body` takes what the form holds, and leaves out what the API has no field for.
export const DIALECTS = [
  {
    name: "native", label: "rerankd", path: "/rerank",
    body: (ask) => without({
      query: ask.query, documents: ask.documents, score: ask.score === "probability" ? undefined : ask.score,
      min_score: ask.min_score, long_documents: ask.long_documents,
      truncation_direction: ask.truncation_direction, instruction: ask.instruction, ranker: ask.ranker,
    }),
  },
  {
    name: "cohere_v2", label: "Cohere v2", path: "/v2/rerank",
    body: (ask) => ({ model: ask.model, query: ask.query, documents: texts(ask.documents) }),
  },
  {
    name: "cohere_v1", label: "Cohere v1", path: "/cohere/v1/rerank",
    body: (ask) => ({ model: ask.model, query: ask.query, documents: ask.documents }),
  },
  {
    name: "jina", label: "Jina", path: "/jina/v1/rerank",
    body: (ask) => ({ model: ask.model, query: ask.query, documents: ask.documents }),
  },
  {
    name: "voyage", label: "Voyage", path: "/voyage/v1/rerank",
    body: (ask) => ({ model: ask.model, query: ask.query, documents: texts(ask.documents) }),
  },
  {
    name: "tei", label: "Text Embeddings Inference", path: "/tei/rerank",
    body: (ask) => without({
      query: ask.query, texts: texts(ask.documents), raw_scores: logits(ask),
      truncation_direction: ask.truncation_direction,
    }),
  },
  {
    name: "infinity", label: "Infinity", path: "/infinity/rerank",
    body: (ask) => without({ query: ask.query, documents: texts(ask.documents), raw_scores: logits(ask) }),
  },
  {
    name: "vllm", label: "vLLM", path: "/vllm/rerank",
    body: (ask) => ({
      model: ask.model, query: ask.query, documents: texts(ask.documents),
      ...(logits(ask) ? { use_activation: false } : {}),
    }),
  },
  {
    name: "llamacpp", label: "llama.cpp", path: "/llamacpp/reranking",
    body: (ask) => ({ model: ask.model, query: ask.query, documents: texts(ask.documents) }),
  },
  {
    name: "nim", label: "NVIDIA NIM", path: "/nim/v1/ranking",
    body: (ask) => ({ model: ask.model, query: { text: ask.query }, passages: objects(ask.documents) }),
  },
  {
    name: "xinference", label: "Xinference", path: "/xinference/v1/rerank",
    body: (ask) => ({ model: ask.model, query: ask.query, documents: ask.documents }),
  },
  {
    name: "sglang", label: "SGLang", path: "/sglang/v1/rerank",
    body: (ask) => without({ query: ask.query, documents: texts(ask.documents), instruct: ask.instruction }),
  },
  {
    name: "mixedbread", label: "Mixedbread", path: "/mixedbread/v1/reranking",
    body: (ask) => without({
      model: ask.model, query: ask.query, input: ask.documents, instruction: ask.instruction,
    }),
  },
  {
    name: "siliconflow", label: "SiliconFlow", path: "/siliconflow/v1/rerank",
    body: (ask) => ({ model: ask.model, query: ask.query, documents: texts(ask.documents) }),
  },
  {
    name: "weaviate", label: "Weaviate", path: "/weaviate/rerank",
    body: (ask) => ({ query: ask.query, documents: texts(ask.documents) }),
  },
  {
    name: "shared", label: "/v1/rerank, for any client", path: "/v1/rerank",
    body: (ask) => ({ model: ask.model, query: ask.query, documents: ask.documents }),
  },
];

export const LANGUAGES = {
  curl: (address, body) => [
    `curl -s ${quoted(address)} \\`,
    "  -H 'Content-Type: application/json' \\",
    '  -H "Authorization: Bearer $RERANKD_API_KEY" \\',
    `  -d ${quoted(JSON.stringify(body, null, 2))}`,
  ].join("\n"),
  Python: (address, body) => [
    "import os", "", "import httpx", "", "answer = httpx.post(",
    `    ${pythonText(address)},`,
    '    headers={"Authorization": f"Bearer {os.environ.get(\'RERANKD_API_KEY\', \'none\')}"},',
    `    json=${pythonValue(body, 1)},`,
    "    timeout=60,", ")", "answer.raise_for_status()", "print(answer.json())",
  ].join("\n"),
  JavaScript: (address, body) => [
    `const apiKey = "YOUR KEY";`, `const response = await fetch(${JSON.stringify(address)}, {`, '  method: "POST",',
    '  headers: { "Content-Type": "application/json", "Authorization": `Bearer ${apiKey}` },',
    `  body: JSON.stringify(${JSON.stringify(body, null, 2).replaceAll("\n", "\n  ")}),`, "});",
    "if (!response.ok) throw new Error(await response.text());", "console.log(await response.json());",
  ].join("\n"),
};

function quoted(value) {
  return `'${value.replaceAll("'", "'\\''")}'`;
}

// JSON's escapes are Python's too, but for those of characters beyond the basic plane, which stay.
const pythonText = (value) => JSON.stringify(value);

function pythonValue(value, depth) {
  const [inner, outer] = ["    ".repeat(depth + 1), "    ".repeat(depth)];
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "string") return pythonText(value);
  if (typeof value !== "object") return String(value);
  const parts = Array.isArray(value)
    ? value.map((item) => pythonValue(item, depth + 1))
    : Object.entries(value).map(([key, item]) => `${pythonText(key)}: ${pythonValue(item, depth + 1)}`);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  return parts.length ? `${open}\n${parts.map((part) => `${inner}${part},\n`).join("")}${outer}${close}` : open + close;
}
