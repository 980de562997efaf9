// The five answers: their names, keys, and shapes that tell them apart without colour.

import { drawing } from "./dom.js";

export const ANSWERS = [
  { value: "low", key: "1", name: "Low", hint: "attention is elsewhere" },
  { value: "medium", key: "2", name: "Medium", hint: "on and off, when prompted" },
  { value: "high", key: "3", name: "High", hint: "attentive, takes part" },
  { value: "cannot_tell", key: "4", name: "Cannot tell", hint: "it could be either" },
  { value: "bad_capture", key: "5", name: "Bad capture", hint: "nothing useful to see" },
];

export const LEVELS = ANSWERS.slice(0, 3);

export const MODALITIES = [
  { key: "face", name: "Face" },
  { key: "body", name: "Body" },
  { key: "physiology", name: "Wristband" },
  { key: "audio", name: "Voice" },
];

// Drawn around (0, 0), 12 units wide.
const SHAPES = {
  low: "M-6-4.5h12l-6 10z",
  medium: "M0-6 6 0 0 6-6 0z",
  high: "M-6 4.5h12l-6-10z",
  cannot_tell: "M-3-2.5a3 3 0 1 1 4.2 2.8q-1.2.6-1.2 2M0 5.4v.2",
  bad_capture: "M-4.5-4.5l9 9m0-9l-9 9",
  unknown: "M-4.5 0h9",
  open: "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
};

/** What the answer is called. */
export function nameOf(value) {
  return ANSWERS.find((answer) => answer.value === value)?.name ?? "Unknown";
}

/** The path of an answer's shape; null: not answered yet. */
export function outline(value) {
  return SHAPES[value ?? "open"];
}

/** The shape as a picture of its own; the word stands beside it, so readers of the screen skip it. */
export function shape(value) {
  const attributes = { class: `shape of-${value}`, viewBox: "-8 -8 16 16", "aria-hidden": "true" };
  return drawing("svg", attributes, drawing("path", { d: outline(value) }));
}

/** Which answer a level of the model is: 0, "low" and "LOW" are all low. */
export function levelValue(level) {
  if (level === null || level === undefined) return "unknown";
  const value = typeof level === "number" ? LEVELS[level]?.value : String(level).toLowerCase();
  return LEVELS.some((known) => known.value === value) ? value : "unknown";
}

/** The likeliest of (low, medium, high). */
export function likeliest(probabilities) {
  return LEVELS[probabilities.indexOf(Math.max(...probabilities))].value;
}
