// The same request as a program sends it, in the format of each API, with its exact answer.

import { addressOf, post } from "./api.js";
import { DIALECTS, LANGUAGES } from "./dialects.js";
import { el } from "./dom.js";
import { copy } from "./link.js";

const chosen = { dialect: "native", language: "curl" };
let shown = null;

export function showCode(place, ranking) {
  const dialect = DIALECTS.find(({ name }) => name === chosen.dialect);
  const ask = { ...ranking.request, model: ranking.made.answer.model, min_score: ranking.minimum ?? undefined };
  const body = dialect.body(ask);
  const snippet = LANGUAGES[chosen.language](addressOf(dialect.path), body);
  const key = JSON.stringify([chosen, body]);
  if (shown?.key !== key) shown = { key, answer: null };
  const answer = el("div", { class: "exact" });
  const again = () => showCode(place, ranking);
  place.replaceChildren(
    el("h2", {}, "Copy as code"),
    el("div", { class: "code-choice" },
      el("label", {}, "API ", choice("dialect", DIALECTS.map(({ name, label }) => [name, label]), again)),
      el("label", {}, "Language ", choice("language", Object.keys(LANGUAGES).map((name) => [name, name]), again)),
      el("button", { type: "button", class: "primary", on: { click: () => copy(snippet) } }, "Copy"),
      el("button", { type: "button", class: "quiet", on: { click: () => sendExact(dialect, body, answer) } },
        "Send it, show the exact answer")),
    el("pre", { tabindex: 0, id: "snippet", "aria-label": "Code" }, snippet),
    answer,
    el("p", { class: "hint" }, "The code has a place for a key, and never a key that you entered here."),
  );
  if (shown.answer) answer.replaceChildren(...shown.answer);
}

function choice(name, options, again) {
  const select = el("select", {
    id: `code-${name}`,
    on: { change: () => { chosen[name] = select.value; again(); document.getElementById(select.id).focus(); } },
  }, ...options.map(([value, label]) => el("option", { value, selected: value === chosen[name] }, label)));
  return select;
}

async function sendExact(dialect, body, place) {
  let text;
  let head;
  try {
    const response = await post(dialect.path, body);
    const raw = await response.text();
    head = `${response.status} · ${response.headers.get("Content-Type")} · X-Reranked-By: ${response.headers.get("X-Reranked-By") ?? "–"}`;
    text = JSON.stringify(JSON.parse(raw), null, 2);
  } catch (error) {
    head = `status ${error.status ?? "–"}`;
    text = error.message;
  }
  shown.answer = [el("p", { class: "hint" }, head), el("pre", { tabindex: 0, id: "exact-answer", "aria-label": "Answer" }, text)];
  place.replaceChildren(...shown.answer);
}
