// The whole session on one strip: flags and what they were labelled, gaps, and the model's estimates unless hidden.

import { clock, count, drawing } from "./dom.js";
import { MODALITIES, outline } from "./levels.js";

const LABELS_WIDTH = 84; // CSS pixels, as everything here
const FLAGS = 26;
const FUSED = 40;
const STRIP = 16;
const THIN_STRIP = 10;
const BETWEEN = 4;
const AXIS = 18;
const CROWDED = 14; // less than this for each flag
const TICKS_S = [10, 30, 60, 120, 300, 600, 1200, 1800, 3600];

export class Timeline {
  #markers = new Map();
  #current = null;

  /** `choose(window_id)` is called when somebody clicks near a flag. */
  constructor(place, choose) {
    this.place = place;
    this.session = null;
    this.data = null;
    place.addEventListener("click", (event) => this.#clicked(event, choose));
    new ResizeObserver(() => this.draw()).observe(place);
  }

  /** Draw again, after a resize or with something new in `session` or `data`. */
  draw() {
    const width = this.place.clientWidth;
    if (!this.session || !width) return;
    this.#scale = (seconds) => LABELS_WIDTH + (seconds / (this.session.duration_s || 1)) * (width - LABELS_WIDTH - 8);
    const seen = this.data?.engagement?.some((value) => value !== null);
    const rows = seen ? this.#estimates() : this.#gapsOnly();
    const height = rows.bottom + AXIS;
    const svg = drawing("svg", { width, height, role: "img", "aria-label": this.#inWords() }, hatching());
    this.#current = drawing("line", { class: "here", y1: 0, y2: rows.bottom });
    svg.append(...rows.nodes, ...this.#axis(rows.bottom, width), this.#current, ...this.#flags());
    this.place.replaceChildren(svg);
    this.point(this.here);
  }

  /** Mark the flag that is being looked at. */
  point(flag) {
    this.here = flag;
    if (!flag || !this.#current) return;
    for (const name of ["x1", "x2"]) this.#current.setAttribute(name, this.#scale(flag.time_s));
    for (const [id, marker] of this.#markers) marker.classList.toggle("current", id === flag.window_id);
    this.#markers.get(flag.window_id)?.parentNode.append(this.#markers.get(flag.window_id));
  }

  /** A flag was labelled, or no longer is. */
  update(flag) {
    this.#markers.get(flag.window_id)?.replaceWith(this.#marker(flag));
    this.point(this.here);
  }

  #scale = (seconds) => seconds;

  #flags() {
    this.#markers.clear();
    const flags = this.session.flags.map((flag) => this.#marker(flag));
    return [title("Flags", FLAGS / 2), drawing("g", { class: "flags" }, ...flags)];
  }

  #marker(flag) {
    const size = this.#crowded() ? 0.55 : 1;
    const place = `translate(${this.#scale(flag.time_s).toFixed(1)} ${FLAGS / 2}) scale(${size})`;
    const marker = drawing("g", { class: `marker of-${flag.label ?? "open"}`, transform: place });
    marker.append(drawing("path", { d: outline(flag.label) }), drawing("title", {}, clock(flag.time_s)));
    this.#markers.set(flag.window_id, marker);
    return marker;
  }

  #crowded() {
    return this.place.clientWidth / this.session.flags.length < CROWDED;
  }

  #estimates() {
    const nodes = [title("All", FLAGS + FUSED / 2), this.#line(this.data.engagement, FLAGS, FUSED, "fused")];
    for (const share of [1 / 3, 2 / 3]) nodes.unshift(this.#guide(FLAGS + FUSED * share));
    const strips = this.#strips(FLAGS + FUSED + 4, STRIP, true);
    return { nodes: [...nodes, ...strips.nodes], bottom: strips.bottom };
  }

  #gapsOnly() {
    return this.#strips(FLAGS, THIN_STRIP, false);
  }

  #strips(top, height, lines) {
    const nodes = MODALITIES.flatMap(({ key, name }, number) => {
      const y = top + number * (height + BETWEEN);
      const values = this.data?.by_modality?.[key];
      return [
        title(name, y + height / 2),
        drawing("rect", { class: "strip", x: this.#scale(0), y, width: this.#long(0, this.session.duration_s), height }),
        ...this.#gaps(key, y, height),
        lines && values ? this.#line(values, y, height, "single") : null,
      ].filter(Boolean);
    });
    return { nodes, bottom: top + MODALITIES.length * (height + BETWEEN) };
  }

  #gaps(modality, y, height) {
    return (this.data?.gaps ?? [])
      .filter((gap) => gap.modality === modality)
      .map(({ start_s, end_s }) =>
        drawing("rect", { class: "gap", x: this.#scale(start_s), y, width: Math.max(1, this.#long(start_s, end_s)), height }),
      );
  }

  #long(start, end) {
    return this.#scale(end) - this.#scale(start);
  }

  /** Values of 0 to 1 from the bottom to the top of a row; where there is none, the line stops. */
  #line(values, top, height, kind) {
    let pen = "M";
    let path = "";
    values.forEach((value, n) => {
      if (value === null) return void (pen = "M");
      const y = top + height - 1 - value * (height - 2);
      path += `${pen}${this.#scale(this.data.times_s[n]).toFixed(1)} ${y.toFixed(1)}`;
      pen = "L";
    });
    return drawing("path", { class: `line ${kind}`, d: path });
  }

  #guide(y) {
    return drawing("line", { class: "guide", x1: this.#scale(0), x2: this.#scale(this.session.duration_s), y1: y, y2: y });
  }

  #axis(top, width) {
    const step = TICKS_S.find((tick) => (this.session.duration_s / tick) * 70 < width) ?? 7200;
    const texts = [];
    for (let at = 0; at <= this.session.duration_s - step / 2; at += step)
      texts.push(drawing("text", { class: "tick", x: this.#scale(at), y: top + 13 }, clock(at)));
    return texts;
  }

  #clicked(event, choose) {
    const x = event.clientX - this.place.getBoundingClientRect().left;
    const far = (flag) => Math.abs(this.#scale(flag.time_s) - x);
    const [first, ...others] = this.session?.flags ?? [];
    if (!first || x < LABELS_WIDTH - 8) return;
    choose(others.reduce((best, flag) => (far(flag) < far(best) ? flag : best), first).window_id);
  }

  #inWords() {
    const labelled = this.session.flags.filter((flag) => flag.label).length;
    const gaps = this.data?.gaps?.length ?? 0;
    return `Timeline of ${clock(this.session.duration_s)}: ${count(this.session.flags.length, "flag")}, ${labelled} labelled, ${count(gaps, "gap")}`;
  }
}

function title(text, y) {
  return drawing("text", { class: "row-name", x: 0, y: y + 4 }, text);
}

function hatching() {
  const line = drawing("path", { d: "M0 6L6 0", class: "hatch" });
  const box = { id: "hatching", width: 6, height: 6, patternUnits: "userSpaceOnUse" };
  return drawing("defs", {}, drawing("pattern", box, line));
}
