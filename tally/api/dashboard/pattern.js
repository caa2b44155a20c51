/** The field for patterns, which completes from the archive's globs and names; the pattern is ARIA's combobox. */

import { address, get } from "./api.js";
import { element, fill, the } from "./element.js";
import { legible } from "./format.js";
import { exactly } from "./question.js";

const OPTIONS_MOST = 40;
const PAUSE_MS = 150;

export class PatternField {
  /** @param {(q: string[]) => void} chosen */
  constructor(chosen) {
    /** @type {HTMLInputElement} */
    this.input = the("pattern");
    this.list = the("pattern-options");
    this.chosen = chosen;
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
   * @param {string} slug
   * @param {string[]} q
   */
  show(slug, q) {
    this.slug = slug;
    if (document.activeElement !== this.input) this.input.value = q.join(" ");
  }

  /** The word that is being typed: several patterns are separated by spaces. */
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
      const found = await this.fitting(this.word, this.controller.signal);
      if (document.activeElement === this.input) this.offer(found.slice(0, OPTIONS_MOST), found.length);
    } catch {
      this.close(); // What is wrong shows where the charts are.
    }
  }

  /**
   * Return globs and then names that have the word in them, or names that it matches where it is a glob itself.
   * @param {string} word
   * @param {AbortSignal} signal
   * @returns {Promise<string[]>}
   */
  async fitting(word, signal) {
    if (!this.slug) return [];
    const glob = /[*?[]/.test(word) ? word : `*${word}*`;
    const [globs, names] = await Promise.all([
      get(address(`patterns/${this.slug}/`), signal),
      word ? get(address(`names/${this.slug}/`, [["q", glob]]), signal) : [],
    ]);
    const literal = word.replace(/\*$/, "");
    return [...globs.filter((/** @type {string} */ each) => each.includes(literal) && each !== word), ...names.map(exactly)];
  }

  /**
   * @param {string[]} found
   * @param {number} total
   */
  offer(found, total) {
    this.active = -1;
    fill(this.list, ...found.map((each, index) =>
      element("li", { role: "option", id: `pattern-option-${index}`, "aria-selected": "false", "data-value": each }, legible(each))));
    if (total > found.length) this.list.append(element("li", { role: "presentation", class: "more" }, `and ${total - found.length} more`));
    this.list.hidden = found.length === 0;
    this.input.setAttribute("aria-expanded", String(found.length > 0));
    this.input.removeAttribute("aria-activedescendant");
  }

  close() {
    clearTimeout(this.timer);
    this.controller.abort();
    this.offer([], 0);
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
