/** Asks for what a change needs: a write token; of a silence how long it lasts, and why; of a view its name. */

import { Failure } from "./api.js";
import { writing } from "./editor.js";
import { the } from "./element.js";

/**
 * @typedef {object} Wish
 * @property {string} title
 * @property {string} button
 * @property {"silence" | "name" | ""} needs beside a token
 */

/**
 * Ask, and do it; a failure is shown, and can be tried again.
 * @param {Wish} wish
 * @param {(token: string, body: { for: string, why: string, name: string }) => Promise<void>} work
 */
export function ask({ title, button, needs }, work) {
  /** @type {HTMLDialogElement} */
  const dialog = the("silencing");
  /** @type {HTMLFormElement} */
  const form = the("silencing-form");
  const field = (/** @type {string} */ name) => /** @type {HTMLInputElement} */ (form.elements.namedItem(name));
  the("silencing-title").textContent = title;
  the("silencing-do").textContent = button;
  the("silencing-problem").textContent = "";
  the("silencing-fields").hidden = needs !== "silence";
  the("silencing-name").hidden = needs !== "name";
  field("why").required = needs === "silence";
  field("name").required = needs === "name";
  field("token").required = writing() === "token";
  dialog.querySelector("[data-token]")?.toggleAttribute("hidden", writing() !== "token");
  form.onsubmit = async (event) => {
    event.preventDefault();
    try {
      await work(field("token").value.trim(), { for: field("for").value, why: field("why").value, name: field("name").value });
      dialog.close();
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      the("silencing-problem").textContent = `${error.message}.`;
    }
  };
  const close = dialog.querySelector("[data-close]");
  if (close instanceof HTMLElement) close.onclick = () => dialog.close();
  dialog.showModal();
}
