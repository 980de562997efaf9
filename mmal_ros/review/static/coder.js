// Who is labelling: a code, asked for once, kept in this browser.

import { byId, element, show } from "./dom.js";

const KEPT = "mmal.coder";
export const CODE = /^[A-Za-z0-9][A-Za-z0-9-]{0,31}$/;

/** The code kept in this browser, or null. */
export function knownCoder() {
  const code = localStorage.getItem(KEPT);
  return code && CODE.test(code) ? code : null;
}

/** Ask who it is, offering the coders who are known here; resolves to a code, or to the old one when closed. */
export function askCoder(known) {
  const [dialog, form, field, problem] = ["coder-dialog", "coder-form", "coder-code", "coder-problem"].map(byId);
  const old = knownCoder();
  const offer = (code) => element("button", { type: "button", click: () => take(code) }, code);
  const take = (code) => {
    if (!CODE.test(code)) return show(problem, true);
    localStorage.setItem(KEPT, code);
    dialog.close();
  };
  byId("coder-known").replaceChildren(...known.map(offer));
  show(byId("coder-known-part"), known.length > 0);
  show(byId("coder-cancel"), old !== null);
  show(problem, false);
  field.value = old ?? (known.length ? "" : "C1");
  form.onsubmit = (event) => {
    event.preventDefault();
    take(field.value.trim());
  };
  dialog.oncancel = (event) => old === null && event.preventDefault();
  byId("coder-cancel").onclick = () => dialog.close();
  dialog.showModal();
  field.select();
  return new Promise((resolve) => {
    dialog.onclose = () => resolve(knownCoder());
  });
}
