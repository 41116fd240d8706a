// Judgements of the user, and their export as the JSON lines that `rerankd eval` reads.

import { el, plural } from "./dom.js";
import { judgedRankings } from "./history.js";

export function showJudgements(place, ranking) {
  const rows = judgedRankings(ranking).map(lineOf).filter(Boolean);
  const count = ranking.judgements.size;
  place.replaceChildren(
    el("h2", {}, "Judgements"),
    el("p", {}, count
      ? `${plural(count, "document")} of this list judged.`
      : "Mark documents as relevant (✓) or not (✕) beside their texts. What is not judged counts as not relevant."),
    el("p", {}, rows.length
      ? `${plural(rows.length, "query").replace("querys", "queries")} with a relevant document in this tab.`
      : "Nothing to export yet: no query has a relevant document."),
    el("button", {
      type: "button", class: "primary", disabled: !rows.length,
      on: { click: () => download("judgements.jsonl", rows.map((row) => `${JSON.stringify(row)}\n`).join("")) },
    }, "Export for rerankd eval"),
    el("p", { class: "hint" }, el("code", {}, "rerankd eval judgements.jsonl"),
      " measures this service on your judgements. The file is the only place where they are kept."),
  );
}

// Blank documents are left out: they are no candidates.
export function lineOf({ query, texts, judgements }) {
  const kept = texts.map((_, index) => index).filter((index) => texts[index].trim());
  const relevant = kept.flatMap((index, place) => ((judgements.get(index) ?? 0) > 0 ? [place] : []));
  return relevant.length ? { query, documents: kept.map((index) => texts[index]), relevant } : null;
}

export function download(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "application/x-ndjson" }));
  const link = el("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
