/** The controls: the range, and how it is drawn. Each change is a change of the view. */

import { COMPARISONS } from "./compare.js";
import { element, fill, the } from "./element.js";
import { duration, moment as written } from "./format.js";
import { FIRST, moment, NOW, preset, presets, relative } from "./range.js";
import { groups } from "./tags.js";
import { AGGREGATES, DISTRIBUTION, fitted, ordered, PERCENTILES, TOPS } from "./view.js";

/**
 * @typedef {import("./view.js").View} View
 * @typedef {import("./range.js").Archive} Archive
 * @typedef {import("./range.js").Range} Range
 *
 * @typedef {object} Hands
 * @property {(change: Partial<View>) => void} change
 * @property {(part: number) => void} shift
 * @property {() => void} widen
 * @property {() => void} back
 * @property {() => void} follow
 */

export class Toolbar {
  /** @param {Hands} hands */
  constructor(hands) {
    this.hands = hands;
    /** @type {HTMLFormElement} */
    this.form = the("controls");
    this.presets = the("presets");
    /** @type {HTMLDetailsElement} */
    this.custom = the("custom");
    this.offered = "";
    this.options();
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("change", (event) => this.changed(/** @type {HTMLInputElement} */ (event.target)));
    this.listen();
  }

  /** Make the controls of which there are as many as there are choices. */
  options() {
    const tops = TOPS.map((each) => element("option", { value: each }, each ? `Top ${each} names` : "All names together"));
    the("top").append(...tops);
    the("compare").append(...COMPARISONS.map(([value, text]) => element("option", { value }, text)));
  }

