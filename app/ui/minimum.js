// The line for `min_score`: dragged with a pointer, or moved with the keyboard.

import { el, score as shown } from "./dom.js";

const STEPS = 100;
const TICKS = 4;

export function minimumHandle(scale, kind, initial, onChange) {
  const span = scale.high - scale.low;
  let current = initial;
  const label = el("span", { class: "handle-label" });
  const handle = el("div", {
    class: "handle", role: "slider", tabindex: 0, "aria-label": "Minimum score",
    "aria-valuemin": scale.low, "aria-valuemax": scale.high, "aria-orientation": "horizontal",
  }, label);
  const node = el("div", { class: "scale" }, ...ticks(scale, kind), handle);

  function set(value) {
    const inside = Math.min(scale.high, Math.max(scale.low, value));
    onChange(inside <= scale.low ? null : Number(inside.toPrecision(4)));
  }

  function fromPointer(event) {
    const box = node.getBoundingClientRect();
    set(scale.low + (span * (event.clientX - box.left)) / box.width);
  }

  handle.addEventListener("pointerdown", (event) => {
    handle.setPointerCapture(event.pointerId);
    event.preventDefault();
    handle.focus();
  });
  handle.addEventListener("pointermove", (event) => {
    if (handle.hasPointerCapture(event.pointerId)) fromPointer(event);
  });
  node.addEventListener("click", (event) => {
    if (!handle.contains(event.target)) fromPointer(event);
  });
  handle.addEventListener("keydown", (event) => {
    const from = current ?? scale.low;
    const moves = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 };
    if (event.key in moves) set(from + (moves[event.key] * span) / STEPS);
    else if (event.key === "Home") set(scale.low);
    else if (event.key === "End") set(scale.high);
    else return;
    event.preventDefault();
  });

  function show(value) {
    current = value;
    const text = value === null ? "no minimum" : `min ${shown(value, kind)}`;
    label.textContent = value === null ? "min" : text;
    handle.setAttribute("aria-valuenow", String(value ?? scale.low));
    handle.setAttribute("aria-valuetext", text);
  }

  return { node, show };
}

function ticks(scale, kind) {
  return Array.from({ length: TICKS + 1 }, (_, step) => {
    const value = scale.low + ((scale.high - scale.low) * step) / TICKS;
    const text = kind === "logit" ? value.toFixed(1) : String(Number(value.toPrecision(3)));
    return el("span", { class: "tick", vars: { at: step / TICKS } }, text);
  });
}
