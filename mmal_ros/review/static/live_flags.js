// The flag button, what is left of the budget, and what was flagged last.

import { byId, element } from "./dom.js";
import { post } from "./server.js";

const SHOWN = 6;

export class FlagList {
  #drawn = "";

  constructor() {
    byId("flag").addEventListener("click", () => this.flag());
    document.addEventListener("keydown", (event) => {
      const typing = event.target.matches("input, select, textarea");
      if (event.key.toLowerCase() !== "f" || typing || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      event.preventDefault();
      this.flag();
    });
  }

  /** Ask for a label of what is happening now. */
  async flag() {
    byId("flag").disabled = true;
    await this.#ask("/api/live/flag", { reason: "flagged by hand" }, "Flagged.");
    byId("flag").disabled = false;
    byId("flag").focus();
  }

  /** Show the state's budget and its last flags, the newest on top. */
  draw({ budget, budget_left, flags }) {
    const left = budget_left ?? null;
    byId("budget").textContent = left === null ? "" : `${left}${budget ? ` of ${budget}` : ""} flags left for this session`;
    const last = (flags ?? []).slice(-SHOWN).reverse();
    const drawn = JSON.stringify(last);
    if (drawn === this.#drawn) return; // so that a button does not lose the focus five times a second
    this.#drawn = drawn;
    const nothing = element("li", { class: "quiet" }, "Nothing yet.");
    byId("flags").replaceChildren(...(last.length ? last.map((flag) => this.#item(flag)) : [nothing]));
  }

  #item({ window_id, time, reason }) {
    const at = new Date(typeof time === "number" ? time * 1000 : time).toLocaleTimeString();
    const click = () => this.#ask("/api/live/unflag", { window_id }, "Taken back.");
    const words = `${at} · ${reason}`;
    return element("li", {}, words, element("button", { type: "button", class: "plain", "aria-label": `Take back: ${words}`, click }, "Take back"));
  }

  async #ask(path, body, done) {
    try {
      const answer = await post(path, body);
      byId("flag-said").textContent = answer?.message || done;
    } catch (error) {
      byId("flag-said").textContent = error.message;
    }
  }
}