  listen() {
    const on = (/** @type {string} */ id, /** @type {() => void} */ act) => the(id).addEventListener("click", act);
    on("earlier", () => this.hands.shift(-0.5));
    on("later", () => this.hands.shift(0.5));
    on("wider", () => this.hands.widen());
    on("back", () => this.hands.back());
    on("live", () => this.hands.follow());
    on("custom-apply", () => this.apply());
    this.custom.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.target instanceof HTMLInputElement) {
        event.preventDefault();
        this.apply();
      } else if (event.key === "Escape") {
        this.custom.open = false;
        this.custom.querySelector("summary")?.focus();
      }
    });
    document.addEventListener("click", (event) => {
      if (!this.custom.contains(/** @type {Node} */ (event.target))) this.custom.open = false;
    });
  }

  /** @param {HTMLInputElement} control */
  changed(control) {
    const { name, value, checked } = control;
    if (name === "preset") this.hands.change({ since: value, until: NOW });
    else if (name === "show") this.show(control);
    else if (name === "top") this.hands.change({ top: Number(value) });
    else if (name === "group") this.hands.change({ group: value });
    else if (name === "compare") this.hands.change({ compare: value });
    else if (name === "rate") this.hands.change({ rate: checked });
    else if (name === "shape") this.hands.change({ shape: value });
    else if (name === "axis") this.hands.change({ axis: checked ? "log" : "linear" });
  }

  /** @param {HTMLInputElement} control of which one at least stays checked */
  show(control) {
    const checked = [...this.boxes("show")].filter((each) => each.checked);
    // What cannot be shown here stays in the address, for an archive that can.
    if (checked.some((each) => !isHidden(each))) this.hands.change({ aggregates: checked.map(({ value }) => value) });
    else control.checked = true;
  }

  /** Take the range that was typed. */
  apply() {
    const ends = ["since", "until"].map((id) => this.typed(the(id)));
    const [since, until] = ends;
    if (since === undefined || until === undefined || since === null || until === null) return;
    const isBackwards = /^\d+$/.test(since) && /^\d+$/.test(until) && Number(since) >= Number(until);
    const problem = isBackwards ? "The range ends before it begins." : "";
    the("custom-problem").textContent = problem;
    if (problem) return;
    this.custom.open = false;
    this.custom.querySelector("summary")?.focus();
    this.hands.change({ since, until });
  }

  /** @param {HTMLInputElement} input */
  typed(input) {
    const found = moment(input.value);
    input.setAttribute("aria-invalid", String(found === null));
    if (found === null) {
      the("custom-problem").textContent = `“${input.value}” is no time: use a date such as 2026-03-01 14:30, -90min, or now.`;
      input.focus();
    }
    return found;
  }

  /**
   * Show what a view is.
   * @param {View} view
   * @param {Archive | undefined} archive whose range it is; none: of all archives
   * @param {Range | undefined} range
   * @param {number} depth how many steps one can go back
   */
  update(view, archive, range, depth) {
    the("range-row").hidden = !archive;
    /** @type {HTMLButtonElement} */ (the("back")).disabled = depth === 0;
    if (archive) this.ranges(view, archive, range);
    for (const radio of this.boxes("shape")) radio.checked = radio.value === view.shape;
    /** @type {HTMLSelectElement} */ (the("top")).value = String(view.top);
    /** @type {HTMLSelectElement} */ (the("compare")).value = view.compare;
    for (const box of this.boxes("rate")) {
      box.checked = view.rate;
      box.disabled = !view.aggregates.some((each) => each === "sum" || each === "count");
    }
    for (const box of this.boxes("axis")) box.checked = view.axis === "log";
  }

  /**
   * Offer what can be shown.
   * @param {View} view
   * @param {boolean} isKept whether there are percentiles
   */
  offer(view, isKept) {
    const choices = ordered([...AGGREGATES, ...PERCENTILES, ...view.aggregates, DISTRIBUTION]);
    if (choices.join() !== [...this.boxes("show")].map(({ value }) => value).join()) {
      fill(the("aggregates"), ...choices.map((each) => element("label", {},
        element("input", { type: "checkbox", name: "show", value: each }), element("span", {}, each))));
    }
    const drawn = fitted(view, isKept).aggregates;
    for (const box of this.boxes("show")) {
      const isHidden = !isKept && !AGGREGATES.includes(box.value);
      box.closest("label")?.toggleAttribute("hidden", isHidden);
      box.checked = (isHidden ? view.aggregates : drawn).includes(box.value);
    }
  }

  /**
   * Offer the tags by which names are selected and grouped, if there are any, and the parts of names.
   * @param {View} view
   * @param {string[]} keys of tags
   */
  tags(view, keys) {
    the("tagged").hidden = !keys.length && !view.where.length;
    /** @type {HTMLSelectElement} */
    const select = the("group");
    const offered = groups(keys, view.group);
    if (offered.join() !== [...select.options].map(({ value, text }) => [value, text]).join()) {
      fill(select, ...offered.map(([value, text]) => element("option", { value }, text)));
    }
    select.value = view.group;
  }

  /** @param {string} name */
  boxes(name) {
    return /** @type {NodeListOf<HTMLInputElement>} */ (this.form.querySelectorAll(`input[name=${name}]`));
  }

  /**
   * @param {View} view
   * @param {Archive} archive
   * @param {Range | undefined} range
   */
  ranges(view, archive, range) {
    const offered = presets(archive);
    if (offered.join() !== this.offered) {
      this.offered = offered.join();
      fill(this.presets, ...offered.map((each) => element("label", {},
        element("input", { type: "radio", name: "preset", value: each }), element("span", {}, label(each)))));
    }
    const isLive = view.until === NOW;
    const chosen = isLive ? same(view.since || preset(archive), offered) : "";
    for (const radio of this.boxes("preset")) radio.checked = radio.value === chosen;
    the("live").setAttribute("aria-pressed", String(isLive));
    /** @type {HTMLButtonElement} */ (the("later")).disabled = isLive;
    the("custom-label").textContent = chosen || !range ? "Custom" : shown(view, range);
    this.custom.toggleAttribute("data-chosen", !chosen);
    if (!this.custom.open && range) this.ends(view, archive, range);
  }

  /**
   * Write the range into its fields.
   * @param {View} view
   * @param {Archive} archive
   * @param {Range} range
   */
  ends(view, archive, range) {
    const since = view.since || preset(archive);
    /** @type {HTMLInputElement} */ (the("since")).value = relative(since) ? since : written(since === FIRST ? range.since : Number(since));
    /** @type {HTMLInputElement} */ (the("until")).value = /^\d+$/.test(view.until) ? written(Number(view.until)) : view.until;
  }
}

/** @param {HTMLInputElement} box */
function isHidden(box) {
  return Boolean(box.closest("[hidden]"));
}

/** @param {string} since */
function label(since) {
  return since === FIRST ? "All" : duration(relative(since) ?? 0);
}

/**
 * @param {string} since
 * @param {string[]} offered
 */
function same(since, offered) {
  return offered.find((each) => each === since || (relative(each) ?? NaN) === relative(since)) ?? "";
}

/**
 * @param {View} view
 * @param {Range} range
 */
function shown(view, range) {
  if (view.until === NOW && relative(view.since)) return `Last ${duration(relative(view.since) ?? 0)}`;
  const [from, to] = [written(range.since), written(range.until + range.step)];
  return from.slice(0, 10) === to.slice(0, 10) ? `${from.slice(0, 16)} – ${to.slice(11, 16)}` : `${from.slice(0, 16)} – ${to.slice(0, 16)}`;
}
