// The page on which a session is labelled: brings its parts together.

import { onlyLabels } from "./access.js";
import { showAgreement } from "./agreement.js";
import { AnswerPanel } from "./answers.js";
import { ClipPanel } from "./clip.js";
import { askCoder, knownCoder } from "./coder.js";
import { byId, count, keptOf, lasting, show, when } from "./dom.js";
import { bindKeys } from "./keys.js";
import { Outbox } from "./outbox.js";
import { PersonalisePanel } from "./personalise.js";
import { Review } from "./review.js";
import { get, sessionPath } from "./server.js";
import { Timeline } from "./timeline.js";
import { Windows } from "./windows.js";

const TIMELINE_POINTS = 1500;
const name = decodeURIComponent(location.pathname.split("/")[2]);

const outbox = new Outbox(name);
const review = new Review(name, knownCoder() ?? "", outbox);
const windows = new Windows(review);
const timeline = new Timeline(byId("timeline"), (id) => review.goTo(id));
const clip = new ClipPanel(review, windows);
const answers = new AnswerPanel(review, windows);
const personalise = new PersonalisePanel();

async function open() {
  if (!review.coder) {
    review.coder = (await askCoder(await codersHere())) ?? "";
  }
  byId("coder-name").textContent = review.coder;
  await load();
}

async function load() {
  windows.blind = byId("blind").checked;
  windows.forgetAll();
  try {
    if (!(await review.load(windows.blind))) return;
  } catch (error) {
    return complain(error);
  }
  windows.blind = review.session.blind;  // the coders' link has no say in it
  show(byId("problem"), false);
  timeline.session = review.session;
  describe();
  timeline.draw();
  progressed();
  await moved();
  readTimeline();
  if (!(await onlyLabels)) personalise.open(review.session.participant);
}

async function readTimeline() {
  const { blind } = windows;
  try {
    const data = await get(sessionPath(name, `/timeline${review.query(blind)}&points=${TIMELINE_POINTS}`));
    if (blind !== windows.blind) return; // switched meanwhile, and asked for anew
    timeline.data = data;
    timeline.draw();
  } catch (error) {
    complain(error);
  }
}

async function codersHere() {
  try {
    return (await get(sessionPath(name))).annotators;
  } catch {
    return [];
  }
}

function describe() {
  const { participant, start, duration_s, privacy } = review.session;
  document.title = `${participant} · Review · mmal`;
  byId("title").textContent = `Session of ${participant}`;
  byId("facts").textContent = `${when(start)} · ${lasting(duration_s)} · ${keptOf(privacy)}`;
  byId("report").href = `/session/${encodeURIComponent(name)}/report`;
}

function moved() {
  timeline.point(review.flag);
  answers.draw();
  return clip.draw();
}

function progressed() {
  const [done, of] = [review.done, review.flags.length];
  Object.assign(byId("progress"), { max: of || 1, value: done });
  byId("progress-words").textContent = of ? `${done} of ${of}` : "no flags";
  show(byId("finished"), review.complete);
  byId("blind-words").textContent = blindWords();
  personalise.ready(review.complete);
}

function blindWords() {
  if (!windows.blind) return "off: the model's opinion is shown, and may lead you";
  if (review.done === review.flags.length) return "all is labelled, so the model's opinion is shown";
  return "the model's opinion is hidden until you have answered";
}

function answered({ detail: flag }) {
  windows.forget(flag);
  timeline.update(flag);
  progressed();
  if (flag === review.flag) answers.draw();
}

async function saved({ detail }) {
  showAgreement(name);
  if (review.complete && detail.item.session === name && windows.blind) await readTimeline();
}

function showSaving() {
  const waiting = outbox.waiting.length;
  const box = byId("saved");
  const trouble = waiting > 0 && outbox.trouble;
  box.className = `saved ${trouble ? "trouble" : waiting ? "busy" : ""}`;
  const kept = `${count(waiting, "answer")} kept in this browser, not yet saved. ${outbox.trouble} Trying again …`;
  const stranded = `${count(outbox.stranded, "answer")} without a place on this server, kept in this browser`;
  box.textContent = (trouble ? kept : waiting ? "Saving …" : "All answers saved") + (outbox.stranded ? ` · ${stranded}` : "");
}

function complain(error) {
  byId("problem").textContent = error.message;
  show(byId("problem"), true);
}

review.addEventListener("moved", moved);
review.addEventListener("answered", answered);
review.addEventListener("unkept", () => complain(new Error("This browser has no room for an answer: empty its storage, or use another.")));
outbox.addEventListener("change", showSaving);
outbox.addEventListener("saved", saved);
outbox.addEventListener("refused", ({ detail }) => complain(new Error(`An answer was not taken: ${detail.message}`)));
addEventListener("online", () => outbox.send());
addEventListener("beforeunload", (event) => outbox.waiting.length && event.preventDefault());
byId("blind").addEventListener("change", load);
byId("coder").addEventListener("click", async () => {
  const coder = await askCoder(review.session?.annotators ?? []);
  if (coder && coder !== review.coder) location.reload();
});
bindKeys(review, clip, answers);
showSaving();
outbox.send();
showAgreement(name);
open();
