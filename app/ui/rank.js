// The tab “Rank”: reads the form, calls the service, and keeps the current ranking.

import { post } from "./api.js";
import { Board } from "./board.js";
import { showCode } from "./code.js";
import { showComparison } from "./comparison.js";
import { announce, byId, el, plural, show } from "./dom.js";
import { EXAMPLES } from "./examples.js";
import { remember, showHistory } from "./history.js";
import { showJudgements } from "./judgements.js";
import { showLink } from "./link.js";
import { defectsOf, nameOf, parse, textOfDocument } from "./paste.js";
import { clearProblem, showProblem } from "./problem.js";
import { rankSecond, readSecond, resultsOf, startSecond, waitsForUser, writeSecond } from "./second.js";
import { readSettings, settingControls, writeSettings } from "./settings.js";
import { showSummary } from "./summary.js";
import { showTime } from "./time.js";

const TOOLS = {
  time: showTime, judge: showJudgements, code: showCode, link: showLink, history: showHistory,
};
const MAX_FILE_BYTES = 8_000_000;
const TYPING_MS = 80;

let board;
let ranking = null;
let typing = 0; // the timer that recognises what is typed
let run = 0; // a later run makes the answers of earlier ones stale
let openTool = null;
let judged = []; // [index, grade] pairs: of the user, or of the pasted data
let minimum = null; // kept from run to run, while the kind of score stays

export function startRanking() {
  board = new Board(byId("board-place"), { onJudge: judge, onMinimum: setMinimum });
  byId("settings-a").append(...settingControls("a"));
  startSecond();
  byId("examples").append(...EXAMPLES.map((example) => el("button", {
    type: "button", class: "chip", on: { click: () => { load(example); rankNow(); } },
  }, example.name)));
  byId("rank-form").addEventListener("submit", (event) => { event.preventDefault(); rankNow(); });
  byId("documents").addEventListener("input", recogniseSoon);
  byId("file").addEventListener("change", (event) => openFile(event.target.files[0]));
  byId("documents").addEventListener("dragover", (event) => event.preventDefault());
  byId("documents").addEventListener("drop", dropped);
  for (const radio of document.getElementsByName("kind")) {
    radio.addEventListener("change", () => ranking && rankNow());
  }
  for (const button of document.querySelectorAll("[data-tool]")) {
    button.addEventListener("click", () => toggleTool(button.dataset.tool));
  }
}

// `state`: what a permalink, an example or the history holds.
export function load(state) {
  byId("query").value = state.query ?? "";
  byId("documents").value = state.text ?? "";
  writeSettings("a", state.settings);
  writeSecond(state.second);
  const kind = state.kind ?? "probability";
  for (const radio of document.getElementsByName("kind")) radio.checked = radio.value === kind;
  const { query } = recognise(false);
  if (!byId("query").value && query) byId("query").value = query;
  if (state.judgements) judged = state.judgements;
  minimum = state.minimum ?? null;
}

export function state() {
  const saved = {
    query: byId("query").value, text: byId("documents").value, settings: readSettings("a"), kind: kind(),
  };
  const second = readSecond();
  if (second) saved.second = second;
  if (ranking) {
    saved.minimum = ranking.minimum;
    saved.judgements = [...ranking.judgements];
  }
  return saved;
}

const kind = () => [...document.getElementsByName("kind")].find((radio) => radio.checked).value;

// A list may be long, and what inserts it may do so line by line.
function recogniseSoon() {
  clearTimeout(typing);
  typing = setTimeout(() => recognise(true), TYPING_MS);
}

function recognise(replaceQuery) {
  clearTimeout(typing);
  typing = 0;
  const parsed = parse(byId("documents").value);
  if (replaceQuery && parsed.query) byId("query").value = parsed.query;
  judged = parsed.relevant.map((index) => [index, 1]);
  const defects = defectsOf(parsed.documents);
  const repeated = defects.filter((item) => item.duplicateOf !== undefined).length;
  const empty = defects.filter((item) => item.empty).length;
  const parts = [nameOf(parsed.kind), parsed.documents.length ? plural(parsed.documents.length, "document") : ""];
  if (repeated) parts.push(plural(repeated, "duplicate"));
  if (empty) parts.push(`${empty} empty`);
  byId("recognised").textContent = [...parts, parsed.note].filter(Boolean).join(" · ");
  return parsed;
}

async function openFile(file) {
  if (!file) return;
  if (file.size > MAX_FILE_BYTES) {
    byId("recognised").textContent = `${file.name} is larger than ${MAX_FILE_BYTES / 1e6} MB.`;
    return;
  }
  byId("documents").value = await file.text();
  recognise(true);
}

