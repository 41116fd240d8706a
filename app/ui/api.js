// Calls to the service. The keys stay in this module: they are in memory only, and in no URL.

const ROOT = new URL("../", import.meta.url);
const keys = { api: "", metrics: "" };

export class Refused extends Error {
  // `seconds`: when to come back, if the service says so.
  constructor(message, { status = 0, type = "", field = "", requestId = "", seconds = null } = {}) {
    super(message);
    Object.assign(this, { status, type, field, requestId, seconds });
  }
}

export function setKeys(api, metrics) {
  keys.api = api;
  keys.metrics = metrics;
}

export const addressOf = (path) => new URL(path.replace(/^\//, ""), ROOT).href;

function headersFor(key, more = {}) {
  return key ? { ...more, Authorization: `Bearer ${key}` } : more;
}

async function send(path, options) {
  try {
    return await fetch(addressOf(path), { ...options, cache: "no-store", credentials: "omit" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The service does not answer. It may have ended, or the network is down.");
  }
}

export async function get(path, { metrics = false } = {}) {
  const response = await send(path, { headers: headersFor(metrics ? keys.metrics : keys.api) });
  if (!response.ok) throw await refusalOf(response);
  return response;
}

export async function post(path, body, { signal } = {}) {
  const response = await send(path, {
    method: "POST",
    headers: headersFor(keys.api, { "Content-Type": "application/json" }),
    body: JSON.stringify(body),
    signal,
  });
  if (!response.ok) throw await refusalOf(response);
  return response;
}

async function refusalOf(response) {
  const text = await response.text();
  let body = {};
  try {
    body = JSON.parse(text) ?? {};
  } catch {
    body = { detail: text.slice(0, 300) };
  }
  const detail = typeof body.detail === "string" ? body.detail : body.message ?? body.error ?? text;
  return new Refused(String(detail) || `Status ${response.status}`, {
    status: response.status,
    type: body.type ?? body.error_type ?? "",
    field: body.field ?? "",
    requestId: response.headers.get("X-Request-ID") ?? "",
    seconds: secondsOf(response.headers),
  });
}

function secondsOf(headers) {
  const exact = headers.get("retry-after-ms");
  if (exact !== null) return Number(exact) / 1000;
  const whole = headers.get("Retry-After");
  return whole !== null && Number.isFinite(Number(whole)) ? Number(whole) : null;
}

// Server-sent events of a response, as [event, data] pairs.
export async function* eventsOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { done, value } = await reader.read();
    waiting += value ?? "";
    const blocks = waiting.split("\n\n");
    waiting = blocks.pop();
    for (const block of blocks) yield readEvent(block);
    if (done) return;
  }
}

function readEvent(block) {
  const lines = block.split("\n");
  const value = (name) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
  return [value("event") ?? "message", JSON.parse(value("data") ?? "null")];
}
