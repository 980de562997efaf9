// Clips that are there before they are asked for: a few video elements, of which one is seen and the others load.

import { element } from "./dom.js";

const KEPT = 4; // the one seen, two ahead, one back: a bound on memory
const SOUND = "mmal.sound";

/** Where in a clip its flagged second ends, without better knowledge: 3 s before the second, and the second. */
export const FLAG_END_S = 4;

export class Player extends EventTarget {
  #videos = [];
  #shown = null;
  #frame = null;

  /** Events: "time" (the clip moved), "state" (played, paused, muted), "broken" (cannot be played). */
  constructor(stage) {
    super();
    for (let n = 0; n < KEPT; n++) stage.prepend(this.#newVideo());
  }

  /** Show a clip in place of the one before, from its beginning; null: none. */
  show(url) {
    if (this.#shown) {
      this.#shown.pause();
      this.#shown.classList.remove("seen");
    }
    this.#shown = url ? this.#loaded(url) : null;
    if (!this.#shown) return;
    this.#shown.classList.add("seen");
    this.#shown.currentTime = 0;
    this.#shown.muted = this.muted;
    if (this.#shown.error) this.#changed("broken");
    else this.play();
  }

  /** Load clips that will probably be wanted next. */
  preload(urls) {
    for (const url of urls.slice(0, KEPT - 1)) this.#loaded(url, urls);
  }

  /** Play on; without a click before, browsers may refuse sound: then it plays muted. */
  async play() {
    const video = this.#shown;
    try {
      await video.play();
    } catch (error) {
      if (error.name !== "NotAllowedError" || video.muted) return;
      video.muted = true;
      video.play().catch(() => {});
    }
    this.#changed("state");
  }

  toggle() {
    if (!this.#shown) return;
    if (this.#shown.paused) this.play();
    else this.#shown.pause();
  }

  toggleSound() {
    localStorage.setItem(SOUND, this.silent ? "on" : "off");
    if (this.#shown) this.#shown.muted = this.muted;
    this.#changed("state");
  }

  /** What the person wants, in this browser, until they think again. */
  get muted() {
    return localStorage.getItem(SOUND) !== "on";
  }

  /** What is: also when the browser refused sound. */
  get silent() {
    return this.#shown ? this.#shown.muted : this.muted;
  }

  get paused() {
    return this.#shown?.paused ?? true;
  }

  get duration() {
    return this.#shown?.duration || 0;
  }

  get time() {
    return this.#shown?.currentTime ?? 0;
  }

  set time(seconds) {
    if (this.#shown) this.#shown.currentTime = seconds;
  }

  #loaded(url, wanted = []) {
    const there = this.#videos.find((video) => video.getAttribute("src") === url && !video.error);
    const free = (one) => one !== this.#shown && (one.error || !wanted.includes(one.getAttribute("src")));
    const video = there ?? this.#videos.find(free);
    if (!there) video.src = url;
    this.#videos = [...this.#videos.filter((one) => one !== video), video]; // the longest unused is taken first
    return video;
  }

  #newVideo() {
    const video = element("video", { loop: true, playsinline: true, preload: "auto", tabindex: "-1" });
    video.muted = true;
    const ifShown = (act) => () => video === this.#shown && act();
    for (const name of ["play", "pause", "volumechange"]) video.addEventListener(name, ifShown(() => this.#state()));
    for (const name of ["seeked", "loadedmetadata"]) video.addEventListener(name, ifShown(() => this.#changed("time")));
    video.addEventListener("error", ifShown(() => this.#changed("broken")));
    this.#videos.push(video);
    return video;
  }

  #state() {
    this.#changed("state");
    cancelAnimationFrame(this.#frame);
    if (!this.paused) this.#follow();
  }

  #follow() {
    this.#changed("time");
    this.#frame = requestAnimationFrame(() => this.#follow());
  }

  #changed(what) {
    this.dispatchEvent(new Event(what));
  }
}
