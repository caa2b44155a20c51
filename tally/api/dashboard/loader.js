/** Gets what a view shows, and asks each question once. */

import { address, Failure, get } from "./api.js";
import { columns, compared } from "./columns.js";
import { change, earlier, isByChange, ranked, shifted } from "./compare.js";
import { NONE } from "./events.js";
import { ofArchive } from "./units.js";
import { among, before, coarse, highest, leaders, LEADERS, named, NAMES_MOST, sparks } from "./question.js";

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
 * @property {Record<string, Cell> | null} before what names had in the span before; null: none is compared, or nothing is kept of it
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
 * Return the archives, with the units of their names, and why there are no units if they cannot be read.
 * @param {AbortSignal} signal
 * @returns {Promise<{ archives: Archive[], problems: string[] }>}
 */
export async function archives(signal) {
  /** @type {string[]} */
  const problems = [];
  const units = lenient(get(address("units/"), signal), (problem) => problems.push(problem));
  /** @type {[Archive[], import("./units.js").Rule[]]} */
  const [found, rules] = await Promise.all([get(address("archives/"), signal), units]);
  return { archives: found.map((archive) => ({ ...archive, units: ofArchive(rules, archive.slug) })), problems };
}

/**
 * Return the saved views.
 * @param {AbortSignal} signal
 * @returns {Promise<import("./saved.js").Saved[]>}
 */
export function views(signal) {
  return lenient(get(address("views/"), signal));
}

/**
 * Return the rules, the states and the silences of alerts.
 * @param {AbortSignal} signal
 * @returns {Promise<import("./alerts.js").Told>}
 */
export async function alerts(signal) {
  return { rules: [], alerts: [], silences: [], ...(await lenient(get(address("alerts/"), signal))) };
}

/**
 * Return an answer; an empty one, where there is none. The server's faults say why, unless `tell` does.
 * @param {Promise<any>} answer
 * @param {(problem: string) => void} [tell]
 */
async function lenient(answer, tell) {
  try {
    return await answer;
  } catch (error) {
    if (!(error instanceof Failure) || error.status < 500) throw error;
    tell?.(error.message);
    return [];
  }
}

/**
 * @param {AbortSignal} signal
 * @returns {Promise<Status>}
 */
export function status(signal) {
  return get(address("status/"), signal);
}

/**
 * Return the events that overlap any of the ranges; none, where they cannot be read.
 * @param {View} view
 * @param {Range[]} ranges
 * @param {AbortSignal} signal
 * @returns {Promise<import("./events.js").Happening[]>}
 */
export async function events(view, ranges, signal) {
  if (view.events === NONE || !ranges.length) return [];
  const since = Math.min(...ranges.map((each) => each.since));
  const until = Math.max(...ranges.map((each) => each.until + each.step - 1));
  /** @type {import("./api.js").Fields} */
  const fields = [["since", since], ["until", until], ...(view.events ? [/** @type {[string, string]} */ (["tags", view.events])] : [])];
  return lenient(get(address("events/", fields), signal));
}

/**
 * Return the columns of charts, in their order. The names of an archive are ranked once: its first chart has those with the
 * highest values, and the others have the same. Groups cannot be asked for by their names: each chart ranks its own.
 * @param {Chart[]} charts
 * @param {AbortSignal} signal
 * @returns {Promise<Columns[]>}
 */
