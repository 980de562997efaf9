// Answers on their way to the server. Each is kept in the browser until the server says that it is on disk; the same
// request is sent again as often as needed, and the server takes it once. Every answer has a place of its own in the
// browser's storage: tabs share it, and none may write over what another one keeps.

import { get, post, Refused, sessionPath, Unreachable } from "./server.js";

const KEPT = "mmal.outbox.";
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 5_000;

export class Outbox extends EventTarget {
  #sending = false;
  #wait = FIRST_WAIT_MS;
  #timer = null;
  #last = 0;
  #strangers = new Set(); // places of answers to what this server does not have
  trouble = null;

  /** `session`: the one that this page is of. */
  constructor(session) {
    super();
    this.session = session;
    addEventListener("storage", (event) => this.#elsewhere(event));
  }

  /** What is not known to be saved, the oldest first. */
  get waiting() {
    return this.#kept().filter((item) => !this.#strangers.has(item.place));
  }

  /** How many answers stay in the browser because this server has not their session, or not their clip. */
  get stranded() {
    return this.#kept().filter((item) => this.#strangers.has(item.place)).length;
  }

  /**
   * Keep a label or an undo and send it; returns whether it is kept: false where the browser has no room for it.
   * Events: "change", "saved" {item, answer}, "refused" {item, message}.
   */
  put(session, act, body) {
    this.#last = Math.max(this.#last + 1, Date.now()); // the order in this tab, whatever happens to the clock
    const request = newRequest();
    const item = { place: `${KEPT}${this.#last}.${request}`, session, act, body: { ...body, request } };
    try {
      localStorage.setItem(item.place, JSON.stringify(item));
    } catch {
      return false;
    }
    this.#changed();
    this.send();
    return true;
  }

  /** Send what is waiting, the answers of a session one after the other, for their order matters. */
  async send() {
    if (this.#sending) return;
    this.#sending = true;
    clearTimeout(this.#timer);
    await this.#sendAll();
    this.#sending = false;
    if (this.waiting.length) this.#later();
    this.#changed();
  }

  // A session that takes nothing for now, because its folder cannot be written to, is in no other session's way.
  async #sendAll() {
    const stuck = new Map(); // session: why
    let item;
    while ((item = this.waiting.find(({ session }) => !stuck.has(session)))) {
      const trouble = await this.#sendOne(item);
      if (trouble) stuck.set(item.session, trouble);
      if (trouble instanceof Unreachable) break;
    }
    this.trouble = stuck.values().next().value?.message ?? null;
  }

  // Returns why it waits on; null: it does not.
  async #sendOne(item) {
    try {
      const answer = await post(sessionPath(item.session, `/${item.act}`), item.body);
      this.#settled(item, "saved", { answer });
    } catch (error) {
      if (error.status === 404 && (await this.#isStrange(item))) {
        this.#strangers.add(item.place); // kept, and in nobody's way
        return null;
      }
      const away = [401, 404].includes(error.status); // this server is another one than had the session, or will again
      const final = error instanceof Refused && !error.passing && !away;
      if (!final) return error;
      this.#settled(item, "refused", { message: error.message });
    }
    return null;
  }

  // Today's server is one of other sessions, or it has this one, and in it nothing that this answers. Where even the
  // page's own session is gone, another server is at this address for a while, and the answer waits for the right one.
  async #isStrange(item) {
    if (item.session !== this.session) return true;
    return get(sessionPath(item.session)).then(() => true, () => false);
  }

  #settled(item, event, detail) {
    this.#wait = FIRST_WAIT_MS;
    localStorage.removeItem(item.place);
    this.#changed();
    this.dispatchEvent(new CustomEvent(event, { detail: { item, ...detail } }));
  }

  #later() {
    this.#timer = setTimeout(() => this.send(), this.#wait);
    this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT_MS);
  }

  // Another tab keeps an answer, or has got rid of one: event "elsewhere" {item}.
  #elsewhere({ key, oldValue, newValue }) {
    if (!key?.startsWith(KEPT)) return;
    this.#changed();
    const item = newValue === null && read(oldValue);
    if (item) this.dispatchEvent(new CustomEvent("elsewhere", { detail: { item } }));
  }

  #kept() {
    const places = Object.keys(localStorage).filter((place) => place.startsWith(KEPT));
    return places.sort().map((place) => read(localStorage.getItem(place))).filter(Boolean);
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

// Not crypto.randomUUID: browsers have that only under TLS or on the own computer.
function newRequest() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function read(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
