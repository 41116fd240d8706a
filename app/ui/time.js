// Where the time went, and what was computed.

import { el, milliseconds, plural } from "./dom.js";

export function showTime(place, { made }) {
  const { answer, roundTrip, requestId, by } = made;
  const { diagnostics: times, usage } = answer;
  const inside = times.tokenize_ms + times.queue_ms + times.compute_ms;
  const parts = [
    ["tokenize", times.tokenize_ms], ["queue", times.queue_ms], ["compute", times.compute_ms],
    ["rest of the service", Math.max(0, times.total_ms - inside)],
    ["network and page", Math.max(0, roundTrip - times.total_ms)],
  ];
  const total = parts.reduce((sum, [, value]) => sum + value, 0) || 1;
  const computed = usage.documents - times.cached - times.duplicates;
  place.replaceChildren(
    el("h2", {}, "Time"),
    el("div", { class: "stack", "aria-hidden": "true" }, ...parts.map(([, value], place_) =>
      el("span", { class: `part part-${place_}`, vars: { share: value / total } }))),
    el("ul", { class: "legend" }, ...parts.map(([name, value], place_) => el("li", {},
      el("span", { class: `swatch part-${place_}`, "aria-hidden": "true" }), `${name} `, el("strong", {}, milliseconds(value))))),
    el("dl", { class: "facts" },
      ...fact("Tokens", usage.total_tokens.toLocaleString("en")),
      ...fact("From the cache", `${times.cached} of ${plural(usage.documents, "document")}`),
      ...fact("Duplicates", `${times.duplicates}, computed once`),
      ...fact("Computed now", String(Math.max(0, computed))),
      ...fact("Scored by", by ?? answer.model),
      ...fact("Request", requestId ?? answer.id)),
    el("p", { class: "hint" }, "The share of padding of all requests is in the status line at the top."),
  );
}

function fact(name, value) {
  return [el("dt", {}, name), el("dd", {}, value)];
}
