// What went wrong, in the words of the service; counts down to when it may be tried again.

import { el } from "./dom.js";

const TITLES = {
  fallback_spent: "The fallback takes no more today",
  0: "No connection", 401: "A key is needed", 404: "Not available here", 413: "Too large",
  422: "Not accepted", 429: "The service is full", 503: "Not ready", 504: "Out of time",
};

let timer = 0;

export function clearProblem(place) {
  clearInterval(timer);
  place.replaceChildren();
}

export function showProblem(place, error, retry) {
  clearInterval(timer);
  const again = el("button", { type: "button", class: "quiet", on: { click: retry } }, "Try again");
  const wait = el("p", { class: "countdown", "aria-hidden": "true" });
  const facts = [
    error.status ? `status ${error.status}` : null, error.type || null,
    error.requestId ? `request ${error.requestId}` : null,
  ].filter(Boolean);
  place.replaceChildren(el("div", { class: `problem ${error.status === 429 || error.status === 503 ? "busy" : ""}` },
    el("h2", {}, TITLES[error.type] ?? TITLES[error.status] ?? "Error"),
    el("p", {}, error.message),
    error.status === 401 ? el("p", {}, "Enter it with the button “API key” at the top.") : null,
    facts.length ? el("p", { class: "hint" }, facts.join(" · ")) : null,
    wait, again));
  if (error.seconds !== null && error.seconds !== undefined) countDown(error.seconds, wait, again);
}

function countDown(seconds, wait, again) {
  const end = performance.now() + 1000 * seconds;
  again.disabled = true;
  const show = () => {
    const left = Math.max(0, end - performance.now());
    wait.textContent = left ? `Room again in about ${durationOf(left / 1000)}` : "There may be room again now.";
    again.disabled = left > 0;
    if (!left) clearInterval(timer);
  };
  timer = setInterval(show, 200);
  show();
}

function durationOf(seconds) {
  if (seconds < 120) return `${Math.ceil(seconds)} s`;
  return seconds < 7200 ? `${Math.ceil(seconds / 60)} min` : `${Math.ceil(seconds / 3600)} h`;
}
