/** Gets what a view shows, and asks each question once. */

import { address, get } from "./api.js";
import { columns } from "./columns.js";
import { highest, leaders, LEADERS, named, NAMES_MOST } from "./question.js";

/**
 * @typedef {import("./range.js").Archive} Archive
 * @typedef {import("./range.js").Range} Range
 * @typedef {import("./view.js").View} View
 * @typedef {import("./question.js").Chart} Chart
 * @typedef {import("./columns.js").Columns} Columns
 * @typedef {import("./columns.js").Cell} Cell
 *
 * @typedef {object} Board
 * @property {[string, Cell][]} rows in their order
 * @property {number} total how many names there are, as far as they are known
 * @property {boolean} isComplete whether that is all
 *
 * @typedef {object} Status
 * @property {number} collectors
 * @property {number | null} window seconds within which what follows was lost
 * @property {Record<string, number>} [lines]
 * @property {Record<string, number>} [datagrams]
 * @property {Record<string, Record<string, number>>} [samples]
 * @property {number} pending
 * @property {Record<string, string>} errors
 * @property {Fault[]} faults
 *
 * @typedef {object} Fault
 * @property {string} check
 * @property {string | null} archive
 * @property {string} detail what is wrong, in a sentence
 */

/**
 * @param {AbortSignal} signal
 * @returns {Promise<Archive[]>}
 */
export function archives(signal) {
  return get(address("archives/"), signal);
}

/**
 * @param {AbortSignal} signal
 * @returns {Promise<Status>}
 */
export function status(signal) {
  return get(address("status/"), signal);
}

/**
 * Return the columns of charts, in their order.
 * @param {Chart[]} charts
 * @param {AbortSignal} signal
 * @returns {Promise<Columns[]>}
 */
export async function drawn(charts, signal) {
  /** @type {Map<string, Promise<any>>} */
  const asked = new Map();
  for (const { url } of charts) {
    if (!asked.has(url.href)) asked.set(url.href, get(url, signal));
  }
  return Promise.all(charts.map(async (chart) => columns(chart, await asked.get(chart.url.href))));
}

/**
 * Return the leaderboard of an archive for a range.
 * @param {View} view
 * @param {Archive} archive
 * @param {Range} range
 * @param {AbortSignal} signal
 * @returns {Promise<Board>}
 */
export async function board(view, archive, range, signal) {
  /** @type {Record<string, Cell>} */
  let answer = await get(leaders(view, archive, range), signal);
  const isComplete = Object.keys(answer).length <= NAMES_MOST;
  // Groups cannot be asked for by their names: of very many, those with the highest sums are sorted.
  if (!isComplete && !view.group && view.sort !== "sum" && view.sort !== "name") {
    const names = Object.keys(await get(highest(view, archive, range), signal));
    answer = await get(named(names, view, archive, range), signal);
  }
  const rows = Object.entries(answer).sort(order(view));
  return { rows: isComplete ? rows : rows.slice(0, LEADERS), total: isComplete ? rows.length : NAMES_MOST, isComplete };
}

/**
 * Return how rows are ordered. One whose value is not known stands last, whichever way they are.
 * @param {View} view
 * @returns {(one: [string, Cell], other: [string, Cell]) => number}
 */
function order({ sort, reversed }) {
  const sign = reversed ? -1 : 1;
  return ([name, cell], [otherName, otherCell]) => {
    const byName = name < otherName ? -1 : 1;
    if (sort === "name") return sign * byName;
    const [value, otherValue] = [cell[sort] ?? null, otherCell[sort] ?? null];
    if (value === null || otherValue === null) return Number(value === null) - Number(otherValue === null) || byName;
    return sign * (otherValue - value || byName);
  };
}
