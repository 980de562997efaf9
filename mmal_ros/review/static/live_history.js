// The last minutes as a line, a second apart.

import { drawing } from "./dom.js";

const SECONDS = 300;
const [LEFT, BOTTOM] = [64, 18]; // CSS pixels for the names and the times

export class History {
  #seconds = []; // engagement from 0 to 1, or null; the newest last
  #last = 0;

  constructor(place) {
    this.place = place;
    new ResizeObserver(() => this.#draw()).observe(place);
  }

  /** Note a state, or null for none; one a second is kept. */
  add(state) {
    const now = Math.floor(performance.now() / 1000);
    const known = state && state.level !== null;
    if (now === this.#last) return;
    const missed = this.#last ? Math.min(now - this.#last - 1, SECONDS) : 0;
    this.#seconds.push(...Array(missed).fill(null), known ? (state.probabilities[1] + 2 * state.probabilities[2]) / 2 : null);
    this.#seconds = this.#seconds.slice(-SECONDS);
    this.#last = now;
    this.#draw();
  }

  #draw() {
    const [width, height] = [this.place.clientWidth, this.place.clientHeight];
    if (!width) return;
    const x = (ago) => width - 4 - (ago / SECONDS) * (width - LEFT - 8);
    const y = (value) => (1 - value) * (height - BOTTOM - 16) + 8;
    const svg = drawing("svg", { width, height, role: "img", "aria-label": "Engagement over the last five minutes" });
    for (const [value, name] of [[1, "high"], [0.5, "medium"], [0, "low"]])
      svg.append(
        drawing("line", { class: "guide", x1: LEFT, x2: width - 4, y1: y(value), y2: y(value) }),
        drawing("text", { class: "tick", x: 0, y: y(value) + 4 }, name),
      );
    for (const minute of [1, 2, 3, 4])
      svg.append(drawing("text", { class: "tick", x: x(minute * 60), y: height - 2, "text-anchor": "middle" }, `−${minute} min`));
    svg.append(drawing("text", { class: "tick", x: width - 4, y: height - 2, "text-anchor": "end" }, "now"));
    svg.append(drawing("path", { class: "line", d: this.#path(x, y) }));
    this.place.replaceChildren(svg);
  }

  #path(x, y) {
    let pen = "M";
    return this.#seconds
      .map((value, n) => {
        if (value === null) return (pen = "M"), "";
        const point = `${pen}${x(this.#seconds.length - 1 - n).toFixed(1)} ${y(value).toFixed(1)}`;
        pen = "L";
        return point;
      })
      .join("");
  }
}
