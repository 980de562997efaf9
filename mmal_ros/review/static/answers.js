// The five buttons, the note, what the model thought once one may know.

import { byId, element, show } from "./dom.js";
import { ANSWERS, likeliest, MODALITIES, nameOf, shape, levelValue } from "./levels.js";

export class AnswerPanel {
  #drafts = new Map(); // window_id -> note that waits for its answer
  #buttons = new Map();

  constructor(review, windows) {
    Object.assign(this, { review, windows });
    for (const answer of ANSWERS) this.#buttons.set(answer.value, this.#button(answer));
    byId("buttons").append(...this.#buttons.values());
    byId("undo").addEventListener("click", () => this.undo());
    const note = byId("note");
    note.addEventListener("input", () => this.#drafts.set(this.review.flag?.window_id, note.value));
    note.addEventListener("keydown", (event) => this.#noteKey(event));
    note.addEventListener("change", () => this.#keepNote());
  }

  /** Show what was said of the flag that the review is at. */
  draw() {
    const { flag } = this.review;
    for (const [value, button] of this.#buttons) {
      button.setAttribute("aria-pressed", String(value === flag?.label));
      button.disabled = !flag;
    }
    byId("note").value = flag ? (this.#drafts.get(flag.window_id) ?? flag.note ?? "") : "";
    byId("note").disabled = !flag;
    this.#drawOpinion(flag);
  }

  /** The person answers. */
  give(value) {
    const { flag } = this.review;
    if (!flag) return;
    const note = this.#drafts.get(flag.window_id) ?? flag.note ?? "";
    if (this.review.answer(value, note.trim())) this.#drafts.delete(flag.window_id);
  }

  undo() {
    this.review.undo();
  }

  writeNote() {
    byId("note").focus();
  }

  #button({ value, key, name, hint }) {
    const words = element("span", { class: "words" }, element("strong", {}, name), element("small", { class: "quiet" }, hint));
    const click = () => this.give(value);
    const attributes = { type: "button", class: `answer of-${value}`, "aria-pressed": "false", "aria-keyshortcuts": key, click };
    return element("button", attributes, element("kbd", {}, key), shape(value), words);
  }

  #noteKey(event) {
    if (event.key === "Escape") byId("note").value = this.review.flag?.note ?? "";
    const keep = event.key === "Enter" && !event.shiftKey;
    if (!keep && event.key !== "Escape") return;
    event.preventDefault();
    byId("note").dispatchEvent(new Event("input"));
    byId("note").blur();
  }

  // A note alone is no answer: it waits for one. To one that was given it is added at once.
  #keepNote() {
    const { flag } = this.review;
    const draft = this.#drafts.get(flag?.window_id);
    if (flag?.label && draft !== undefined && draft.trim() !== flag.note) this.give(flag.label);
  }

  #maySee(flag) {
    return flag && (flag.label || !this.windows.blind);
  }

  async #drawOpinion(flag) {
    show(byId("opinion"), false);
    if (!this.#maySee(flag)) return;
    const { opinion } = await this.windows.of(flag).catch(() => ({ opinion: null }));
    if (flag !== this.review.flag || !this.#maySee(flag) || !opinion) return;
    byId("opinion").replaceChildren(inWords(opinion));
    show(byId("opinion"), true);
  }
}

function inWords({ level, probabilities, by_modality }) {
  const value = levelValue(level);
  const sure = Math.round(Math.max(...probabilities) * 100);
  const said = Object.entries(by_modality ?? {}).map(([key, one]) => `${modality(key)} ${voice(one)}`);
  const all = element("p", {}, "The model said ", shape(value), " ", element("strong", {}, nameOf(value)), ` (${sure} %).`);
  return element("div", {}, all, element("p", { class: "quiet" }, said.join(", ")));
}

function voice(one) {
  const probabilities = Array.isArray(one) ? one : one?.probabilities;
  return probabilities ? nameOf(likeliest(probabilities)).toLowerCase() : "not heard";
}

function modality(key) {
  return (MODALITIES.find((one) => one.key === key)?.name ?? key).toLowerCase();
}