export async function drawn(charts, signal) {
  /** @type {Map<string, Promise<any>>} */
  const asked = new Map();
  const once = (/** @type {URL} */ url) => {
    const answer = asked.get(url.href) ?? get(url, signal);
    asked.set(url.href, answer);
    return answer;
  };
  return Promise.all(charts.map(async (chart) => {
    const first = charts.find(({ archive }) => archive === chart.archive) ?? chart;
    const names = chart.byName && first !== chart && !chart.view.group ? columns(first, await once(first.url)).lines.map(({ key }) => key) : [];
    if (names.length) chart.url = among(chart, names);
    const now = columns(chart, await once(chart.url));
    if (names.length) now.lines.sort((one, other) => names.indexOf(one.key) - names.indexOf(other.key));
    if (!chart.earlier || !now.lines.length) return now;
    return compared(chart, now, await once(before(chart, now.lines.map(({ key }) => key))));
  }));
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
  const seconds = earlier(view, range);
  const former = seconds ? shifted(range, seconds) : null;
  /** @type {(Record<string, Cell> | null)[]} */
  let [answer, then] = await Promise.all([range, former].map((each) => each && get(leaders(view, archive, each), signal)));
  const isComplete = [answer, then].every((each) => !each || Object.keys(each).length <= NAMES_MOST);
  // Groups cannot be asked for by their names: of very many, those with the highest sums are sorted.
  if (!isComplete && !view.group && !isByChange(view) && view.sort !== "name" && (then || view.sort !== "sum")) {
    const names = Object.keys(await get(highest(view, archive, range), signal));
    [answer, then] = await Promise.all([range, former].map((each) => each && get(named(names, view, archive, each), signal)));
  }
  const rows = ordered(view, answer ?? {}, then ?? null, isComplete);
  const total = isComplete ? Object.keys(answer ?? {}).length : NAMES_MOST;
  return { rows: isComplete ? rows : rows.slice(0, LEADERS), before: then && Object.keys(then).length ? then : null, total, isComplete };
}

/**
 * Return the sparklines of names: their values over the range, in few buckets.
 * @param {string[]} names
 * @param {View} view
 * @param {Archive} archive
 * @param {Range} range
 * @param {AbortSignal} signal
 * @returns {Promise<Map<string, (number | null)[]>>}
 */
export async function trends(names, view, archive, range, signal) {
  if (!names.length) return new Map();
  const wide = coarse(range);
  /** @type {Chart} */
  const chart = { archive, range: wide, page: range, view, byName: true, aggregates: [ranked(view)], earlier: 0, url: sparks(names, view, archive, wide) };
  return new Map(columns(chart, await get(chart.url, signal)).lines.map(({ key, values }) => [key, values]));
}

/**
 * Return the rows in their order. By what changed, names that there were only before are rows too; of more names than are known
 * those are that are known of both spans.
 * @param {View} view
 * @param {Record<string, Cell>} answer
 * @param {Record<string, Cell> | null} before
 * @param {boolean} isComplete
 * @returns {[string, Cell][]}
 */
function ordered(view, answer, before, isComplete) {
  if (!before || !isByChange(view)) return Object.entries(answer).sort(order(view.sort, view.reversed, ([, cell]) => cell[view.sort] ?? null));
  const names = isComplete ? Object.keys({ ...answer, ...before }) : Object.keys(answer).filter((name) => name in before);
  const size = (/** @type {[string, Cell]} */ [name, cell]) => {
    const changed = change(ranked(view), cell, before[name]);
    return changed && Math.abs(changed.by);
  };
  return names.map((name) => /** @type {[string, Cell]} */ ([name, answer[name] ?? {}])).sort(order(view.sort, view.reversed, size));
}

/**
 * Return how rows are ordered. One whose value is not known stands last, whichever way they are.
 * @param {string} sort
 * @param {boolean} reversed
 * @param {(row: [string, Cell]) => number | null} read
 * @returns {(one: [string, Cell], other: [string, Cell]) => number}
 */
function order(sort, reversed, read) {
  const sign = reversed ? -1 : 1;
  return (one, other) => {
    const byName = one[0] < other[0] ? -1 : 1;
    if (sort === "name") return sign * byName;
    const [value, otherValue] = [read(one), read(other)];
    if (value === null || otherValue === null) return Number(value === null) - Number(otherValue === null) || byName;
    return sign * (otherValue - value || byName);
  };
}
