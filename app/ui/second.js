// The second ranking of a comparison: this service with another setting, its fallback, or an answer
// that was pasted.

import { byId, show } from "./dom.js";
import { scoresOfAnswer } from "./paste.js";
import { labelOf, readSettings, settingControls, showInstructionSupport, writeSettings } from "./settings.js";

let takesInstruction; // the local model
let fallback = ""; // the name of the service behind the local model

export function startSecond() {
  byId("settings-b").append(...settingControls("b"));
  byId("second-source").addEventListener("change", showSource);
}

const source = () => byId("second-source").value;

export function readSecond() {
  if (!byId("compare").open) return null;
  if (source() === "answer") return { answer: byId("answer-b").value };
  const second = { query: byId("query-b").value.trim(), settings: readSettings("b") };
  return source() === "fallback" ? { ...second, ranker: "fallback" } : second;
}

export function writeSecond(second) {
  writeSettings("b", second?.settings);
  byId("query-b").value = second?.query ?? "";
  byId("answer-b").value = second?.answer ?? "";
  byId("second-source").value = second?.answer !== undefined ? "answer" : second?.ranker ?? "service";
  byId("compare").open = second !== undefined;
  showSource();
}

// What the service says of itself: whether it has a fallback, and whether callers may choose it.
export function offerSources(info) {
  takesInstruction = info.takes_instruction;
  fallback = info.fallback ?? "";
  const option = byId("second-source").querySelector('option[value="fallback"]');
  option.textContent = fallback ? `the fallback of this service, ${fallback}` : "the fallback of this service";
  option.hidden = !fallback;
  option.disabled = !info.fallback_on_request;
  show(byId("fallback-hint"), Boolean(fallback) && !info.fallback_on_request);
  showSource();
}

function showSource() {
  show(byId("second-service"), source() !== "answer");
  show(byId("second-answer"), source() === "answer");
  const notice = byId("fallback-notice");
  notice.textContent = `Each ranking sends your query and documents to ${fallback || "the fallback"}.`;
  show(notice, source() === "fallback");
  showInstructionSupport("b", source() === "fallback" ? undefined : takesInstruction);
}

// Texts leave the machine only when somebody who can read the notice asks for it.
export const waitsForUser = (second) => second?.ranker === "fallback";

// `ask` sends a request to the service.
export async function rankSecond(second, request, ask) {
  if (!second) return null;
  if (second.answer !== undefined) {
    if (!second.answer.trim()) return null;
    return { label: "Pasted answer", results: ordered(scoresOfAnswer(second.answer), request.documents.length) };
  }
  const { query, documents, score } = request;
  const ranker = second.ranker ? { ranker: second.ranker } : {};
  const made = await ask({
    query: second.query || query, documents, score, ...second.settings, ...ranker, diagnostics: true,
  });
  return { label: nameOf(second, made), results: resultsOf(made.answer), made };
}

function nameOf(second, made) {
  const label = [second.query ? "other query" : "", labelOf(second.settings)].filter(Boolean).join(", ");
  if (second.ranker) return [`Fallback: ${made.answer.reranked_by}`, label].filter(Boolean).join(", ");
  return label ? `Second: ${label}` : "Second setting";
}

function ordered(results, count) {
  const inside = results.filter(({ index }) => index >= 0 && index < count);
  if (!inside.length) throw new Error("The pasted answer has no result for these documents.");
  return inside.sort((first, second) => second.score - first.score);
}

export function resultsOf(answer) {
  return answer.results.map((item) => ({ index: item.index, score: item.relevance_score }));
}
