// A permalink holds the query and the documents in its fragment, which browsers never send.

import { addressOf } from "./api.js";
import { announce, el } from "./dom.js";

const NAME = "#list=";

// `state` reads what the form holds.
export async function showLink(place, _, state) {
  const address = addressOf("ui") + NAME + (await packed(state()));
  const field = el("input", {
    type: "text", readonly: true, id: "permalink", value: address, on: { focus: (event) => event.target.select() },
  });
  place.replaceChildren(
    el("h2", {}, "Permalink"),
    el("label", { for: "permalink" }, `This list and its settings, ${address.length.toLocaleString("en")} characters`),
    field,
    el("button", { type: "button", class: "primary", on: { click: () => copy(address) } }, "Copy the link"),
    el("p", { class: "hint" },
      "The texts are in the part after #, which a browser never sends to a server. Whoever has the link can read them."),
  );
}

export async function copy(text) {
  await navigator.clipboard.writeText(text);
  announce("Copied.");
}

export async function packed(value) {
  const stream = new Blob([JSON.stringify(value)]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const characters = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(characters).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

export async function unpacked(text) {
  const characters = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  const bytes = Uint8Array.from(characters, (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return JSON.parse(await new Response(stream).text());
}

// What the address of this page holds; null if it holds nothing that can be read.
export async function stateOfAddress(hash) {
  if (!hash.startsWith(NAME)) return null;
  try {
    const value = await unpacked(hash.slice(NAME.length));
    return typeof value?.query === "string" && typeof value?.text === "string" ? value : null;
  } catch {
    return null;
  }
}
