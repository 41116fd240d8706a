// Reads what people have at hand: lines, JSON, a curl command, JSON lines, tab-separated values.
// The result: { kind, query, documents, relevant, note }. A document is a string, or an object with
// `text`. `relevant` holds indices that are judged, if the data has them.

const DOCUMENT_KEYS = ["documents", "texts", "passages", "input", "inputs", "text_2", "data_2", "items"];
const QUERY_KEYS = ["query", "text_1", "data_1", "queries"];
const TEXT_COLUMN = /^(text|document|passage|body|content|snippet|chunk)$/i;
const NAMES = {
  curl: "curl command", json: "JSON list", body: "JSON body", jsonl: "JSON lines",
  tsv: "tab-separated table", lines: "lines", paragraphs: "paragraphs", none: "",
};

export const nameOf = (kind) => NAMES[kind];

export function parse(raw) {
  const text = raw.replace(/^\uFEFF/, "").replace(/\r\n?/g, "\n");
  if (!text.trim()) return nothing();
  if (/^\s*(\$\s*)?curl\s/.test(text)) return fromCurl(text);
  if (/^\s*[[{]/.test(text)) return fromJson(text) ?? fromJsonLines(text) ?? fromLines(text);
  return fromTable(text) ?? fromLines(text);
}

function nothing(note = "") {
  return { kind: "none", query: "", documents: [], relevant: [], note };
}

function fromCurl(text) {
  const words = shellWords(text.replace(/^\s*\$\s*/, ""));
  const flags = new Set(["-d", "--data", "--data-raw", "--data-binary", "--json", "--data-ascii"]);
  const at = words.findIndex((word) => flags.has(word));
  const joined = words.find((word) => /^--(data|data-raw|data-binary|json)=/.test(word));
  const body = at >= 0 ? words[at + 1] : joined?.slice(joined.indexOf("=") + 1);
  if (body === undefined) return nothing("This curl command has no body (-d or --json).");
  const parsed = fromJson(body);
  if (!parsed) return nothing("The body of this curl command is not JSON with documents.");
  return { ...parsed, kind: "curl" };
}

// Words as a POSIX shell splits them, without expansion.
export function shellWords(text) {
  const words = [];
  const part = /\s+|\\\n|\$'((?:\\.|[^'\\])*)'|'([^']*)'|"((?:\\[\s\S]|[^"\\])*)"|\\([\s\S])|([^\s'"\\]+)/g;
  let word = null;
  for (const match of text.matchAll(part)) {
    const [whole, ansi, single, double, escaped, plain] = match;
    if (/^(\s+|\\\n)$/.test(whole)) {
      if (word !== null && whole !== "\\\n") {
        words.push(word);
        word = null;
      }
    } else {
      const read = ansi !== undefined ? unescapeAnsi(ansi) : single
        ?? double?.replace(/\\([$`"\\\n])/g, (_, mark) => (mark === "\n" ? "" : mark))
        ?? escaped ?? plain;
      word = (word ?? "") + read;
    }
  }
  return word === null ? words : [...words, word];
}

function unescapeAnsi(text) {
  const named = { n: "\n", t: "\t", r: "\r" };
  return text.replace(/\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([\s\S]))/g, (_, unicode, byte, mark) =>
    unicode || byte ? String.fromCharCode(parseInt(unicode ?? byte, 16)) : named[mark] ?? mark);
}

function fromJson(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (Array.isArray(value)) return { ...nothing(), kind: "json", documents: documentsOf(value) };
  return fromBody(value);
}

function fromBody(body) {
  const key = DOCUMENT_KEYS.find((name) => Array.isArray(body[name]));
  if (!key) return typeof body.text === "string" ? { ...nothing(), kind: "json", documents: [body] } : null;
  const asked = QUERY_KEYS.map((name) => body[name]).find((value) => value !== undefined);
  const query = Array.isArray(asked) ? asked[0] : asked;
  const documents = documentsOf(body[key], body.rank_fields);
  return {
    ...nothing(), kind: "body", query: query === undefined ? "" : textOf(query), documents,
    relevant: relevantOf(body.relevant, documents),
  };
}

function relevantOf(relevant, documents) {
  if (!relevant || typeof relevant !== "object") return [];
  const names = Array.isArray(relevant)
    ? relevant : Object.keys(relevant).filter((name) => relevant[name] > 0);
  return names
    .map((name) => {
      const byId = documents.findIndex((item) => typeof item === "object" && String(item.id) === String(name));
      return byId >= 0 ? byId : Number(name);
    })
    .filter((index) => Number.isInteger(index) && index >= 0 && index < documents.length);
}

function documentsOf(values, fields) {
  return values.map((value) => {
    if (typeof value === "string") return value;
    if (value && typeof value === "object" && typeof value.text === "string" && !fields) return value;
    return textOf(value, fields);
  });
}

// Objects without `text` are read as Cohere v1 does: one line for each field.
function textOf(value, fields) {
  if (typeof value === "string") return value;
  if (value === null || typeof value !== "object") return String(value);
  if (typeof value.text === "string" && !fields) return value.text;
  if (Array.isArray(value.content)) return value.content.map((part) => part.text ?? "").join("\n");
  const names = (fields ?? Object.keys(value)).filter((name) => value[name] !== undefined);
  if (names.length === 1) return String(value[names[0]]);
  return names.map((name) => `${name}: ${value[name]}`).join("\n");
}

function fromJsonLines(text) {
  const rows = [];
  for (const line of text.split("\n").filter((part) => part.trim())) {
    try {
      rows.push(JSON.parse(line));
    } catch {
      return null;
    }
  }
  const first = rows[0];
  if (first && !Array.isArray(first) && DOCUMENT_KEYS.some((key) => Array.isArray(first[key]))) {
    const more = rows.length - 1;
    const note = more ? `The first of ${rows.length} queries is shown.` : "";
    return { ...fromBody(first), kind: "jsonl", note };
  }
  return { ...nothing(), kind: "jsonl", documents: documentsOf(rows) };
}

function fromTable(text) {
  const rows = text.split("\n").filter((line) => line.trim()).map((line) => line.split("\t"));
  const width = rows[0].length;
  if (width < 2 || rows.some((row) => row.length !== width)) return null;
  const named = rows[0].findIndex((cell) => TEXT_COLUMN.test(cell.trim()));
  const body = named >= 0 ? rows.slice(1) : rows;
  const column = named >= 0 ? named : longestColumn(body, width);
  return { ...nothing(), kind: "tsv", documents: body.map((row) => row[column].trim()) };
}

function longestColumn(rows, width) {
  const lengths = Array.from({ length: width }, (_, column) =>
    rows.reduce((sum, row) => sum + row[column].length, 0));
  return lengths.indexOf(Math.max(...lengths));
}

// A document a line; texts of several lines are separated by blank lines.
function fromLines(text) {
  const blocks = text.split(/\n[ \t]*\n+/).map((block) => block.trim()).filter(Boolean);
  const several = blocks.length > 1 && blocks.some((block) => block.includes("\n"));
  if (several) return { ...nothing(), kind: "paragraphs", documents: blocks };
  const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
  return { ...nothing(), kind: "lines", documents: lines };
}

export const textOfDocument = (item) => (typeof item === "string" ? item : item.text);

// Which documents are blank, and which repeat an earlier one.
export function defectsOf(documents) {
  const first = new Map();
  return documents.map((item, index) => {
    const text = textOfDocument(item);
    if (!text.trim()) return { empty: true };
    if (first.has(text)) return { duplicateOf: first.get(text) };
    first.set(text, index);
    return {};
  });
}

// Scores by document index from the answer of any service: lists or `results`, `data`, `rankings`.
export function scoresOfAnswer(raw) {
  let body;
  try {
    body = JSON.parse(raw);
  } catch {
    throw new Error("The pasted answer is not JSON.");
  }
  const list = Array.isArray(body) ? body : body.results ?? body.data ?? body.rankings;
  if (!Array.isArray(list)) throw new Error("The pasted answer has no results, data or rankings.");
  return list.map((item) => {
    const index = item.index ?? item.corpus_id;
    const value = item.relevance_score ?? item.score ?? item.logit;
    if (!Number.isInteger(index) || typeof value !== "number") {
      throw new Error("A result of the pasted answer has no index or no score.");
    }
    return { index, score: value };
  });
}
