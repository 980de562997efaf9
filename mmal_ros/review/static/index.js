// The list of sessions, the newest first.

import "./access.js";
import { byId, count, element, keptOf, lasting, show, when } from "./dom.js";
import { get } from "./server.js";

async function list() {
  try {
    const sessions = await get("/api/sessions");
    sessions.sort((a, b) => b.name.localeCompare(a.name)); // a name begins with its date
    byId("sessions").replaceChildren(...sessions.map(card));
    byId("summary").textContent = sessions.length ? summary(sessions) : "";
    show(byId("empty"), sessions.length === 0);
  } catch (error) {
    byId("summary").textContent = "";
    byId("problem").textContent = error.message;
    show(byId("problem"), true);
  }
}

function summary(sessions) {
  const open = sessions.filter(({ flags, labelled }) => labelled < flags).length;
  return `${count(sessions.length, "session")}, ${open ? `${open} to label` : "all labelled"}`;
}

function card(session) {
  if (session.problem) return damaged(session);
  const path = `/session/${encodeURIComponent(session.name)}`;
  const title = element("h2", {}, element("a", { href: path }, session.participant));
  const report = element("a", { href: `${path}/report`, class: "report for-lead" }, "Report");
  return element("li", { class: "panel session" }, element("div", {}, title, time(session)), progress(session), coders(session), report);
}

function damaged({ name, problem }) {
  return element("li", { class: "panel" }, element("h2", {}, name), element("p", { class: "problem" }, problem));
}

function time({ start, duration_s, recording }) {
  const words = `${when(start)} · ${lasting(duration_s)} `;
  return element("p", { class: "quiet" }, words, recording ? element("span", { class: "tag recording" }, "recording") : null);
}

function progress({ flags, labelled }) {
  if (!flags) return element("p", { class: "quiet" }, "nothing flagged");
  const words = labelled >= flags ? element("span", { class: "done" }, `✓ all ${flags} labelled`) : `${labelled} of ${flags} labelled`;
  return element("div", {}, element("p", {}, words), element("progress", { max: flags, value: labelled, "aria-hidden": "true" }));
}

function coders({ annotators, privacy }) {
  const who = annotators.length ? annotators.join(", ") : "no coder yet";
  return element("div", {}, element("p", {}, who), element("small", {}, keptOf(privacy)));
}

list();
