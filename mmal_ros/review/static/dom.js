// Making and finding nodes. Nothing here takes HTML: text stays text, whatever a session's files say.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An HTML element; attributes that are null or false are left out, functions become listeners. A double click is one
 * click: the second would answer the next clip, or go back by two models.
 */
export function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function drawing(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** The element with this id. */
export function byId(id) {
  return document.getElementById(id);
}

/** Show or hide. */
export function show(node, visible) {
  node.hidden = !visible;
}

/** 75.2 s as 1:15, an hour and more as 1:01:15. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** 1520 s as "25 min", from an hour on as "1 h 5 min". */
export function lasting(seconds) {
  const minutes = Math.round(seconds / 60);
  if (minutes < 1) return `${Math.round(seconds)} s`;
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A moment as people here write it. */
export function when(moment) {
  return new Date(moment).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

/** What of picture and sound a session keeps. */
export function keptOf(privacy) {
  return { features_only: "no pictures kept", clips: "clips kept", full: "everything kept" }[privacy] ?? privacy;
}

/** "1 clip", "2 clips". */
export function count(number, what) {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, (event) => event.detail > 1 || value(event));
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}
