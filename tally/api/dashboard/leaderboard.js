/** The names by what they add up to in the range: sortable, and a click narrows the pattern to a name. */

import { change, changeOf, isByChange, ranked } from "./compare.js";
import { breakable, element, fill, the } from "./element.js";
import { Files, leading, ofLeaders } from "./files.js";
import { decimals, difference, fixed, legible, number } from "./format.js";
import { leaders, LEADERS, NAMES_MOST } from "./question.js";
import { sparkline } from "./sparkline.js";
import { narrowed, shown } from "./tags.js";
import { measured, unit } from "./units.js";
import { address } from "./view.js";

/**
 * @typedef {import("./view.js").View} View
 * @typedef {import("./loader.js").Board} Board
 * @typedef {import("./columns.js").Cell} Cell
 * @typedef {import("./range.js").Archive} Archive
 * @typedef {import("./range.js").Range} Range
 */

const FIRST_ROWS = 25;

export class Leaderboard {
  constructor() {
    this.root = the("leaderboard");
    this.title = the("leaders-title");
    this.caption = the("leaders-caption");
    this.head = the("leaders-head");
    this.body = the("leaders-body");
    this.more = the("leaders-more");
    /** @type {[string, [string, Cell][], string[]]} the archive's slug, the rows that are shown, and their columns */
    this.shown = ["", [], []];
    this.files = new Files(the("leaders-files"), () => ofLeaders(...this.shown));
    /** @type {Map<string, (number | null)[]>} the values of names over the range, as far as they are known */
    this.trends = new Map();
    this.all = false;
    /** @type {(() => void) | null} */
    this.again = null;
    this.more.addEventListener("click", () => {
      this.all = true;
      this.again?.();
    });
  }

  /**
   * @param {Board} board
   * @param {View} view
   * @param {Archive} archive
   * @param {Range} range
   */
  show(board, view, archive, range) {
    this.again = () => this.show(board, view, archive, range);
    const rows = this.all ? board.rows : board.rows.slice(0, FIRST_ROWS);
    this.root.hidden = board.rows.length === 0;
    this.title.textContent = view.group ? "Groups" : "Names";
    this.caption.textContent = caption(board, view);
    this.shown = [archive.slug, withChanges(rows, board, view), [...leading(view), ...(board.before ? [`${ranked(view)}_before`] : [])]];
    this.files.name(`The ${rows.length === 1 ? "name" : `${number(rows.length)} names`} shown`, leaders(view, archive, range));
    this.headings(view, board.before !== null);
    this.rows(rows, board, view, archive);
    this.more.hidden = rows.length === board.rows.length;
    this.more.textContent = `Show ${number(board.rows.length - rows.length)} more`;
  }

  /** The names of the rows that have a sparkline. */
  get leaders() {
    return this.root.hidden ? [] : this.shown[1].slice(0, LEADERS).map(([name]) => name);
  }

  /** @param {Map<string, (number | null)[]>} trends */
  draw(trends) {
    this.trends = trends;
    this.body.querySelectorAll("td.trend").forEach((cell, index) => fill(cell, this.trend(this.shown[1][index]?.[0] ?? "")));
  }

  /** @param {string} name */
  trend(name) {
    const values = this.trends.get(name);
    return values && sparkline(values);
  }

  hide() {
    this.root.hidden = true;
  }

  /**
   * @param {View} view
   * @param {boolean} isCompared
   */
  headings(view, isCompared) {
    const focused = document.activeElement?.closest("th")?.dataset.key;
    const keys = ["name", ...leading(view), ...(isCompared ? [changeOf(ranked(view))] : [])];
    fill(this.head, ...keys.map((key) => heading(key, view)));
    this.head.firstElementChild?.after(element("th", { scope: "col", class: "trend", title: `${ranked(view)} over time` }, "trend"));
    const again = focused && this.head.querySelector(`[data-key="${focused}"] a`);
    if (again instanceof HTMLElement) again.focus();
  }

