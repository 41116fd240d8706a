// An answer with its sources: what was found where, what was read, and which sentence cites what.

import { post } from "./api.js";
import { announce, el, milliseconds, ordinal, plural, score as shown, svgEl } from "./dom.js";
import { directionOf, drawSlopes } from "./slopes.js";
import { plainNodes } from "./text.js";

const OUTCOMES = {
  answered: "Written by a language model from the sources",
  extractive: "The best sentences of the sources, word for word",
  not_found: "Not in the documents",
};
const MARKER = /(\[\d+\])/;

export class AnswerView {
  constructor(place) {
    this.text = "";
    this.complete = false;
    this.id = "";
    this.cards = new Map();
    this.outcome = el("p", { class: "outcome-line" }, el("span", { class: "writing" }, "Searching …"));
    this.prose = el("div", { class: "prose", dir: "auto", id: "answer-text" });
    this.notes = el("div", { class: "answer-notes" });
    this.found = el("ol", { class: "found", "aria-label": "Rank in the first stage" });
    this.canvas = svgEl("svg", { class: "slopes", "aria-hidden": "true", preserveAspectRatio: "none" });
    this.sources = el("ol", { class: "sources", "aria-label": "Sources" });
    this.board = el("div", { class: "source-board" },
      el("h2", { class: "head-found" }, "First stage"), el("h2", { class: "head-sources" }, "Read, best first"),
      this.found, this.canvas, this.sources);
    const written = el("section", { class: "card written", "aria-label": "Answer" }, this.outcome, this.prose, this.notes);
    this.root = el("div", { class: "answer" }, written, this.board);
    for (const name of ["pointerover", "focusin"]) this.root.addEventListener(name, (event) => this.light(event.target));
    for (const name of ["pointerleave", "focusout"]) this.root.addEventListener(name, () => this.light(null));
    new ResizeObserver(() => this.redraw()).observe(this.root);
    this.board.hidden = true;
    place.replaceChildren(this.root);
  }

  showSources({ id, sources }) {
    this.id = id;
    if (!sources.length) return;
    this.board.hidden = false;
    this.outcome.replaceChildren(el("span", { class: "writing" }, "Writing …"));
    this.cards = new Map(sources.map((source) => [source.number, this.card(source)]));
    this.sources.replaceChildren(...this.cards.values());
    const byRank = [...sources].sort((one, other) => one.first_stage_rank - other.first_stage_rank);
    this.marks = new Map(byRank.map((source) => [source.number, el("li", { "data-sources": source.number },
      el("span", {}, ordinal(source.first_stage_rank)))]));
    this.found.replaceChildren(...this.marks.values());
    this.pairs = sources.map((source) => ({
      from: this.marks.get(source.number), to: this.cards.get(source.number), index: source.number,
      change: source.first_stage_rank - source.rerank_rank,
    }));
    this.redraw();
  }

  card(source) {
    const change = source.first_stage_rank - source.rerank_rank;
    const from = String(source.metadata.source ?? source.metadata.title ?? source.id);
    const name = [from.split("/").at(-1), source.metadata.section].filter(Boolean).join(" › ");
    return el("li", { class: "source", "data-sources": source.number, tabindex: 0, id: `source-${source.number}` },
      el("p", { class: "source-head" },
        el("span", { class: "marker number" }, `[${source.number}]`), " ",
        el("bdi", { class: "source-name", title: from }, ...plainNodes(name)), " ",
        el("span", { class: `move ${directionOf(change)}` }, `found ${ordinal(source.first_stage_rank)}, ranked ${ordinal(source.rerank_rank)}`), " ",
        el("span", { class: "value" }, shown(source.rerank_score, "probability"))),
      el("p", { class: "source-text", dir: "auto" }, ...plainNodes(source.text ?? "")));
  }

  addText(piece) {
    this.text += piece;
    this.prose.replaceChildren(...this.withMarkers(this.text), el("span", { class: "cursor", "aria-hidden": "true" }));
  }

