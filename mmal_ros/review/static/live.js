// The page that runs along with a session.

import { byId, show } from "./dom.js";
import { Recording } from "./live_recording.js";
import { FlagList } from "./live_flags.js";
import { History } from "./live_history.js";
import { drawChips, drawLevel } from "./live_now.js";

const OLD_S = 2; // an estimate that old is no longer of now
const SILENCE_MS = 4_000; // without any event for so long, the connection counts as lost
const RETRY_MS = 2_000;

const history = new History(byId("history"));
const flags = new FlagList();
const recording = new Recording();
let silence = null;

function connect() {
  const events = new EventSource("/api/live");
  const lost = () => {
    events.close();
    clearTimeout(silence);
    stale("Connection lost; the graph goes on by itself. Trying again …");
    setTimeout(reconnect, RETRY_MS);
  };
  const heard = () => {
    clearTimeout(silence);
    silence = setTimeout(lost, SILENCE_MS);
  };
  heard();
  events.onmessage = ({ data }) => {
    heard();
    draw(JSON.parse(data));
  };
  events.onerror = lost;
}

// An EventSource does not tell why it failed; where there is no live view, a plain request does.
async function reconnect() {
  const response = await fetch("/api/live", { cache: "no-store" }).catch(() => null);
  const sentence = response?.ok === false ? (await response.json().catch(() => null))?.detail : null;
  response?.body?.cancel().catch(() => {});
  if (response?.ok) return connect();
  show(byId("problem"), Boolean(sentence));
  byId("problem").textContent = sentence ?? "";
  stale(sentence ? "Not connected" : "Connection lost. Trying again …");
  setTimeout(reconnect, RETRY_MS);
}

function draw(state) {
  const old = state.age_s === null || state.age_s > OLD_S;
  show(byId("problem"), false);
  byId("model").textContent = state.model ? `Model ${state.model}` : "";
  drawLevel(old ? { level: null, probabilities: [0, 0, 0] } : state);
  drawChips(state.modalities, old);
  history.add(old ? null : state);
  flags.draw(state);
  recording.draw(state.session);
  document.querySelector("main").classList.toggle("old", old);
  const words = state.age_s === null ? "Connected; no estimate yet" : `No estimate for ${Math.round(state.age_s)} s`;
  connection(old ? words : "Connected", old);
}

function stale(words) {
  document.querySelector("main").classList.add("old");
  connection(words, true);
}

function connection(words, lost) {
  const box = byId("connection");
  if (box.textContent !== words) box.textContent = words; // said once, not five times a second
  box.classList.toggle("lost", lost);
}

reconnect();
