// How documents are read: the fields of a request, as controls. `prefix` keeps the two sets apart.

import { byId, el } from "./dom.js";

const LONG = [["", "as the service is set"], ["cut", "cut"], ["windows", "in windows"]];
const SIDES = [["right", "the end"], ["left", "the beginning"]];

export function settingControls(prefix) {
  const select = (name, options) => el("select", { id: `${prefix}-${name}` },
    ...options.map(([value, label]) => el("option", { value }, label)));
  return [
    el("label", {}, "Long documents are read ", select("long_documents", LONG)),
    el("label", {}, "If cut, without ", select("truncation_direction", SIDES)),
    el("label", {}, "Instruction ", el("input", {
      type: "text", id: `${prefix}-instruction`, autocomplete: "off", placeholder: "for models that take one",
    })),
    el("p", { class: "hint", id: `${prefix}-instruction-hint`, hidden: true },
      "The model of this service takes no instruction."),
  ];
}

// Only what differs from the defaults of the API.
export function readSettings(prefix) {
  const value = (name) => byId(`${prefix}-${name}`).value.trim();
  const settings = {};
  if (value("long_documents")) settings.long_documents = value("long_documents");
  if (value("truncation_direction") !== "right") settings.truncation_direction = value("truncation_direction");
  if (value("instruction")) settings.instruction = value("instruction");
  return settings;
}

export function writeSettings(prefix, settings = {}) {
  byId(`${prefix}-long_documents`).value = settings.long_documents ?? "";
  byId(`${prefix}-truncation_direction`).value = settings.truncation_direction ?? "right";
  byId(`${prefix}-instruction`).value = settings.instruction ?? "";
}

export function labelOf(settings) {
  const parts = [];
  if (settings.long_documents) parts.push(settings.long_documents === "cut" ? "cut" : "windows");
  if (settings.truncation_direction === "left") parts.push("cut on the left");
  if (settings.instruction) parts.push("with instruction");
  return parts.join(", ");
}

export function showInstructionSupport(prefix, supported) {
  byId(`${prefix}-instruction`).disabled = supported === false;
  byId(`${prefix}-instruction-hint`).hidden = supported !== false;
}
