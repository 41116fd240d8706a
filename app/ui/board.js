// The picture of a ranking: the given order, the lines of movement, and the rows with their scores.

import { el, ordinal, plural, score as shown, svgEl } from "./dom.js";
import { fraction, ranksOf, scaleOf } from "./measures.js";
import { minimumHandle } from "./minimum.js";
import { detailsOf } from "./reading.js";
import { directionOf, drawSlopes, followPointer } from "./slopes.js";
import { plainNodes, sentenceScale, snippetNodes } from "./text.js";

export const ROWS_AT_FIRST = 100;
const SHORT_CHARS = 90;

// `ranking` has: documents, texts, defects, kind, results, second, readings, judgements, minimum.
export class Board {
  constructor(place, { onJudge, onMinimum }) {
    this.place = place;
    this.onJudge = onJudge;
    this.onMinimum = onMinimum;
    this.ranking = null;
    this.limit = ROWS_AT_FIRST;
    this.pairs = [];
    new ResizeObserver(() => this.redraw()).observe(place);
  }

  render(ranking) {
    this.limit = ranking === this.ranking ? this.limit : ROWS_AT_FIRST;
    this.ranking = ranking;
    const { kind, results } = ranking;
    this.scale = scaleOf([...results, ...(ranking.second?.results ?? [])].map((item) => item.score), kind);
    this.ranks = ranksOf(results.map((item) => item.index));
    this.rows = new Map();
    const board = el("div", { class: ranking.second ? "board with-second" : "board" });
    board.append(...this.heads(), ...this.columns());
    followPointer(board);
    this.place.replaceChildren(board, ...this.moreButton());
    this.showMinimum();
    this.redraw();
  }

  heads() {
    const { second, kind, minimum } = this.ranking;
    this.handle = minimumHandle(this.scale, kind, minimum, (value) => this.onMinimum(value));
    const parts = [
      el("h2", { class: "head head-given" }, "Given order"),
      el("div", { class: "head head-after" },
        el("h2", {}, "Reranked"), el("div", { class: "axis" }, this.handle.node)),
    ];
    if (second) parts.push(el("h2", { class: "head head-second" }, second.label));
    return parts;
  }

  columns() {
    const { documents, results, second } = this.ranking;
    const shownRows = results.slice(0, this.limit);
    const visible = documents.map((_, index) => index).slice(0, Math.max(this.limit, 0));
    const given = new Map(visible.map((index) => [index, this.givenItem(index)]));
    for (const [rank, item] of shownRows.entries()) this.rows.set(item.index, this.row(item, rank + 1));
    const parts = [
      el("ol", { class: "given", "aria-label": "Given order" }, ...given.values()),
      this.canvas("slopes-first"),
      el("ol", { class: "after", "aria-label": "Reranked" }, ...this.rows.values()),
    ];
    this.groups = [[parts[1], this.pairsBetween(given, this.rows, (index) => index + 1, this.ranks)]];
    if (second) parts.push(...this.secondColumn(second));
    return parts;
  }

  secondColumn({ results, label }) {
    const ranks = ranksOf(results.map((item) => item.index));
    const items = new Map(results.slice(0, this.limit).map((item, place) => [
      item.index, this.secondItem(item, place + 1),
    ]));
    const canvas = this.canvas("slopes-second");
    this.groups.push([canvas, this.pairsBetween(this.rows, items, (index) => this.ranks.get(index), ranks)]);
    return [canvas, el("ol", { class: "second", "aria-label": label }, ...items.values())];
  }

  canvas(name) {
    return svgEl("svg", { class: `slopes ${name}`, "aria-hidden": "true", preserveAspectRatio: "none" });
  }

  pairsBetween(from, to, before, after) {
    return [...to.keys()].filter((index) => from.has(index)).map((index) => ({
      from: from.get(index), to: to.get(index), index, change: before(index) - after.get(index),
    }));
  }

  givenItem(index) {
    return el("li", { class: "given-item", "data-index": index },
      el("span", { class: "number" }, String(index + 1)),
      el("bdi", { class: "short", dir: "auto" }, ...plainNodes(this.ranking.texts[index].slice(0, SHORT_CHARS))));
  }

  secondItem({ index, score }, rank) {
    const change = (this.ranks.get(index) ?? rank) - rank;
    return el("li", { class: "second-item", "data-index": index },
      el("span", { class: "number" }, String(rank)),
      el("span", { class: "value" }, this.scoreText(index, score)),
      this.track(score),
      el("span", { class: `move ${directionOf(change)}` }, movement(change)),
      el("bdi", { class: "short", dir: "auto" }, ...plainNodes(this.ranking.texts[index].slice(0, SHORT_CHARS))));
  }

