// Two rankings of one list: how alike they are, and which documents changed places.

import { el, milliseconds } from "./dom.js";
import { kendallTau, ndcg, overlap, ranksOf, reciprocalRank } from "./measures.js";
import { CUTOFF } from "./summary.js";
import { plainNodes } from "./text.js";

const MOVES = 6;
const SHORT_CHARS = 70;

export function showComparison(place, ranking) {
  if (!ranking.second) {
    place.replaceChildren(...(ranking.waiting
      ? [el("p", { class: "notice", role: "note" }, "Press “Rank” to compare: that sends this list to the fallback.")] : []));
    return;
  }
  const first = ranking.results.map((item) => item.index);
  const second = ranking.second.results.map((item) => item.index);
  const top = Math.min(CUTOFF, first.length);
  const tau = kendallTau(first, second);
  place.replaceChildren(el("section", { class: "card comparison", "aria-label": "Comparison" },
    el("p", {}, el("strong", { "data-figure": "tau" }, `Kendall’s τ ${tau === null ? "–" : tau.toFixed(2)}`),
      ` between the two settings · ${overlap(first, second, top)} of the first ${top} in both`,
      ...judged(ranking, first, second)),
    ...whoRanked(ranking),
    el("ul", { class: "moves" }, ...movesOf(ranking, first, second))));
}

// The second ranking may be of another service, with its own time and warnings.
function whoRanked({ made, second }) {
  if (!second.made) return [];
  const [one, other] = [made, second.made];
  const by = one.by === other.by ? [] : [`Ranked by ${one.by}, and by ${other.by}`];
  const times = `answered in ${milliseconds(one.roundTrip)} and ${milliseconds(other.roundTrip)}`;
  return [
    el("p", { class: "hint" }, [...by, times].join(" · ")),
    ...(other.answer.warnings ?? []).map((text) => el("p", { class: "warning" }, text)),
  ];
}

function judged({ judgements }, first, second) {
  if (![...judgements.values()].some((grade) => grade > 0)) return [];
  const pair = (measure) => `${measure(first).toFixed(2)} and ${measure(second).toFixed(2)}`;
  return [` · nDCG@${CUTOFF} ${pair((order) => ndcg(order, judgements, CUTOFF))}`,
    ` · MRR ${pair((order) => reciprocalRank(order, judgements, Infinity))}`];
}

function movesOf(ranking, first, second) {
  const ranks = ranksOf(second);
  const moves = first
    .map((index, rank) => ({ index, from: rank + 1, to: ranks.get(index) }))
    .filter(({ from, to }) => to !== undefined && from !== to)
    .sort((one, other) => Math.abs(other.to - other.from) - Math.abs(one.to - one.from));
  if (!moves.length) return [el("li", {}, "No document changed places.")];
  const shown = moves.slice(0, MOVES).map(({ index, from, to }) => el("li", { "data-index": index },
    el("span", { class: to < from ? "move up" : "move down" }, `${from} → ${to}`), " ",
    el("bdi", { dir: "auto" }, ...plainNodes(ranking.texts[index].slice(0, SHORT_CHARS)))));
  const more = moves.length - shown.length;
  return more ? [...shown, el("li", { class: "hint" }, `and ${more} more`)] : shown;
}
