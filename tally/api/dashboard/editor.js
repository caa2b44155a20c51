/** Creates, changes and deletes archives, where a write token was given or can be. */

import { change, Failure } from "./api.js";
import { the } from "./element.js";

/** @typedef {import("./range.js").Archive} Archive */

const TEXTS = ["name", "description", "pattern"];
const NUMBERS = ["resolution", "retention", "percentiles"];

/** Return whether writing is `disabled`, `allowed`, or needs a `token`. */
export function writing() {
  return document.documentElement.dataset.writing ?? "disabled";
}

export class Editor {
  /** @param {(slug: string) => void} done what is to be shown then; empty: all archives */
  constructor(done) {
    this.done = done;
    /** @type {Archive | null} */
    this.archive = null;
    this.token = "";
    /** @type {HTMLDialogElement} */
    this.dialog = the("editor");
    /** @type {HTMLFormElement} */
    this.form = the("editor-form");
    /** @type {HTMLDialogElement} */
    this.deletion = the("deletion");
    /** @type {HTMLFormElement} */
    this.deletionForm = the("deletion-form");
    this.form.addEventListener("submit", (event) => this.submit(event, () => this.save()));
    this.deletionForm.addEventListener("submit", (event) => this.submit(event, () => this.remove()));
    for (const dialog of [this.dialog, this.deletion]) {
      dialog.querySelector("[data-close]")?.addEventListener("click", () => dialog.close());
    }
    for (const row of document.querySelectorAll("[data-token]")) row.toggleAttribute("hidden", writing() !== "token");
  }

  /** @param {Archive | null} archive null: a new one */
  open(archive) {
    this.archive = archive;
    this.form.reset();
    the("editor-title").textContent = archive ? `Edit ${archive.name}` : "New archive";
    the("editor-save").textContent = archive ? "Save" : "Create";
    const slug = field(this.form, "slug");
    slug.disabled = archive !== null;
    slug.value = archive?.slug ?? "";
    offer(this.form, archive?.percentiles ?? 0);
    if (archive) this.write(archive);
    this.prepare(this.form);
    this.dialog.showModal();
  }

  /** @param {Archive} archive */
  write(archive) {
    field(this.form, "name").value = archive.name;
    field(this.form, "description").value = archive.description;
    field(this.form, "pattern").value = archive.pattern;
    field(this.form, "resolution").value = String(archive.resolution);
    field(this.form, "retention").value = String(archive.retention);
    field(this.form, "percentiles").value = String(archive.percentiles ?? 0);
    field(this.form, "enabled").checked = archive.enabled;
  }

  /** @param {Archive} archive */
  ask(archive) {
    this.archive = archive;
    this.deletionForm.reset();
    the("deletion-title").textContent = `Delete ${archive.name}?`;
    the("deletion-slug").textContent = archive.slug;
    this.prepare(this.deletionForm);
    this.deletion.showModal();
  }

  /** @param {HTMLFormElement} form */
  prepare(form) {
    problem(form, "");
    const token = field(form, "token");
    token.required = writing() === "token";
    token.value = this.token;
  }

  /**
   * @param {SubmitEvent} event
   * @param {() => Promise<string>} work returns what is to be shown then
   */
  async submit(event, work) {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (event.target);
    const button = /** @type {HTMLButtonElement | null} */ (form.querySelector("[type=submit]"));
    problem(form, "");
    if (button) button.disabled = true;
    try {
      this.token = field(form, "token").value.trim();
      const slug = await work();
      form.closest("dialog")?.close();
      this.done(slug);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      problem(form, error.message);
    } finally {
      if (button) button.disabled = false;
    }
  }

  async save() {
    const value = (/** @type {string} */ name) => field(this.form, name).value;
    /** @type {Record<string, string | number | boolean>} */
    const body = { enabled: field(this.form, "enabled").checked };
    for (const name of TEXTS) body[name] = value(name);
    for (const name of NUMBERS) body[name] = Number(value(name));
    if (this.archive) {
      await change("PATCH", `archives/${this.archive.slug}/`, changed(this.archive, body), this.token);
      return this.archive.slug;
    }
    const slug = value("slug").trim();
    await change("POST", "archives/", { ...body, slug, name: body.name || slug }, this.token);
    return slug;
  }

  async remove() {
    const slug = this.archive?.slug ?? "";
    if (field(this.deletionForm, "confirm").value.trim() !== slug) throw new Failure(400, `type ${slug} to delete it`);
    await change("DELETE", `archives/${slug}/`, null, this.token);
    return "";
  }
}

/**
 * Return what is not as it was, so that a change made elsewhere meanwhile stays.
 * @param {Archive} archive
 * @param {Record<string, string | number | boolean>} body
 */
function changed(archive, body) {
  const former = /** @type {Record<string, unknown>} */ (/** @type {unknown} */ (archive));
  return Object.fromEntries(Object.entries(body).filter(([name, value]) => former[name] !== value));
}

/**
 * Offer the accuracies that an archive can change to: none, and those that are not finer.
 * @param {HTMLFormElement} form
 * @param {number} accuracy of the archive; 0: it keeps no percentiles
 */
function offer(form, accuracy) {
  /** @type {NodeListOf<HTMLOptionElement>} */
  const options = form.querySelectorAll("[name=percentiles] option");
  for (const option of options) {
    option.disabled = Number(option.value) > 0 && Number(option.value) < accuracy;
    option.hidden = option.disabled;
  }
}

/**
 * @param {HTMLFormElement} form
 * @param {string} name
 */
function field(form, name) {
  return /** @type {HTMLInputElement} */ (form.elements.namedItem(name));
}

/**
 * @param {HTMLFormElement} form
 * @param {string} text
 */
function problem(form, text) {
  const place = form.querySelector("[role=alert]");
  if (place) place.textContent = text && `${text[0]?.toUpperCase()}${text.slice(1)}.`;
}
