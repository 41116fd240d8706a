// The state of the service, read every few seconds while somebody looks at the page.

import { get, Refused } from "./api.js";
import { byId, el, milliseconds } from "./dom.js";
import { figuresOf, readMetrics } from "./metrics.js";
import { offerSources } from "./second.js";
import { showInstructionSupport } from "./settings.js";

const SECONDS = 4;
// The model changes seldom, and each question about it is a line in the log of the service.
const INFO_SECONDS = 30;
let earlier = null; // { samples, at }
let known = null; // { info, at }
let ready = false;
let notice = "";
const listeners = new Set();

export const isReady = () => ready;
export const whenReady = (listener) => listeners.add(listener);

export async function watchStatus() {
  for (;;) {
    if (document.visibilityState === "visible") await look();
    await new Promise((resolve) => { setTimeout(resolve, 1000 * SECONDS); });
  }
}

export async function look() {
  const [readiness, info, figures] = await Promise.all([
    attempt(() => get("readyz")),
    attempt(readInfo),
    attempt(readFigures),
  ]);
  ready = !(readiness instanceof Refused);
  if (!ready) known = null;
  show(readiness, info, figures);
  if (info instanceof Refused) return;
  offer(info);
  warnOfOthers(info);
  if (ready) for (const listener of listeners) listener();
}

async function attempt(call) {
  try {
    return await call();
  } catch (error) {
    if (error instanceof Refused) return error;
    throw error;
  }
}

async function readInfo() {
  if (!known || performance.now() - known.at > 1000 * INFO_SECONDS) {
    known = { info: await (await get("info")).json(), at: performance.now() };
  }
  return known.info;
}

async function readFigures() {
  const samples = readMetrics(await (await get("metrics", { metrics: true })).text());
  const at = performance.now();
  const figures = figuresOf(samples, earlier?.samples, earlier ? (at - earlier.at) / 1000 : 0);
  earlier = { samples, at };
  return figures;
}

function show(readiness, info, figures) {
  const problem = readiness instanceof Refused ? readiness.message : "";
  const parts = [el("span", { class: ready ? "light ready" : "light" }, ready ? "ready" : `not ready: ${problem}`)];
  if (info instanceof Refused) parts.push(part("", info.status === 401 ? "a key is needed" : info.message));
  else parts.push(...modelParts(info));
  if (figures instanceof Refused) {
    parts.push(part("", figures.status === 401 ? "metrics need their own key" : `no metrics: ${figures.message}`));
  } else parts.push(...loadParts(figures));
  byId("status").replaceChildren(...parts);
}

const part = (name, value, more = {}) => el("span", { class: "status-part", ...more },
  name ? el("span", { class: "status-name" }, `${name} `) : null, value);

function modelParts(info) {
  if (!info.model) return [];
  const engine = [info.engine, info.dtype, info.device].filter(Boolean).join(" · ");
  return [
    part("model", info.model, { "data-status": "model" }), part("engine", engine, { "data-status": "engine" }),
    info.choosing_engine ? part("", "a faster engine is being chosen") : null,
  ].filter(Boolean);
}

function loadParts({ perSecond, p95, queue, queueLimit, padding }) {
  const share = queueLimit ? queue / queueLimit : 0;
  return [
    el("span", { class: "status-part", "data-status": "queue" }, el("span", { class: "status-name" }, "queue "),
      el("span", { class: "gauge", "aria-hidden": "true", vars: { size: share } }), `${Math.round(100 * share)}%`),
    perSecond === null ? null : part("requests/s", perSecond.toFixed(1), { "data-status": "rate" }),
    p95 === null ? null : part("p95", milliseconds(1000 * p95), { "data-status": "p95" }),
    padding === null ? null : part("padding", `${Math.round(100 * padding)}%`, { "data-status": "padding" }),
  ].filter(Boolean);
}

function offer(info) {
  showInstructionSupport("a", info.takes_instruction);
  offerSources(info);
  const calibrated = document.querySelector('input[name="kind"][value="calibrated"]');
  calibrated.disabled = !(info.scores ?? []).includes("calibrated");
  calibrated.parentElement.title = calibrated.disabled ? "No calibration is loaded (RERANKD_CALIBRATION)" : "";
}

// Said plainly, because texts then leave the machine.
function warnOfOthers(info) {
  const text = noticeOf(info);
  if (text === notice) return;
  notice = text;
  byId("notices").replaceChildren(...(text ? [el("p", { class: "notice", role: "note" }, text)] : []));
}

function noticeOf(info) {
  if (info.reranked_by && info.reranked_by !== info.fallback) {
    return `Another service ranks here: ${info.reranked_by}. Your query and documents are sent to it.`;
  }
  if (!info.fallback) return "";
  const now = info.local_status && info.local_status !== "ready"
    ? `The local model cannot rank now (${info.local_status}), so your query and documents are sent to ${info.fallback}.`
    : `If the local model is busy or fails, your query and documents are sent to ${info.fallback}.`;
  return `This service has a fallback. ${now}`;
}
