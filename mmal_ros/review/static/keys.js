// The whole page by keyboard; what is typed into a field or a dialog stays there.

import { byId, element } from "./dom.js";
import { ANSWERS } from "./levels.js";

/** Listen for keys, and list them in the help. */
export function bindKeys(review, clip, answers) {
  const acts = [
    ...ANSWERS.map(({ key, name, value }) => [[key], name, () => answers.give(value)]),
    [["ArrowLeft"], "clip before", () => review.go(review.index - 1), "←"],
    [["ArrowRight"], "clip after", () => review.go(review.index + 1), "→"],
    [["u"], "take back the last answer, also Ctrl+Z", () => answers.undo()],
    [["n"], "write a note; Esc leaves it, Enter keeps it", () => answers.writeNote()],
    [[" "], "play or pause", () => clip.player.toggle(), "Space"],
    [["m"], "sound on or off", () => clip.player.toggleSound()],
    [["?"], "these keys", () => byId("help").showModal()],
  ];
  byId("help-keys").replaceChildren(
    ...acts.flatMap(([[key], words, , sign]) => [
      element("dt", {}, element("kbd", {}, sign ?? key.toUpperCase())),
      element("dd", {}, words),
    ]),
  );
  byId("help-button").addEventListener("click", () => byId("help").showModal());
  document.addEventListener("keydown", (event) => {
    const act = wanted(event, acts);
    if (!act || !review.session) return;
    event.preventDefault();
    act();
  });
}

function wanted(event, acts) {
  if (document.querySelector("dialog[open]")) return null;
  const { target, key } = event;
  if (target.matches("textarea, input[type=text]")) return null;
  if ((event.ctrlKey || event.metaKey) && !event.altKey)
    return key.toLowerCase() === "z" && !event.shiftKey ? acts.find(([[one]]) => one === "u")[2] : null;
  if (event.altKey || event.repeat) return null;
  if (target.matches("input[type=range]") && key.startsWith("Arrow")) return null;
  if (target.matches("button, a, input[type=checkbox], summary") && key === " ") return null;
  return acts.find(([keys]) => keys.includes(key.length === 1 ? key.toLowerCase() : key))?.[2];
}