  withMarkers(text) {
    return text.split(MARKER).filter(Boolean).flatMap((part) =>
      MARKER.test(part) ? [this.marker(Number(part.slice(1, -1)), part)] : plainNodes(part));
  }

  marker(number, text) {
    return el("a", { class: "marker", href: `#source-${number}`, "data-sources": number,
      on: { click: (event) => { event.preventDefault(); this.cards.get(number)?.focus(); } } }, text);
  }

  showAnswer(answer) {
    this.complete = true;
    this.id = answer.id;
    this.outcome.replaceChildren(
      el("strong", { class: `badge outcome-${answer.outcome}` }, answer.outcome.replace("_", " ")), " ",
      OUTCOMES[answer.outcome], answer.llm ? ` (${answer.llm})` : "", answer.cached ? " · from the cache" : "");
    this.prose.replaceChildren(...this.cited(answer));
    this.notes.replaceChildren(
      ...answer.warnings.map((text) => el("p", { class: "warning" }, text)),
      el("p", { class: "hint" }, factsOf(answer)), this.feedback(answer));
    announce(`${OUTCOMES[answer.outcome]}. ${plural(answer.used_count, "source")} used.`);
  }

  // Positions of citations are code points; a citation carries the numbers of its sources.
  cited({ answer, citations }) {
    const points = Array.from(answer);
    const nodes = [];
    let at = 0;
    for (const { start, end, sources } of [...citations].sort((one, other) => one.start - other.start)) {
      if (start < at) continue;
      nodes.push(...this.withMarkers(points.slice(at, start).join("")));
      nodes.push(el("span", { class: "cited", "data-sources": sources.join(" "), tabindex: 0 },
        ...this.withMarkers(points.slice(start, end).join(""))));
      at = end;
    }
    return [...nodes, ...this.withMarkers(points.slice(at).join(""))];
  }

  // What belongs together lights up: sentences, markers, sources.
  light(target) {
    const numbers = new Set((target?.closest?.("[data-sources]")?.dataset.sources ?? "").split(" ").filter(Boolean));
    for (const node of this.root.querySelectorAll("[data-sources]")) {
      node.classList.toggle("lit", node.dataset.sources.split(" ").some((number) => numbers.has(number)));
    }
    for (const line of this.canvas.children) line.classList.toggle("near", numbers.has(line.dataset.index));
    this.root.classList.toggle("lighting", numbers.size > 0);
  }

  feedback({ id, sources }) {
    const said = el("p", { class: "hint", role: "status" });
    const right = el("select", { id: "right-source" }, el("option", { value: "" }, "not said"),
      ...sources.map((source) => el("option", { value: source.id }, `[${source.number}]`)));
    const give = async (useful) => {
      const body = right.value ? { useful, source: right.value } : { useful };
      try {
        await post(`answer/${encodeURIComponent(id)}/feedback`, body);
        said.textContent = "Thank you. It is stored.";
      } catch (error) {
        said.textContent = `Not stored: ${error.message}`;
      }
    };
    return el("div", { class: "feedback", role: "group", "aria-label": "Was this answer good?" },
      el("span", {}, "Was this answer good?"),
      el("button", { type: "button", class: "quiet", on: { click: () => give("up") } }, "Yes"),
      el("button", { type: "button", class: "quiet", on: { click: () => give("down") } }, "No"),
      sources.length ? el("label", {}, "The right source: ", right) : null, said);
  }

  redraw() {
    if (this.pairs && this.canvas.isConnected) drawSlopes(this.canvas, this.pairs);
  }
}

function factsOf(answer) {
  const times = Object.entries(answer.times_ms).map(([stage, value]) => `${stage} ${milliseconds(value)}`);
  const tokens = answer.usage.total_tokens ? [`${answer.usage.total_tokens} tokens of the language model`] : [];
  return [`${answer.retrieved_count} candidates`, `${answer.used_count} used`, ...times, ...tokens].join(" · ");
}
