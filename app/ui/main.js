// Starts the page.

import { setKeys } from "./api.js";
import { startAnswering } from "./answer.js";
import { byId, show } from "./dom.js";
import { EXAMPLES } from "./examples.js";
import { stateOfAddress } from "./link.js";
import { load, rankNow, startRanking } from "./rank.js";
import { isReady, look, watchStatus, whenReady } from "./status.js";

const TABS = ["rank", "answer"];
const THEMES = ["auto", "light", "dark"];

function choose(tab) {
  for (const name of TABS) {
    const button = byId(`tab-${name}`);
    button.setAttribute("aria-selected", String(name === tab));
    button.tabIndex = name === tab ? 0 : -1;
    show(byId(`panel-${name}`), name === tab);
  }
}

function startTabs() {
  for (const [place, name] of TABS.entries()) {
    const button = byId(`tab-${name}`);
    button.addEventListener("click", () => choose(name));
    button.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = TABS[(place + step + TABS.length) % TABS.length];
      choose(next);
      byId(`tab-${next}`).focus();
    });
  }
}

function startTheme() {
  const button = byId("theme-button");
  button.addEventListener("click", () => {
    const current = document.documentElement.dataset.theme ?? "auto";
    const next = THEMES[(THEMES.indexOf(current) + 1) % THEMES.length];
    document.documentElement.dataset.theme = next;
    button.textContent = `Theme: ${next}`;
  });
}

function startKeys() {
  const panel = byId("key-panel");
  const button = byId("key-button");
  const open = (visible) => {
    show(panel, visible);
    button.setAttribute("aria-expanded", String(visible));
  };
  button.addEventListener("click", () => {
    open(panel.hidden);
    if (!panel.hidden) byId("api-key").focus();
  });
  panel.addEventListener("submit", (event) => {
    event.preventDefault();
    setKeys(byId("api-key").value.trim(), byId("metrics-key").value.trim());
    open(false);
    button.focus();
    look(); // with the new keys
  });
}

function submitByKeyboard() {
  for (const form of [byId("rank-form"), byId("answer-form")]) {
    form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    });
  }
}

// A list from the address is ranked at once; the first example too, but only where that needs no key.
// A comparison with the fallback waits for the button.
async function open() {
  const saved = await stateOfAddress(location.hash);
  load(saved ?? EXAMPLES[0]);
  let waiting = true;
  whenReady(() => {
    if (!waiting) return;
    waiting = false;
    rankNow({ byUser: false });
  });
  if (isReady()) rankNow({ byUser: false });
}

startTabs();
startTheme();
startKeys();
submitByKeyboard();
startRanking();
startAnswering();
open().then(watchStatus);
