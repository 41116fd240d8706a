// Why a document scored: its text with the sentences that count, what was cut, and its windows.

import { el, plural, score as shown } from "./dom.js";
import { markedNodes, plainNodes } from "./text.js";

const BEST_SENTENCES = 3;

export function detailsOf(ranking, index, scale) {
  const reading = ranking.readings.get(index);
  const text = ranking.texts[index];
  const whole = el("div", { class: "whole", dir: "auto", tabindex: 0, role: "region", "aria-label": `Text of document ${index + 1}` });
  if (!reading) {
    whole.append(...plainNodes(text));
    return [whole, el("p", { class: "hint" }, waitingFor(ranking, index))];
  }
  whole.append(...markedNodes(text, reading, scale));
  const length = Array.from(text).length;
  return [
    facts(reading, length),
    reading.windows ? windowStrip(reading.windows, length, ranking.kind) : null,
    whole,
    bestSentences(text, reading.sentences, ranking.kind),
  ].filter(Boolean);
}

function waitingFor(ranking, index) {
  if (ranking.defects[index].empty) return "An empty document is not read. It comes last and costs nothing.";
  return ranking.explained ?? "The model reads the sentences one by one …";
}

function facts(reading, length) {
  const all = reading.read_tokens >= reading.tokens;
  const parts = [
    all ? `${plural(reading.tokens, "token")}, all read` : `${reading.read_tokens} of ${reading.tokens} tokens read`,
  ];
  if (!all) parts.push(`${length - (reading.end - reading.start)} characters were not seen (grey)`);
  if (reading.windows) parts.push(`${plural(reading.windows.length, "overlapping window")}: the best counts`);
  return el("p", { class: "hint" }, parts.join(" · "));
}

// Each window as a bar where it lies in the text; the height is its score.
function windowStrip(windows, length, kind) {
  const scores = windows.map((part) => part.score);
  const [low, high] = [Math.min(...scores, kind === "logit" ? Infinity : 0), Math.max(...scores)];
  const bars = windows.map((part, place) => el("span", {
    class: part.score === high ? "window best" : "window",
    vars: {
      from: part.start / length, width: (part.end - part.start) / length, lane: place % 2,
      tall: high > low ? 0.15 + (0.85 * (part.score - low)) / (high - low) : 1,
    },
    title: `Window ${place + 1}: ${shown(part.score, kind)}`,
  }, el("span", { class: "visually-hidden" }, `Window ${place + 1}: ${shown(part.score, kind)}. `)));
  return el("div", { class: "windows" }, ...bars);
}

function bestSentences(text, sentences, kind) {
  if (sentences.length < 2) return null;
  const points = Array.from(text);
  const best = sentences.slice(0, BEST_SENTENCES).map((part) => el("li", {},
    el("span", { class: "value" }, shown(part.score, kind)), " ",
    el("bdi", { dir: "auto" }, ...plainNodes(points.slice(part.start, part.end).join("")))));
  return el("div", { class: "best-sentences" },
    el("p", { class: "hint" }, `The best of ${sentences.length} sentences, each scored alone`), el("ol", {}, ...best));
}
