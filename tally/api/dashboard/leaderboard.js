/** The names by what they add up to in the range: sortable, and a click narrows the pattern to a name. */

import { element, fill, the } from "./element.js";
import { Files, leading, ofLeaders } from "./files.js";
import { decimals, fixed, legible, number } from "./format.js";
import { leaders } from "./question.js";
import { narrowed, shown } from "./tags.js";
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
    this.caption = the("leaders-caption");
    this.head = the("leaders-head");
    this.body = the("leaders-body");
    this.more = the("leaders-more");
    /** @type {[string, [string, Cell][], string[]]} the archive's slug, the rows that are shown, and their columns */
    this.shown = ["", [], []];
    this.files = new Files(the("leaders-files"), () => ofLeaders(...this.shown));
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
    this.caption.textContent = told(board, view);
    this.shown = [archive.slug, rows, leading(view)];
    this.files.name(`The ${rows.length === 1 ? "name" : `${number(rows.length)} names`} shown`, leaders(view, archive, range));
    this.headings(view);
    this.rows(rows, board, view);
    this.more.hidden = rows.length === board.rows.length;
    this.more.textContent = `Show all ${number(board.rows.length)} names`;
  }

  hide() {
    this.root.hidden = true;
  }

  /** @param {View} view */
  headings(view) {
    const focused = document.activeElement?.closest("th")?.dataset.key;
    fill(this.head, ...["name", ...leading(view)].map((key) => heading(key, view)));
    const again = focused && this.head.querySelector(`[data-key="${focused}"] a`);
    if (again instanceof HTMLElement) again.focus();
  }

  /**
   * @param {[string, Cell][]} rows
   * @param {Board} board
   * @param {View} view
   */
  rows(rows, board, view) {
    const keys = leading(view);
    const places = Object.fromEntries(keys.map((key) => [key, decimals(board.rows.map(([, cell]) => cell[key] ?? 0))]));
    const ranked = view.sort === "name" ? "sum" : view.sort;
    const most = Math.max(...board.rows.map(([, cell]) => Math.abs(cell[ranked] ?? 0)), 0);
    const focused = document.activeElement instanceof HTMLAnchorElement && this.body.contains(document.activeElement) ? document.activeElement.title : null;
    fill(this.body, ...rows.map(([name, cell]) => element("tr", {},
      element("th", { scope: "row", "--share": most ? Math.abs(cell[ranked] ?? 0) / most : 0 },
        element("a", { "data-view": true, href: address(narrowed(view, name)).href, title: legible(shown(name, view)) }, legible(shown(name, view)))),
      ...keys.map((key) => value(cell[key] ?? null, places[key] ?? 0, key === view.sort)))));
    const again = focused === null ? null : [...this.body.querySelectorAll("a")].find(({ title }) => title === focused);
    again?.focus();
  }
}

/**
 * @param {string} key
 * @param {View} view
 */
function heading(key, view) {
  const isSorted = view.sort === key;
  const next = { ...view, sort: key, reversed: isSorted && !view.reversed };
  const isUp = (key === "name") !== view.reversed;
  const sort = isSorted ? (isUp ? "ascending" : "descending") : null;
  const link = element("a", { "data-view": true, href: address(next).href, title: `Sort by ${key}` }, key);
  return element("th", { scope: "col", "data-key": key, "aria-sort": sort }, link);
}

/**
 * @param {number | null} value null: it is not known
 * @param {number} places
 * @param {boolean} isSorted
 */
function value(value, places, isSorted) {
  if (value === null) return element("td", { class: isSorted && "sorted" }, "–");
  return element("td", { class: isSorted && "sorted" }, element("data", { value, title: String(value) }, fixed(value, places)));
}

/**
 * @param {Board} board
 * @param {View} view
 */
function told({ rows, total, isComplete }, view) {
  const noun = view.group ? "group" : "name";
  if (isComplete) return `${number(total)} ${total === 1 ? noun : `${noun}s`}`;
  if (view.group) return `${number(rows.length)} of the ${number(total)} groups with the highest sum`;
  const by = view.sort === "name" ? "sum" : view.sort;
  return `the ${number(rows.length)} with the highest ${by}, of more than ${number(total)} names`;
}
