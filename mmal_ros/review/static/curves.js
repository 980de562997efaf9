// What the wristband measured around the flagged second, one row each, under the clip and on its scale of time.

import { drawing, element } from "./dom.js";

const HEIGHT = 36; // CSS pixels
const WIDTH = 1000; // units of a drawing; it is stretched to the width of the page
const TITLES = {
  eda: "Skin conductance",
  bvp: "Pulse wave",
  pulse: "Pulse wave",
  heart_rate: "Heart rate",
  temperature: "Skin temperature",
  movement: "Movement",
  acc: "Movement",
};
const UNITS = { uS: "µS", Cel: "°C", "1/min": "/min" };
const BARE = "1"; // a unit that makes figures say nothing, as of the pulse wave

export class Curves {
  #rows = [];

  constructor(place) {
    this.place = place;
    this.from = -4;
    this.to = 3;
  }

  /** Draw `{name: {unit, times_s, values}}`, times from the end of the flagged second; returns whether there are any.
      A value of null is a gap. */
  draw(curves) {
    const all = Object.entries(curves ?? {}).filter(([, curve]) => curve.values.filter(Number.isFinite).length > 1);
    this.#rows = all.map(([name, curve]) => this.#row(name, curve));
    this.place.replaceChildren(...this.#rows.map((row) => row.node));
    return all.length > 0;
  }

  /** Put the cursor at a moment, in seconds from the end of the flagged second. */
  moveTo(time) {
    const x = this.#x(time);
    for (const row of this.#rows) {
      row.cursor.setAttribute("x1", x);
      row.cursor.setAttribute("x2", x);
      row.value.textContent = nearest(row.points, time);
    }
  }

  #x(time) {
    return ((Math.min(Math.max(time, this.from), this.to) - this.from) / (this.to - this.from)) * WIDTH;
  }

  #row(name, curve) {
    const points = curve.times_s.map((time, n) => [time, curve.values[n]]);
    const cursor = drawing("line", { class: "cursor", x1: 0, x2: 0, y1: 0, y2: HEIGHT });
    const plot = drawing(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
      drawing("rect", { class: "flagged", x: this.#x(-1), width: this.#x(0) - this.#x(-1), y: 0, height: HEIGHT }),
      drawing("path", { class: "curve", d: this.#path(points) }),
      cursor,
    );
    const value = element("output");
    const title = element("span", { class: "curve-name" }, TITLES[name] ?? name);
    const unit = element("small", {}, UNITS[curve.unit] ?? curve.unit);
    const figure = curve.unit === BARE ? null : element("span", { class: "curve-value" }, value, " ", unit);
    const node = element("div", { class: "curve-row" }, title, plot, figure);
    return { node, points, cursor, value };
  }

  #path(points) {
    const values = points.map(([, value]) => value).filter(Number.isFinite);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const y = (value) => HEIGHT - 4 - ((value - low) / (high - low || 1)) * (HEIGHT - 8);
    const step = (n) => (Number.isFinite(points[n - 1]?.[1]) ? "L" : "M");
    const draw = ([time, value], n) =>
      Number.isFinite(value) ? `${step(n)}${this.#x(time).toFixed(1)} ${y(value).toFixed(1)}` : "";
    return points.map(draw).join("");
  }
}

function nearest(points, time) {
  let best = points[0];
  for (const point of points) if (Math.abs(point[0] - time) < Math.abs(best[0] - time)) best = point;
  return Number.isFinite(best[1]) ? best[1].toPrecision(3).replace(/\.?0+$/, "") : "–";
}