function dropped(event) {
  if (!event.dataTransfer.files.length) return;
  event.preventDefault();
  openFile(event.dataTransfer.files[0]);
}

// `byUser`: somebody asked for it, and not the page itself when it opened.
export async function rankNow({ byUser = true } = {}) {
  const mine = ++run;
  const parsed = typing ? recognise(true) : parse(byId("documents").value);
  const query = byId("query").value.trim();
  const problem = byId("problem");
  clearProblem(problem);
  if (!query || !parsed.documents.length) {
    byId("recognised").textContent = query ? "Paste at least one document." : "Write a query.";
    byId(query ? "documents" : "query").focus();
    return;
  }
  byId("rank-button").setAttribute("aria-busy", "true");
  try {
    const request = { query, documents: parsed.documents, ...readSettings("a"), score: kind(), diagnostics: true };
    const wanted = readSecond();
    const waiting = waitsForUser(wanted) && !byUser;
    if (waitsForUser(wanted)) request.ranker = "local"; // otherwise a busy model compares the fallback with itself
    const [made, second] = await Promise.all([
      ask(request), rankSecond(waiting ? null : wanted, request, ask).catch((error) => ({ error })),
    ]);
    if (mine !== run) return;
    ranking = { ...rankingOf(request, made, second?.error ? null : second), waiting };
    minimum = ranking.minimum;
    showRanking();
    if (second?.error) showProblem(problem, second.error, rankNow);
    await explain(mine, request);
  } catch (error) {
    if (mine === run) showProblem(problem, error, rankNow);
  } finally {
    if (mine === run) byId("rank-button").removeAttribute("aria-busy");
  }
}

async function ask(request) {
  const started = performance.now();
  const response = await post("rerank", request);
  const answer = await response.json();
  return {
    answer, roundTrip: performance.now() - started,
    requestId: response.headers.get("X-Request-ID"), by: response.headers.get("X-Reranked-By"),
  };
}

function rankingOf(request, made, second) {
  const { answer } = made;
  return {
    request, made, second, documents: request.documents,
    texts: request.documents.map(textOfDocument), defects: defectsOf(request.documents),
    kind: answer.score, results: resultsOf(answer), readings: new Map(), judgements: new Map(judged),
    minimum: ranking && ranking.kind !== answer.score ? null : minimum, warnings: answer.warnings ?? [],
    usage: {
      truncated: new Set(answer.usage.truncated_documents ?? []),
      failed: new Set(answer.usage.failed_documents ?? []),
    },
  };
}

function showRanking() {
  board.render(ranking);
  refresh();
  show(byId("tools"), true);
  remember(state(), ranking, openState);
  const moved = ranking.results.filter((item, rank) => item.index !== rank).length;
  announce(`${plural(ranking.results.length, "document")} ranked, ${moved} moved.`);
}

function openState(saved) {
  load(saved);
  rankNow();
}

// The sentences are read after the ranking is shown, with a request of their own.
async function explain(mine, request) {
  try {
    const { answer } = await ask({ ...request, explain: true });
    if (mine !== run) return;
    for (const item of answer.results) if (item.reading) ranking.readings.set(item.index, item.reading);
    if (!ranking.readings.size) ranking.explained = (answer.warnings ?? ["Nothing was read here."]).join(" ");
    ranking.warnings = [...new Set([...ranking.warnings, ...(answer.warnings ?? [])])];
  } catch (error) {
    if (mine !== run) return;
    ranking.explained = `The sentences could not be read: ${error.message}`;
  }
  board.showReadings();
  refresh();
}

function judge(index, grade) {
  if (ranking.judgements.get(index) === grade) ranking.judgements.delete(index);
  else ranking.judgements.set(index, grade);
  judged = [...ranking.judgements];
  board.showJudgements();
  refresh();
  byId("board-place").querySelector(`.row[data-index="${index}"] .grade-${grade}`)?.focus();
}

function setMinimum(value) {
  minimum = value;
  ranking.minimum = value;
  board.showMinimum();
  refresh();
}

function refresh() {
  showSummary(byId("summary"), ranking);
  showComparison(byId("comparison"), ranking);
  if (openTool) TOOLS[openTool](byId(`tool-${openTool}`), ranking, state);
}

function toggleTool(name) {
  openTool = openTool === name ? null : name;
  for (const button of document.querySelectorAll("[data-tool]")) {
    const open = button.dataset.tool === openTool;
    button.setAttribute("aria-expanded", String(open));
    show(byId(`tool-${button.dataset.tool}`), open);
  }
  if (openTool) TOOLS[openTool](byId(`tool-${openTool}`), ranking, state);
}
