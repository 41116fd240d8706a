// Above the picture: what happened to the list, in a few figures.

import { el, milliseconds } from "./dom.js";
import { kendallTau, ndcg, reciprocalRank } from "./measures.js";

export const CUTOFF = 10;

export function showSummary(place, ranking) {
  const { results, minimum, made } = ranking;
  const given = ranking.documents.map((_, index) => index);
  const after = results.map((item) => item.index);
  const moved = after.filter((index, rank) => index !== rank).length;
  const kept = minimum === null ? results.length : results.filter((item) => item.score >= minimum).length;
  const tau = kendallTau(given, after);
  place.replaceChildren(
    figure("moved", `${moved} of ${results.length}`),
    figure("kept", String(kept), minimum === null ? "no minimum" : `minimum ${Number(minimum.toPrecision(3))}`),
    figure("order kept", tau === null ? "–" : tau.toFixed(2), "Kendall’s τ, given to reranked"),
    ...judgementFigures(ranking, given, after),
    figure("answered in", milliseconds(made.roundTrip)),
    ...warnings(ranking),
  );
}

function judgementFigures(ranking, given, after) {
  if (![...ranking.judgements.values()].some((grade) => grade > 0)) return [];
  const pair = (measure) => `${measure(given).toFixed(2)} → ${measure(after).toFixed(2)}`;
  return [
    figure(`nDCG@${CUTOFF}`, pair((order) => ndcg(order, ranking.judgements, CUTOFF)), "given to reranked"),
    figure("MRR", pair((order) => reciprocalRank(order, ranking.judgements, Infinity)), "given to reranked"),
  ];
}

function figure(name, value, note = "") {
  return el("p", { class: "figure", "data-figure": name },
    el("span", { class: "figure-name" }, name), " ", el("strong", {}, value), " ",
    note ? el("span", { class: "figure-note" }, note) : null);
}

function warnings({ warnings: texts }) {
  return texts.map((text) => el("p", { class: "warning" }, text));
}
