// Whether a session is being recorded; start and stop.

import { byId, show } from "./dom.js";
import { post } from "./server.js";

export class Recording {
  constructor() {
    byId("start").addEventListener("submit", (event) => {
      event.preventDefault();
      const [participant, privacy] = [byId("participant").value.trim(), byId("privacy").value];
      this.#ask("/api/live/session/start", { participant, privacy });
    });
    byId("stop").addEventListener("click", () => this.#ask("/api/live/session/stop", {}));
  }

  /** Show the recorder's state; null: there is no recorder. */
  draw(session) {
    const on = session?.recording ?? false;
    const words = byId("recording-words");
    words.textContent = !session ? "No recorder is heard: nothing is kept." : on ? `${session.participant} · ${session.session}` : "Not recording.";
    if (session?.problem) words.textContent += ` ${session.problem}`;
    words.classList.toggle("on", on);
    show(byId("start"), session && !on);
    show(byId("stop"), on || session?.problem); // also a session that waits to begin can be taken back
  }

  async #ask(path, body) {
    const said = byId("recording-said");
    try {
      said.textContent = "";
      said.textContent = (await post(path, body))?.message ?? "";
    } catch (error) {
      said.textContent = error.message;
    }
  }
}
