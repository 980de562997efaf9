// One coder going through the flags of one session: where they are, what they said, and how they take it back.

import { get, sessionPath } from "./server.js";

export class Review extends EventTarget {
  #acts = []; // what was answered on this page, the newest last: [{window_id, label, note}] as it was before
  #asking = null; // the question of what stands that was put last and is not answered yet
  #reading = null; // while the session is read: [item, answer] of what is saved meanwhile, and may not be in it

  /** Events: "moved" (another flag), "answered" (the flag in `detail` has another label). */
  constructor(name, coder, outbox) {
    super();
    Object.assign(this, { name, coder, outbox, session: null, index: 0 });
    outbox.addEventListener("refused", ({ detail }) => this.#refused(detail.item));
    outbox.addEventListener("saved", ({ detail }) => this.#saved(detail.item, detail.answer));
    outbox.addEventListener("elsewhere", ({ detail }) => this.#mine(detail.item) && this.#ask());
  }

  /** Read the session; what is still on its way counts as answered. Throws as `get` does.
   *  Returns false where this was overtaken by another call: the newest decides what is seen. */
  async load(blind) {
    this.blind = blind;
    const saved = (this.#reading = []);
    try {
      const session = await get(sessionPath(this.name, this.query(blind)));
      if (saved !== this.#reading) return false;
      this.session = session;
    } catch (error) {
      if (saved !== this.#reading) return false;
      throw error;
    } finally {
      if (saved === this.#reading) this.#reading = null;
    }
    for (const [item, answer] of saved) {
      const flag = this.#mine(item);
      if (flag) Object.assign(flag, { label: answer?.label ?? null, note: answer?.note ?? "" });
    }
    for (const { session, act, body } of this.outbox.waiting) {
      const flag = this.find(body.window_id);
      if (session !== this.name || body.annotator !== this.coder || !flag) continue;
      Object.assign(flag, act === "labels" ? { label: body.value, note: body.note } : { label: null, note: "" });
    }
    this.index = Math.max(0, this.#nextOpen(-1));
    return true;
  }

  /** What requests of this coder carry. */
  query(blind) {
    return `?annotator=${encodeURIComponent(this.coder)}${blind ? "" : "&blind=false"}`;
  }

  get flags() {
    return this.session?.flags ?? [];
  }

  get flag() {
    return this.flags[this.index] ?? null;
  }

  get done() {
    return this.flags.filter((flag) => flag.label).length;
  }

  get complete() {
    return this.flags.length > 0 && this.done === this.flags.length;
  }

  find(window_id) {
    return this.flags.find((flag) => flag.window_id === window_id);
  }

  /** Go to a flag by its place in time; beyond the ends nothing happens. */
  go(index) {
    if (index < 0 || index >= this.flags.length || index === this.index) return;
    this.index = index;
    this.dispatchEvent(new Event("moved"));
  }

  goTo(window_id) {
    this.go(this.flags.findIndex((flag) => flag.window_id === window_id));
  }

  /**
   * Label the flag that is shown, and go to the next one without a label; a flag that had one stays in view.
   * Returns whether the answer is kept.
   */
  answer(value, note) {
    const flag = this.flag;
    if (!flag) return false;
    const { window_id, label, note: words } = flag;
    if (!this.#put("labels", { window_id, value, annotator: this.coder, note })) return false;
    this.#acts.push({ window_id, label, note: words });
    this.#set(flag, value, note);
    if (!label && !this.complete) this.go(this.#nextOpen(this.index));
    return true;
  }

  /** Take back the last answer of this page, or else that of the flag that is shown; returns the flag, or null. */
  undo() {
    const shown = this.flag?.label ? { window_id: this.flag.window_id, label: null, note: "" } : null;
    const last = this.#acts.at(-1) ?? shown;
    const flag = last && this.find(last.window_id);
    if (flag && !this.#put("undo", { window_id: flag.window_id, annotator: this.coder })) return null;
    this.#acts.pop();
    if (!flag) return null;
    this.#set(flag, last.label, last.note);
    this.goTo(flag.window_id);
    return flag;
  }

  // Event "unkept" where the browser has no room for an answer: then nothing is said.
  #put(act, body) {
    const kept = this.outbox.put(this.name, act, body);
    if (!kept) this.dispatchEvent(new Event("unkept"));
    return kept;
  }

  /** The next flag without a label after a place, from the beginning again at the end; -1: there is none. */
  #nextOpen(from) {
    const open = (flag) => !flag.label;
    const after = this.flags.findIndex((flag, index) => index > from && open(flag));
    return after >= 0 ? after : this.flags.findIndex(open);
  }

  #set(flag, label, note) {
    Object.assign(flag, { label: label ?? null, note: note ?? "" });
    this.dispatchEvent(new CustomEvent("answered", { detail: flag }));
  }

  #mine(item) {
    return item.session === this.name && item.body.annotator === this.coder ? this.find(item.body.window_id) : null;
  }

  // The server knows what stands, also below a label that was taken back; answers still on their way say more.
  #saved(item, answer) {
    this.#reading?.push([item, answer]);
    const flag = this.#mine(item);
    if (!flag || this.#waits(flag.window_id)) return;
    this.#set(flag, answer?.label, answer?.note);
    if (this.#asking) this.#ask();
  }

  // The same coder has said something in another tab: what stands is asked for, and again if more was said meanwhile.
  async #ask() {
    const asking = (this.#asking = {});
    const { flags } = await get(sessionPath(this.name, this.query(this.blind))).catch(() => ({ flags: [] }));
    if (asking !== this.#asking) return;
    this.#asking = null;
    for (const { window_id, label, note } of flags) {
      const flag = this.find(window_id);
      if (flag && !this.#waits(window_id) && (flag.label !== label || flag.note !== note)) this.#set(flag, label, note);
    }
  }

  #waits(window_id) {
    return this.outbox.waiting.some((item) => item.session === this.name && item.body.window_id === window_id);
  }

  #refused(item) {
    const flag = this.#mine(item);
    if (!flag || item.act !== "labels") return;
    this.#acts = this.#acts.filter((act) => act.window_id !== flag.window_id);
    this.#set(flag, null, item.body.note);
  }
}
