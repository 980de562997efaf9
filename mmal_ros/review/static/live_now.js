// The level in large, how sure, and the four modalities.

import { byId, drawing, element } from "./dom.js";
import { LEVELS, likeliest, levelValue, MODALITIES, nameOf, shape } from "./levels.js";

const SIGNS = { valid: "●", stale: "◐", missing: "○" };
const WORDS = { valid: "heard", stale: "held: nothing new", missing: "not heard" };

/** The word, its shape and the three shares. */
export function drawLevel({ level, probabilities }) {
  const value = levelValue(level);
  const word = byId("level");
  if (word.textContent !== nameOf(value)) {
    word.textContent = nameOf(value);
    byId("sign").replaceChildren(shape(value));
  }
  byId("shares").replaceChildren(...[...LEVELS].reverse().flatMap((one) => share(one, probabilities)));
}

/** A chip for each modality; all are missing when the estimate is old. */
export function drawChips(modalities, old) {
  byId("chips").replaceChildren(...MODALITIES.map((one) => chip(one, old ? null : modalities?.[one.key])));
}

function share({ value, name }, probabilities) {
  const part = probabilities[LEVELS.findIndex((one) => one.value === value)] ?? 0;
  const bar = drawing(
    "svg",
    { class: `of-${value}`, viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
    drawing("rect", { class: "ground", width: 100, height: 10 }),
    drawing("rect", { class: "share", width: part * 100, height: 10 }),
  );
  return [element("dt", {}, name), element("dd", {}, bar, element("output", {}, `${Math.round(part * 100)} %`))];
}

function chip({ name }, state) {
  const status = SIGNS[state?.status] ? state.status : "missing";
  const heading = element("h3", {}, name, element("span", { class: "status" }, `${SIGNS[status]} ${WORDS[status]}`));
  return element("li", { class: `panel chip ${status}` }, heading, says(status, state?.probabilities));
}

function says(status, probabilities) {
  if (status === "missing" || !probabilities) return element("p", { class: "says quiet" }, "has no vote");
  const value = likeliest(probabilities);
  const sure = `${Math.round(Math.max(...probabilities) * 100)} %`;
  return element("p", { class: "says" }, shape(value), nameOf(value), element("small", {}, sure));
}
