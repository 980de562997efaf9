// How far the coders of a session agree.

import { byId, element } from "./dom.js";
import { get, sessionPath } from "./server.js";

/** Ask the server and show it; what cannot be had is said in its place. */
export async function showAgreement(name) {
  const body = byId("agreement-body");
  try {
    body.replaceChildren(...drawn(await get(sessionPath(name, "/agreement"))));
  } catch (error) {
    body.replaceChildren(element("p", { class: "quiet" }, error.message));
  }
}

function drawn({ annotators, windows, kappa, alpha }) {
  if (annotators.length < 2) {
    const words = "Agreement is known when a second coder has labelled some of the same clips: change the coder at the top of the page.";
    return [element("p", { class: "quiet" }, words)];
  }
  const row = ({ a, b, value }) => element("tr", {}, element("td", {}, `${a} and ${b}`), element("td", {}, figure(value)));
  const head = element("tr", {}, element("th", {}, "Coders"), element("th", {}, "Cohen's κ"));
  const all = `Krippendorff's α of all coders: ${figure(alpha)}, from ${windows} clips that at least two labelled.`;
  return [
    element("table", {}, element("thead", {}, head), element("tbody", {}, ...kappa.map(row))),
    element("p", {}, all),
    element("p", { class: "quiet" }, "1: always alike; 0: as often as by chance."),
  ];
}

function figure(value) {
  return value === null || value === undefined ? "not known yet" : value.toFixed(2);
}
