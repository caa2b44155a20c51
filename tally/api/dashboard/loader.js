/** Gets what a view shows, and asks each question once. */

import { address, Failure, get } from "./api.js";
import { columns, compared } from "./columns.js";
import { change, earlier, isByChange, isHighestFirst, ranked, shifted } from "./compare.js";
import { NONE } from "./events.js";
import { ofArchive } from "./units.js";
import { among, before, coarse, leaders, LEADERS, named, NAMES_MOST, ranking, sparks } from "./question.js";

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
 * @property {number | null} total how many names there are; null: more than are counted
 * @property {boolean} isComplete whether all of them are rows
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
 * Return what asks each question once, as long as a view is loaded.
 * @param {AbortSignal} signal
 * @returns {(url: URL) => Promise<any>}
 */
export function asking(signal) {
  /** @type {Map<string, Promise<any>>} */
  const asked = new Map();
  return (url) => {
    const answer = asked.get(url.href) ?? get(url, signal);
    answer.catch(() => undefined); // Nobody may wait for what was asked ahead.
    asked.set(url.href, answer);
    return answer;
  };
}

/**
 * Ask what charts will need, as far as it does not depend on another answer.
 * @param {Chart[]} charts
 * @param {(url: URL) => Promise<any>} once
 */
export function prepare(charts, once) {
  for (const chart of charts) if (ranks(chart, charts) === chart) once(chart.url);
}

/**
 * Return the chart that has the names of a chart, which may be itself.
 * @param {Chart} chart
 * @param {Chart[]} charts
 */
function ranks(chart, charts) {
  const isAlone = !chart.byName || chart.view.group;
  return isAlone ? chart : charts.find(({ archive }) => archive === chart.archive) ?? chart;
}

/**
 * Return the columns of charts, in their order. The names of an archive are ranked once: its first chart has those with the
 * highest values, and the others have the same. Groups cannot be asked for by their names: each chart ranks its own.
 * @param {Chart[]} charts
 * @param {(url: URL) => Promise<any>} once
 * @returns {Promise<Columns[]>}
 */
export async function drawn(charts, once) {
  return Promise.all(charts.map(async (chart) => {
    const first = ranks(chart, charts);
    const names = first === chart ? [] : columns(first, await once(first.url)).lines.map(({ key }) => key);
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
  const wanted = seconds ? [range, shifted(range, seconds)] : [range];
  /** @type {(spans: Range[], ask: (span: Range) => URL) => Promise<Record<string, Cell>[]>} */
  const each = (spans, ask) => Promise.all(spans.map((span) => get(ask(span), signal)));
  const first = await each(wanted, (span) => leaders(view, archive, span));
  const cells = first.filter((those, index) => index === 0 || Object.keys(those).length); // Nothing may be kept of the span before.
  if (cells.every((those) => Object.keys(those).length <= NAMES_MOST)) return sorted(view, cells, true);
  const spans = wanted.slice(0, cells.length);
  if (isHighestFirst(view) && view.sort === "sum" && spans.length === 1) return { ...sorted(view, cells, false), total: null };
  // Groups cannot be asked for by their names.
  if (view.group) return sorted(view, await each(spans, (span) => leaders(view, archive, span, 0)), false);
  const ranks = await each(isByChange(view) ? spans : [range], (span) => ranking(view, archive, span));
  const counted = Object.keys(cells[0] ?? {}).length;
  const { rows, total } = sorted(view, ranks.map((values) => celled(values, ranked(view))), false);
  const names = rows.map(([name]) => name);
  const told = names.length ? await each(spans, (span) => named(names, view, archive, span)) : cells;
  return { ...sorted(view, told, false), total: !isHighestFirst(view) ? total : counted > NAMES_MOST ? null : counted };
}

/**
 * Return a leaderboard of names in their order.
 * @param {View} view
 * @param {Record<string, Cell>[]} cells in the range, and in the span before, if it is compared
 * @param {boolean} isComplete
 * @returns {Board}
 */
function sorted(view, [cells = {}, former], isComplete) {
  const before = former ?? null;
  const rows = ordered(view, cells, before);
  return { rows: isComplete ? rows : rows.slice(0, LEADERS), before, total: rows.length, isComplete };
}

/**
 * @param {Record<string, any>} values
 * @param {string} aggregate
 * @returns {Record<string, Cell>}
 */
function celled(values, aggregate) {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { [aggregate]: value }]));
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
 * Return the rows in their order. By what changed, names that there were only before are rows too.
 * @param {View} view
 * @param {Record<string, Cell>} answer
 * @param {Record<string, Cell> | null} before
 * @returns {[string, Cell][]}
 */
function ordered(view, answer, before) {
  if (!before || !isByChange(view)) return Object.entries(answer).sort(order(view.sort, view.reversed, ([, cell]) => cell[ranked(view)] ?? null));
  const names = Object.keys({ ...answer, ...before });
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