  /**
   * @param {[string, Cell][]} rows
   * @param {Board} board
   * @param {View} view
   * @param {Archive} archive
   */
  rows(rows, board, view, archive) {
    const keys = leading(view);
    const places = Object.fromEntries(keys.map((key) => [key, decimals(board.rows.map(([, cell]) => cell[key] ?? 0))]));
    const aggregate = ranked(view);
    const plain = { ...view, rate: false };
    const told = (/** @type {number} */ each, /** @type {string} */ key, /** @type {string} */ name) => {
      const own = unit(archive, plain, key, name);
      return own ? measured(each, own) : fixed(each, places[key] ?? 0);
    };
    const changed = (/** @type {[string, Cell]} */ [name, cell]) => change(aggregate, cell, board.before?.[name]);
    const size = (/** @type {[string, Cell]} */ row) => Math.abs(isByChange(view) ? changed(row)?.by ?? 0 : row[1][aggregate] ?? 0);
    const most = board.rows.reduce((most, row) => Math.max(most, size(row)), 0);
    const focused = document.activeElement instanceof HTMLAnchorElement && this.body.contains(document.activeElement) ? document.activeElement.title : null;
    fill(this.body, ...rows.map((row) => element("tr", {},
      first(row[0], view, most ? size(row) / most : 0),
      element("td", { class: "trend" }, this.trend(row[0])),
      ...keys.map((key) => value(row[1][key] ?? null, (each) => told(each, key, row[0]), key === view.sort)),
      board.before && changeCell(changed(row), isByChange(view)))));
    const again = focused === null ? null : [...this.body.querySelectorAll("a")].find(({ title }) => title === focused);
    again?.focus();
  }
}

/**
 * Return rows with what the ranking aggregate was before, for a file.
 * @param {[string, Cell][]} rows
 * @param {Board} board
 * @param {View} view
 * @returns {[string, Cell][]}
 */
function withChanges(rows, { before }, view) {
  const aggregate = ranked(view);
  return before ? rows.map(([name, cell]) => [name, { ...cell, [`${aggregate}_before`]: before[name]?.[aggregate] ?? null }]) : rows;
}

/**
 * @param {string} name
 * @param {View} view
 * @param {number} share of the bar behind it, up to 1
 */
function first(name, view, share) {
  const text = legible(shown(name, view));
  return element("th", { scope: "row", "--share": share }, element("a", { "data-view": true, href: address(narrowed(view, name)).href, title: text }, ...breakable(text)));
}

/**
 * @param {import("./compare.js").Change | null} changed
 * @param {boolean} isSorted
 */
function changeCell(changed, isSorted) {
  if (!changed) return element("td", { class: isSorted && "sorted" }, "–");
  return element("td", { class: isSorted && "sorted" }, element("data", { value: changed.by, title: `before ${number(changed.before)}` }, difference(changed)));
}

/**
 * @param {string} key
 * @param {View} view
 */
function heading(key, view) {
  const isSorted = view.sort === key;
  const text = key.startsWith("change.") ? `change of ${ranked(view)}` : key;
  const next = { ...view, sort: key, reversed: isSorted && !view.reversed };
  const isUp = (key === "name") !== view.reversed;
  const sort = isSorted ? (isUp ? "ascending" : "descending") : null;
  const link = element("a", { "data-view": true, href: address(next).href, title: `Sort by ${text}` }, text);
  return element("th", { scope: "col", "data-key": key, "aria-sort": sort }, link);
}

/**
 * @param {number | null} value null: it is not known
 * @param {(value: number) => string} write
 * @param {boolean} isSorted
 */
function value(value, write, isSorted) {
  if (value === null) return element("td", { class: isSorted && "sorted" }, "–");
  return element("td", { class: isSorted && "sorted" }, element("data", { value, title: String(value) }, write(value)));
}

/**
 * @param {Board} board
 * @param {View} view
 */
function caption({ rows, before, total, isComplete }, view) {
  const noun = view.group ? "group" : "name";
  if (isComplete) return `${number(rows.length)} ${rows.length === 1 ? noun : `${noun}s`}`;
  const order = isByChange(view) && !before ? { ...view, sort: ranked(view) } : view;
  return `${which(number(rows.length), order)}, of ${total === null ? `more than ${number(NAMES_MOST)}` : number(total)} ${noun}s`;
}

/**
 * @param {string} count of the rows
 * @param {View} view
 */
function which(count, view) {
  if (view.sort === "name") return `the ${view.reversed ? "last" : "first"} ${count} in the order of names`;
  if (isByChange(view)) return `the ${count} whose ${ranked(view)} changed ${view.reversed ? "least" : "most"}`;
  return `the ${count} with the ${view.reversed ? "lowest" : "highest"} ${ranked(view)}`;
}
