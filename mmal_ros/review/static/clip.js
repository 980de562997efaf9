// The clip of a flag: played in a loop, the flagged second framed, the wristband's curves under it on the same scale.

import { Curves } from "./curves.js";
import { byId, clock, show } from "./dom.js";
import { FLAG_END_S, Player } from "./player.js";

const MIDDLE_OF_FLAG_S = -0.5; // where curves are read when there is no clip

export class ClipPanel {
  constructor(review, windows) {
    Object.assign(this, { review, windows });
    this.player = new Player(byId("stage"));
    this.curves = new Curves(byId("curves"));
    this.player.addEventListener("time", () => this.#moved());
    this.player.addEventListener("state", () => this.#controls());
    this.player.addEventListener("broken", () => this.#say("This clip cannot be played. The curves and the timeline still can be judged."));
    const scrub = byId("scrub");
    scrub.addEventListener("input", () => (this.player.time = Number(scrub.value) + FLAG_END_S));
    scrub.addEventListener("pointerup", () => scrub.blur()); // so that the arrows change clips again
    byId("play").addEventListener("click", () => this.player.toggle());
    byId("mute").addEventListener("click", () => this.player.toggleSound());
    byId("previous").addEventListener("click", () => review.go(review.index - 1));
    byId("next").addEventListener("click", () => review.go(review.index + 1));
  }

  /** Show the flag that the review is at, and then, so as not to be in its way, get the next ones ready. */
  async draw() {
    const { review } = this;
    const { flag, index, flags } = review;
    this.#title();
    byId("previous").disabled = index <= 0;
    byId("next").disabled = index >= flags.length - 1;
    this.#say(flag ? this.#withoutClip(flag) : this.#withoutFlags());
    this.player.show(flag?.clip ?? null);
    this.#controls();
    this.#moved();
    if (!flag) return;
    await this.#drawCurves(flag);
    if (flag !== this.review.flag) return;
    const near = [flags[index + 1], flags[index + 2], flags[index - 1]].filter(Boolean);
    this.player.preload(near.map((one) => one.clip).filter(Boolean));
    for (const one of near) this.windows.of(one).catch(() => {}); // said when it is shown
  }

  #title() {
    const { flag, index, flags } = this.review;
    byId("clip-title").textContent = flag ? `Clip ${index + 1} of ${flags.length}, at ${clock(flag.time_s)}` : "No clips";
    const others = flag?.others ? ` · labelled by ${flag.others} other${flag.others > 1 ? "s" : ""}` : "";
    byId("reason").textContent = flag ? `Flagged: ${flag.reason}${others}` : "";
  }

  async #drawCurves(flag) {
    const nothing = (error) => ({ curves: {}, problem: error.message });
    const { curves, problem } = await this.windows.of(flag).catch(nothing);
    if (flag !== this.review.flag) return;
    byId("curves-words").textContent = problem ?? "There are no wristband curves for this moment.";
    show(byId("curves-words"), !this.curves.draw(curves));
    this.#moved();
  }

  #withoutClip(flag) {
    if (flag.clip) return null;
    if (flag.clip_lost)
      return "The clip of this moment is lost: the disk was full, or the recording was cut off. Judge by the curves and the timeline.";
    return this.review.session.privacy === "features_only"
      ? "This session was recorded without pictures and sound (features only). Judge by the curves and the timeline."
      : "There is no clip of this moment, perhaps because no camera was heard. Judge by the curves and the timeline.";
  }

  #withoutFlags() {
    return "Nothing was flagged in this session, so there is nothing to label.";
  }

  #say(words) {
    byId("stage").classList.toggle("bare", words !== null);
    byId("stage-words").textContent = words ?? "";
    show(byId("stage-words"), words !== null);
    show(byId("controls"), words === null);
  }

  #moved() {
    const time = this.review.flag?.clip ? this.player.time - FLAG_END_S : MIDDLE_OF_FLAG_S;
    byId("scrub").value = time;
    byId("stage").classList.toggle("flagged", this.player.duration > 0 && time >= -1 && time <= 0);
    byId("clip-time").textContent = this.player.duration ? `${time < 0 ? "−" : "+"}${Math.abs(time).toFixed(1)} s` : "";
    this.curves.moveTo(time);
  }

  #controls() {
    byId("play").lastElementChild.textContent = this.player.paused ? "Play" : "Pause";
    byId("mute").lastElementChild.textContent = this.player.silent ? "Unmute" : "Mute";
  }
}
