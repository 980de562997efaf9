// What is known around each flag: curves, and the model's opinion once it may be seen. A few are kept, the next ones
// are asked for before they are needed.

import { get, sessionPath } from "./server.js";

const KEPT = 16;

export class Windows {
  #known = new Map(); // window_id -> promise, the oldest first

  constructor(review) {
    this.review = review;
    this.blind = true;
  }

  /** `{curves, opinion}` of a flag; throws as `get` does. */
  of(flag) {
    const id = flag.window_id;
    if (!this.#known.has(id)) {
      const path = sessionPath(this.review.name, `/windows/${id}${this.review.query(this.blind)}`);
      const asked = get(path);
      asked.catch(() => this.forget(flag));
      this.#known.set(id, asked);
      if (this.#known.size > KEPT) this.#known.delete(this.#known.keys().next().value);
    }
    return this.#known.get(id);
  }

  /** Ask the server again the next time: the flag was labelled, or that was taken back. */
  forget(flag) {
    this.#known.delete(flag.window_id);
  }

  forgetAll() {
    this.#known.clear();
  }
}
