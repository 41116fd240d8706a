// Lines from where a document was to where it is now.

import { svgEl } from "./dom.js";

// `pairs`: { from, to, index, change }, where `from` and `to` are elements.
export function drawSlopes(canvas, pairs) {
  const box = canvas.getBoundingClientRect();
  const followed = new Set(Array.from(canvas.querySelectorAll(".near"), (line) => line.dataset.index));
  canvas.setAttribute("viewBox", `0 0 ${box.width} ${box.height}`);
  const drawn = pairs.map(({ from, to, index, change }) => {
    const [start, end] = [middleOf(from, box), middleOf(to, box)];
    const bend = box.width / 2;
    return svgEl("path", {
      d: `M0 ${start}C${bend} ${start} ${bend} ${end} ${box.width} ${end}`,
      class: `slope ${directionOf(change)}${followed.has(String(index)) ? " near" : ""}`,
      "data-index": index,
      pathLength: 1,
    });
  });
  canvas.replaceChildren(...drawn);
}

// A line ends at the number, which stays where it is when a row opens.
function middleOf(element, box) {
  const own = (element.querySelector(".number") ?? element).getBoundingClientRect();
  return own.top - box.top + own.height / 2;
}

export function directionOf(change) {
  if (change === 0) return "same";
  return change > 0 ? "up" : "down";
}

// The document under the pointer or the focus stands out; the others fade.
export function followPointer(board) {
  const mark = (target) => {
    const index = target?.closest?.("[data-index]")?.dataset.index;
    for (const node of board.querySelectorAll("[data-index]")) {
      node.classList.toggle("near", node.dataset.index === index);
    }
    board.classList.toggle("following", index !== undefined);
  };
  board.addEventListener("pointerover", (event) => mark(event.target));
  board.addEventListener("pointerleave", () => mark(null));
  board.addEventListener("focusin", (event) => mark(event.target));
  board.addEventListener("focusout", () => mark(null));
}
