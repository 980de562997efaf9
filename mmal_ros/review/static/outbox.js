// Answers on their way to the server. Each is kept in the browser until the server says that it is on disk; the same
// request is sent again as often as needed, and the server takes it once.

import { post, Refused, sessionPath } from "./server.js";

const KEPT = "mmal.outbox";
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 5_000;

export class Outbox extends EventTarget {
  #sending = false;
  #wait = FIRST_WAIT_MS;
  #timer = null;
  trouble = null;

  /** What is not known to be saved, the oldest first. */
  get waiting() {
    try {
      return JSON.parse(localStorage.getItem(KEPT)) ?? [];
    } catch {
      return [];
    }
  }

  /** Keep a label or an undo and send it; events: "change", "saved" {item, answer}, "refused" {item, message}. */
  put(session, act, body) {
    this.#keep([...this.waiting, { session, act, body: { ...body, request: newRequest() } }]);
    this.send();
  }

  /** Send what is waiting, one after the other, for their order matters. */
  async send() {
    if (this.#sending) return;
    this.#sending = true;
    clearTimeout(this.#timer);
    while (this.waiting.length && (await this.#sendOne(this.waiting[0])));
    this.#sending = false;
    if (this.waiting.length) this.#later();
    this.#changed();
  }

  async #sendOne(item) {
    try {
      const answer = await post(sessionPath(item.session, `/${item.act}`), item.body);
      this.#settled(item, "saved", { answer });
    } catch (error) {
      const final = error instanceof Refused && !error.passing && error.status !== 401;
      if (final) this.#settled(item, "refused", { message: error.message });
      else this.trouble = error.message;
      return final;
    }
    return true;
  }

  #settled(item, event, detail) {
    this.trouble = null;
    this.#wait = FIRST_WAIT_MS;
    this.#keep(this.waiting.filter((other) => other.body.request !== item.body.request));
    this.dispatchEvent(new CustomEvent(event, { detail: { item, ...detail } }));
  }

  #later() {
    this.#timer = setTimeout(() => this.send(), this.#wait);
    this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT_MS);
  }

  #keep(items) {
    localStorage.setItem(KEPT, JSON.stringify(items));
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

// Not crypto.randomUUID: browsers have that only under TLS or on the own computer.
function newRequest() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
