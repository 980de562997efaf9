// From labels to a model of this child: start, before and after, accept or go back.

import { byId, drawing, element } from "./dom.js";
import { get, post } from "./server.js";

const EVERY_MS = 700;
const AGAIN_MS = 5000; // after a question that was not answered
const [WIDTH, LEFT, LONG, ROW] = [540, 90, 380, 30]; // of the drawing

export class PersonalisePanel {
  #base = null;
  #complete = false;
  #state = null;
  #next = null; // when it is asked again
  #failed = false; // whether the last question was not answered

  /** Show how things stand for a participant. */
  open(participant) {
    this.#base = `/api/participants/${encodeURIComponent(participant)}`;
    this.#read();
  }

  /** Whether all flags of this session are labelled. */
  ready(complete) {
    this.#complete = complete;
    if (this.#state) this.#draw();
  }

  async #read() {
    try {
      this.#state = await get(`${this.#base}/personalise`);
      if (this.#failed) this.#say("");
      this.#failed = false;
      this.#again(this.#state.state === "running" && EVERY_MS);
      this.#draw();
    } catch (error) {
      this.#failed = true;
      this.#say(error.message);
      this.#again(this.#state?.state === "running" && AGAIN_MS); // the computer may have slept
    }
  }

  #again(after_ms) {
    clearTimeout(this.#next);
    this.#next = after_ms ? setTimeout(() => this.#read(), after_ms) : null;
  }

  async #do(path, body) {
    try {
      this.#say("");
      const answer = await post(this.#base + path, body);
      if (!answer?.state) this.#say(answer?.message ?? ""); // a job says how it is by itself
      await this.#read();
    } catch (error) {
      this.#say(error.message);
      if (error.status === 409) await this.#read(); // somebody else was faster: show how things stand now
    }
  }

  #draw() {
    const { state, progress, message, result } = this.#state;
    const parts = [];
    if (state === "running") parts.push(...running(progress, message));
    else if (state === "failed") parts.push(element("p", { class: "problem" }, message));
    else if (state === "done" && result) parts.push(...this.#outcome(result));
    if (state !== "running") parts.push(...this.#invitation());
    parts.push(...this.#inUse());
    byId("personalise-body").replaceChildren(...parts);
  }

  #invitation() {
    const words = this.#complete
      ? "Learn from all labels of this child. The new model is compared with the one in use on labels it has not seen, and replaces it only when you accept."
      : "Best when all clips are labelled: more labels, a better model.";
    const start = () => this.#do("/personalise");
    const label = this.#state.state === "done" ? "Personalise again" : "Personalise now";
    return [
      element("p", { class: "quiet" }, words),
      element("button", { type: "button", class: this.#complete && this.#state.state !== "done" && "first", click: start }, label),
    ];
  }

  #outcome(result) {
    const parts = [bars(result), element("p", {}, element("strong", {}, result.accepted ? "Better. " : "Not better: the old model stays. "), result.reason)];
    if (result.accepted && this.#state.current !== result.version)
      parts.push(element("button", { type: "button", class: "first", click: () => this.#do("/models/use", { version: result.version }) }, `Use version ${result.version} from now on`));
    return parts;
  }

  #inUse() {
    const live = this.#state.versions.find((version) => version.name === this.#state.current);
    if (!live) return [element("p", { class: "quiet" }, "In use: the model for everybody.")];
    const back = () => this.#do("/models/rollback", { version: live.name });
    const parts = [element("p", {}, `In use: model ${live.identity}.`)];
    if (live.parent) parts.push(element("button", { type: "button", click: back }, "Go back to the model before"));
    return parts;
  }

  #say(words) {
    byId("personalise-said").textContent = words;
  }
}

function running(progress, message) {
  const share = typeof progress === "object" && progress ? progress.done / (progress.of || 1) : progress;
  const bar = element("progress", { max: 1, value: Number.isFinite(share) ? share : null, "aria-label": "Personalising" });
  return [element("p", { class: "row" }, bar, message || "Learning …")];
}

/** Macro-F1 before and after, and what a constant answer gets. */
function bars({ before, after, constant, compared, labels }) {
  const rows = [["Before", "before", score(before)], ["After", "after", score(after)]];
  const line = score(constant);
  const words = rows.map(([name, , value]) => `${name}: ${value?.toFixed(2)}`).join(", ");
  const plot = drawing("svg", { class: "score", viewBox: `0 0 ${WIDTH} ${ROW * 2 + 22}`, role: "img", "aria-label": `Macro-F1. ${words}, constant ${line?.toFixed(2)}` });
  rows.forEach(([name, kind, value], n) => {
    const y = n * ROW + 4;
    plot.append(
      drawing("text", { x: 0, y: y + 16 }, name),
      drawing("rect", { class: "ground", x: LEFT, y, width: LONG, height: ROW - 8, rx: 4 }),
      drawing("rect", { class: kind, x: LEFT, y, width: LONG * (value ?? 0), height: ROW - 8, rx: 4 }),
      drawing("text", { x: LEFT + LONG + 10, y: y + 16 }, value?.toFixed(2) ?? "–"),
    );
  });
  if (line !== null) {
    const x = LEFT + LONG * line;
    plot.append(
      drawing("line", { class: "constant", x1: x, x2: x, y1: 0, y2: ROW * 2 }),
      drawing("text", { x: x, y: ROW * 2 + 16, "text-anchor": "middle" }, `constant answer ${line.toFixed(2)}`),
    );
  }
  const caption = element("figcaption", { class: "quiet" }, `Macro-F1 on ${compared ?? labels} labels that were held out in turn (0 to 1, more is better)`);
  return element("figure", { class: "score" }, caption, plot);
}

function score(figure) {
  const value = typeof figure === "object" && figure ? figure.macro_f1 : figure;
  return Number.isFinite(value) ? value : null;
}
