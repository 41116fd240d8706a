// The rankings of this tab, in memory only: a reload forgets them.

import { el, plural } from "./dom.js";

const MOST = 30;
const entries = []; // newest first: { saved, ranking, open }

export function remember(saved, ranking, open) {
  const key = keyOf(saved);
  const same = entries.findIndex((entry) => keyOf(entry.saved) === key);
  if (same >= 0) entries.splice(same, 1);
  entries.unshift({ saved, ranking, open });
  entries.splice(MOST);
}

const keyOf = ({ query, text, settings, kind, second }) => JSON.stringify([query, text, settings, kind, second]);

// One ranking for each query and list: the newest, with its judgements.
export function judgedRankings(current) {
  const byList = new Map();
  for (const ranking of [current, ...entries.map((entry) => entry.ranking)]) {
    const { query } = ranking.request;
    const key = JSON.stringify([query, ranking.texts]);
    if (!byList.has(key)) byList.set(key, { query, texts: ranking.texts, judgements: ranking.judgements });
  }
  return [...byList.values()];
}

export function showHistory(place) {
  place.replaceChildren(
    el("h2", {}, "History"),
    el("p", { class: "hint" }, "Kept in the memory of this tab only. A reload forgets it."),
    el("ol", { class: "history" }, ...entries.map(({ saved, ranking, open }) => el("li", {},
      el("button", { type: "button", class: "link", on: { click: () => open(withJudgements(saved, ranking)) } },
        el("bdi", { dir: "auto" }, saved.query)),
      ` · ${plural(ranking.documents.length, "document")} · ${saved.kind}${saved.second ? " · compared" : ""}`))),
  );
}

function withJudgements(saved, ranking) {
  return { ...saved, judgements: [...ranking.judgements] };
}
