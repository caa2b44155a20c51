/** A field that completes the word that is being typed, as ARIA's combobox does. */

import { element, fill, the } from "./element.js";
import { legible } from "./format.js";

/**
 * @typedef {object} Completion
 * @property {string[]} found
 * @property {boolean} [isPart] whether there are more
 */

const OPTIONS_MOST = 40;
const PAUSE_MS = 150;

export class Combobox {
  /**
   * @param {string} id of the field; its list has the same, and `-options`
   * @param {(words: string[]) => void} chosen
   * @param {(slug: string, word: string, signal: AbortSignal) => Promise<Completion>} complete
   */
  constructor(id, chosen, complete) {
    /** @type {HTMLInputElement} */
    this.input = the(id);
    this.list = the(`${id}-options`);
    this.chosen = chosen;
    this.completion = complete;
    this.slug = "";
    this.active = -1;
    this.timer = 0;
    this.controller = new AbortController();
    this.input.addEventListener("input", () => this.soon());
    this.input.addEventListener("focus", () => this.soon());
    this.input.addEventListener("blur", () => this.close());
    this.input.addEventListener("keydown", (event) => this.press(event));
    this.input.addEventListener("change", () => this.choose());
    // The field keeps the focus, which would close the list before the click counts.
    this.list.addEventListener("mousedown", (event) => event.preventDefault());
    this.list.addEventListener("click", (event) => this.pick(/** @type {HTMLElement} */ (event.target).closest("[role=option]")));
  }

  /**
   * @param {string} slug of the archive from which it completes; empty: it does not
   * @param {string[]} words
   */
  show(slug, words) {
    this.slug = slug;
    if (document.activeElement !== this.input) this.input.value = words.join(" ");
  }

  /** The word that is being typed: several are separated by spaces. */
  get word() {
    return this.input.value.split(/\s+/).at(-1) ?? "";
  }

  soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.complete(), PAUSE_MS);
  }

  /** Offer what fits the word. */
  async complete() {
    this.controller.abort();
    this.controller = new AbortController();
    try {
      const { found, isPart = false } = this.slug ? await this.completion(this.slug, this.word, this.controller.signal) : { found: [] };
      if (document.activeElement === this.input) this.offer(found, isPart);
    } catch {
      this.close(); // What is wrong shows where the charts are.
    }
  }

  /**
   * @param {string[]} found
   * @param {boolean} isPart whether there are more
   */
  offer(found, isPart) {
    this.active = -1;
    fill(this.list, ...found.slice(0, OPTIONS_MOST).map((each, index) =>
      element("li", { role: "option", id: `${this.list.id}-${index}`, "aria-selected": "false", "data-value": each }, legible(each))));
    const more = isPart ? "and more" : `and ${found.length - OPTIONS_MOST} more`;
    if (isPart || found.length > OPTIONS_MOST) this.list.append(element("li", { role: "presentation", class: "more" }, more));
    this.list.hidden = found.length === 0;
    this.input.setAttribute("aria-expanded", String(found.length > 0));
    this.input.removeAttribute("aria-activedescendant");
  }

  close() {
    clearTimeout(this.timer);
    this.controller.abort();
    this.offer([], false);
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    const options = /** @type {HTMLElement[]} */ ([...this.list.querySelectorAll("[role=option]")]);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && options.length) {
      event.preventDefault();
      this.mark(options, (this.active + step + options.length + (this.active < 0 && step < 0 ? 1 : 0)) % options.length);
    } else if (step) {
      this.complete();
    } else if (event.key === "Enter") {
      event.preventDefault();
      const option = options[this.active];
      if (option) this.pick(option);
      else this.choose();
    } else if (event.key === "Escape" && !this.list.hidden) {
      event.preventDefault();
      this.close();
    }
  }

  /**
   * @param {Element[]} options
   * @param {number} index
   */
  mark(options, index) {
    this.active = index;
    options.forEach((option, at) => option.setAttribute("aria-selected", String(at === index)));
    options[index]?.scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", options[index]?.id ?? "");
  }

  /** @param {HTMLElement | null | undefined} option */
  pick(option) {
    if (!option) return;
    const words = this.input.value.split(/\s+/);
    this.input.value = [...words.slice(0, -1), option.dataset.value].join(" ");
    this.choose();
  }

  choose() {
    this.close();
    this.chosen(this.input.value.split(/\s+/).filter(Boolean));
  }
}
