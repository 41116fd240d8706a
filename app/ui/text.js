// Texts of users with what the model made of them. Positions are code points, as in the API.

import { el } from "./dom.js";

const LEVELS = 5;
// Characters without a shape, which can hide text or turn its direction; joiners of emoji are not.
const INVISIBLE =
  /([\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\u{e0000}-\u{e007f}])/u;
const SNIPPET_CHARS = 220;
const LEAD_CHARS = 60;

// Nodes for a text in which each invisible character has a visible mark, and turns nothing else.
export function plainNodes(text) {
  return text.split(INVISIBLE).filter(Boolean).map((part) =>
    INVISIBLE.test(part) ? el("bdi", { class: "invisible", "data-code": codeOf(part) }, part) : part);
}

function codeOf(character) {
  return `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
}

// The range of the scores of all sentences: one scale for all documents of a ranking.
export function sentenceScale(readings) {
  const scores = [...readings.values()].flatMap((reading) => reading.sentences.map((part) => part.score));
  return { low: Math.min(0, ...scores), high: Math.max(...scores, 1e-9) };
}

function levelOf(score, { low, high }) {
  return Math.max(0, Math.ceil((LEVELS * (score - low)) / (high - low)));
}

// A level for each code point; 255: not read.
function levelsOf(length, reading, scale) {
  const levels = new Uint8Array(length);
  for (const part of reading.sentences) {
    const level = levelOf(part.score, scale);
    for (let at = part.start; at < Math.min(part.end, length); at += 1) {
      levels[at] = Math.max(levels[at], level);
    }
  }
  levels.fill(255, 0, reading.start);
  levels.fill(255, reading.end);
  return levels;
}

export function markedNodes(text, reading, scale, from = 0, to = Infinity) {
  const points = Array.from(text);
  const levels = levelsOf(points.length, reading, scale);
  const nodes = [];
  const end = Math.min(to, points.length);
  for (let start = Math.max(0, from); start < end;) {
    let stop = start + 1;
    while (stop < end && levels[stop] === levels[start]) stop += 1;
    nodes.push(...runNodes(points.slice(start, stop).join(""), levels[start]));
    start = stop;
  }
  return nodes;
}

function runNodes(text, level) {
  const nodes = plainNodes(text);
  if (level === 255) {
    return [el("s", { class: "unread", title: "Not read: beyond the length limit" }, ...nodes)];
  }
  return level > 1 ? [el("mark", { class: `level-${level}` }, ...nodes)] : nodes;
}

// The beginning of a text, or the neighbourhood of its best sentence once that is known.
export function snippetNodes(text, reading, scale) {
  if (!reading) return plainNodes(text.slice(0, SNIPPET_CHARS));
  const best = reading.sentences[0];
  const far = best && best.start > LEAD_CHARS;
  const from = far ? best.start : 0;
  return [far ? "… " : null, ...markedNodes(text, reading, scale, from, from + SNIPPET_CHARS)];
}