  // An empty document, or one that failed, has no score of its own.
  scoreText(index, score) {
    const { defects, usage, kind } = this.ranking;
    return defects[index].empty || usage.failed.has(index) ? "–" : shown(score, kind);
  }

  track(score) {
    return el("span", { class: "track", "aria-hidden": "true", vars: { size: fraction(score, this.scale) } },
      el("span", { class: "bar" }));
  }

  row({ index, score }, rank) {
    const change = index + 1 - rank;
    const details = el("div", { class: "details", id: `details-${index}`, hidden: true });
    const text = el("button", {
      type: "button", class: "text", "aria-expanded": "false", "aria-controls": details.id,
      on: { click: () => this.toggle(index) },
    }, ...this.snippet(index));
    return el("li", { class: `row ${directionOf(change)}`, "data-index": index, "data-score": score },
      el("div", { class: "rank" },
        el("span", { class: "number" }, String(rank)),
        el("span", { class: `move ${directionOf(change)}` }, movement(change),
          el("span", { class: "visually-hidden" }, ` was ${ordinal(index + 1)}`))),
      el("div", { class: "score" }, el("span", { class: "value" }, this.scoreText(index, score)), this.track(score)),
      text, this.judge(index), details);
  }

  snippet(index) {
    const { texts, readings, defects } = this.ranking;
    if (defects[index].empty) return [el("em", {}, "empty document")];
    const nodes = snippetNodes(texts[index], readings.get(index), this.sentenceScale());
    return [el("bdi", { class: "snippet", dir: "auto" }, ...nodes), ...this.badges(index)];
  }

  badges(index) {
    const { defects, readings, usage } = this.ranking;
    const { duplicateOf } = defects[index];
    const reading = readings.get(index);
    const badges = [];
    if (duplicateOf !== undefined) badges.push(`same text as ${duplicateOf + 1}`);
    if (usage.failed.has(index)) badges.push("could not be scored");
    if (usage.truncated.has(index)) {
      badges.push(reading ? `cut: ${reading.read_tokens} of ${reading.tokens} tokens read` : "cut");
    }
    if (reading?.windows) badges.push(plural(reading.windows.length, "window"));
    return badges.map((label) => el("span", { class: "badge" }, label));
  }

  judge(index) {
    const button = (grade, sign, label) => el("button", {
      type: "button", class: `verdict grade-${grade}`, "aria-label": `${label}: document ${index + 1}`,
      "aria-pressed": String(this.ranking.judgements.get(index) === grade), title: label,
      on: { click: () => this.onJudge(index, grade) },
    }, sign);
    return el("div", { class: "judge" }, button(1, "✓", "Relevant"), button(0, "✕", "Not relevant"));
  }

  toggle(index) {
    const row = this.rows.get(index);
    const open = row.classList.toggle("open");
    const details = row.querySelector(".details");
    details.hidden = !open;
    row.querySelector(".text").setAttribute("aria-expanded", String(open));
    if (open) this.fillDetails(index, details);
    this.redraw();
  }

  fillDetails(index, details) {
    details.replaceChildren(...detailsOf(this.ranking, index, this.sentenceScale()));
  }

  sentenceScale() {
    return sentenceScale(this.ranking.readings);
  }

  // What the model read has arrived: mark it in the rows that are there.
  showReadings() {
    for (const [index, row] of this.rows) {
      row.querySelector(".text").replaceChildren(...this.snippet(index));
      if (row.classList.contains("open")) this.fillDetails(index, row.querySelector(".details"));
    }
    this.redraw();
  }

  showJudgements() {
    for (const [index, row] of this.rows) row.querySelector(".judge").replaceWith(this.judge(index));
  }

  showMinimum() {
    const { minimum } = this.ranking;
    const board = this.place.firstElementChild;
    board.style.setProperty("--minimum", minimum === null ? 0 : fraction(minimum, this.scale));
    board.classList.toggle("has-minimum", minimum !== null);
    for (const row of this.rows.values()) {
      row.classList.toggle("below", minimum !== null && Number(row.dataset.score) < minimum);
    }
    this.handle.show(minimum);
  }

  moreButton() {
    const { results } = this.ranking;
    if (results.length <= this.limit) return [];
    return [el("button", {
      type: "button", class: "quiet wide",
      on: { click: () => { this.limit = results.length; this.render(this.ranking); } },
    }, `Show all ${results.length} documents`)];
  }

  redraw() {
    for (const [canvas, pairs] of this.groups ?? []) if (canvas.isConnected) drawSlopes(canvas, pairs);
  }
}

function movement(change) {
  if (change === 0) return "=";
  return change > 0 ? `▲${change}` : `▼${-change}`;
}
