/** What a view asks the API: a chart's lines, and the leaderboard. */

import { address } from "./api.js";
import { earlier, isHighestFirst, ranked, shifted } from "./compare.js";
import { fields, step } from "./range.js";
import { DISTRIBUTION, isPercentile } from "./view.js";

/**
 * @typedef {import("./range.js").Archive} Archive
 * @typedef {import("./range.js").Range} Range
 * @typedef {import("./view.js").View} View
 *
 * @typedef {object} Chart
 * @property {Archive} archive
 * @property {Range} range of what is asked for
 * @property {Range} page the range of all charts of the archive
 * @property {string[]} aggregates that share the chart
 * @property {boolean} byName whether each name has a line
 * @property {View} view
 * @property {URL} url what to draw; charts may share it
 * @property {{ name: string, value: number }[]} [bounds] of alerts about what it shows
 * @property {number} earlier seconds between the span before and the range; 0: there is none
 */

/** A heatmap has so many columns at most, and its request so many bins in each. */
const COLUMNS_MOST = 240;
const BINS_MOST = 60;
const SPARK_BUCKETS = 48;
/** Of so many groups those that are drawn are found in the span before: a group cannot be asked for by its name. */
const GROUPS_MOST = 200;
/** With fewer names than this the leaderboard has them all, and is sorted here. */
export const NAMES_MOST = 1000;
/** So many are shown of more. */
export const LEADERS = 50;

/**
 * Return the charts of an archive.
 * @param {View} view
 * @param {Archive} archive
 * @param {Range} range
 * @returns {Chart[]}
 */
export function charts(view, archive, range) {
  const drawn = view.aggregates.filter((each) => each !== DISTRIBUTION);
  const groups = view.top ? drawn.map((each) => [each]) : grouped(drawn);
  const asked = { archive, range, page: range, view, byName: view.top > 0, earlier: earlier(view, range) };
  const made = groups.map((aggregates) => ({ ...asked, aggregates, url: view.top ? lines(asked, aggregates[0] ?? "") : together(asked, drawn) }));
  return drawn.length < view.aggregates.length ? [...made, heatmap(view, archive, range)] : made;
}

/**
 * Return what asks for the lines of a chart in the span before.
 * @param {Chart} chart
 * @param {string[]} names of the lines, where each is a name
 */
export function before(chart, names) {
  const asked = { ...chart, range: shifted(chart.range, chart.earlier) };
  if (!chart.byName) return together(asked, chart.view.aggregates.filter((each) => each !== DISTRIBUTION));
  return chart.view.group ? lines(asked, chart.aggregates[0] ?? "", GROUPS_MOST) : among(asked, names);
}

/**
 * Return what asks for the lines of some names.
 * @param {Pick<Chart, "view" | "archive" | "range" | "aggregates">} chart
 * @param {string[]} names
 */
export function among(chart, names) {
  return lines({ ...chart, view: { ...chart.view, q: names.map(exactly) } }, chart.aggregates[0] ?? "");
}

/**
 * Return a chart of the distribution, in columns that are wide enough to be seen.
 * @param {View} view
 * @param {Archive} archive
 * @param {Range} page
 * @returns {Chart}
 */
function heatmap(view, archive, page) {
  const range = coarser(page, COLUMNS_MOST);
  const url = address(`histogram/${archive.slug}/`, [...selected(view), ...fields(range), ["bins", BINS_MOST]]);
  return { archive, range, page, view, byName: false, aggregates: [DISTRIBUTION], url, earlier: 0 };
}

/**
 * Return those of one scale together: they share a chart.
 * @param {string[]} aggregates
 */
function grouped(aggregates) {
  const isOf = (/** @type {string} */ each) => (each === "sum" || each === "count" ? each : "value");
  const groups = ["value", "sum", "count"].map((scale) => aggregates.filter((each) => isOf(each) === scale));
  return groups.filter((group) => group.length);
}

/**
 * @param {{ view: View, archive: Archive, range: Range }} asked
 * @param {string[]} aggregates
 */
function together({ view, archive, range }, aggregates) {
  const one = aggregates.length === 1 ? `${aggregates[0]}/` : "";
  return address(`timedata/${archive.slug}/${one}`, [...selected(view), ...fields(range), ...(one ? [] : beside(aggregates))]);
}

/**
 * @param {{ view: View, archive: Archive, range: Range }} asked
 * @param {string} aggregate
 * @param {number} [limit]
 */
function lines({ view, archive, range }, aggregate, limit = view.top) {
  const asked = [...selected(view), ...grouping(view), ...fields(range), /** @type {[string, number]} */ (["limit", limit])];
  return address(`values/${archive.slug}/${aggregate}/`, asked);
}

/**
 * Return what asks for the leaderboard: the names with the highest sums, one more than are sorted here.
 * @param {View} view
 * @param {Archive} archive
 * @param {Range} range
 * @param {number} [limit] 0: all
 */
export function leaders(view, archive, range, limit = NAMES_MOST + 1) {
  return address(`aggregate/${archive.slug}/byname/`, [...selected(view), ...grouping(view), ...span(range), ...limited(limit), ...beside(wanted(view))]);
}

/**
 * Return what asks for the aggregate by which names are sorted: of those with the highest, or, in any other order, of all.
 * @param {View} view
 * @param {Archive} archive
 * @param {Range} range
 */
export function ranking(view, archive, range) {
  const limit = isHighestFirst(view) ? LEADERS : 0;
  return address(`aggregate/${archive.slug}/${ranked(view)}/byname/`, [...selected(view), ...span(range), ...limited(limit)]);
}

/**
 * Return what asks for all aggregates of some names.
 * @param {string[]} names
 * @param {View} view
 * @param {Archive} archive
 * @param {Range} range
 */
export function named(names, view, archive, range) {
  const globs = names.map((name) => /** @type {[string, string]} */ (["q", exactly(name)]));
  return address(`aggregate/${archive.slug}/byname/`, [...globs, ...span(range), ...beside(wanted(view))]);
}

/**
 * Return what asks for the sparklines of names.
 * @param {string[]} names
 * @param {View} view
 * @param {Archive} archive
 * @param {Range} range
 */
export function sparks(names, view, archive, range) {
  const asked = { archive, range, view: view.group ? view : { ...view, q: names.map(exactly) } };
  return lines(asked, ranked(view), view.group ? GROUPS_MOST : names.length);
}

/**
 * Return a range in so few buckets that a sparkline has room for them. The last one of a range that ends now is left out: it
 * is not complete, and each line would fall at its end.
 * @param {Range} range
 * @returns {Range}
 */
export function coarse(range) {
  const wide = coarser(range, SPARK_BUCKETS);
  return range.live && wide.since < wide.until ? { ...wide, until: wide.until - wide.step } : wide;
}

/**
 * Return a range in at most so many buckets.
 * @param {Range} page
 * @param {number} most
 * @returns {Range}
 */
function coarser(page, most) {
  const wide = step(page.until + page.step - page.since, page.step, most);
  const first = (/** @type {number} */ time) => Math.floor(time / wide) * wide;
  return { ...page, since: first(page.since), until: first(page.until), step: wide };
}

/**
 * Return the glob that a name alone matches.
 * @param {string} name
 */
export function exactly(name) {
  return name.replace(/[*?[]/g, "[$&]");
}

/** @param {View} view */
function wanted(view) {
  return [...new Set([...view.aggregates, ranked(view)])];
}

/**
 * Return the field that asks for percentiles beside the aggregates, if any are wanted.
 * @param {string[]} aggregates
 * @returns {[string, string][]}
 */
function beside(aggregates) {
  const wanted = aggregates.filter(isPercentile);
  return wanted.length ? [["percentiles", wanted.map((each) => each.slice(1)).join()]] : [];
}

/**
 * Return the fields that select names.
 * @param {View} view
 * @returns {[string, string][]}
 */
export function selected(view) {
  return [...view.q.map((each) => /** @type {[string, string]} */ (["q", each])), ...view.where.map((each) => /** @type {[string, string]} */ (["where", each]))];
}

/**
 * @param {View} view
 * @returns {[string, string][]}
 */
function grouping({ group }) {
  return group ? [["group", group]] : [];
}

/**
 * @param {number} limit
 * @returns {[string, number][]}
 */
function limited(limit) {
  return limit ? [["limit", limit]] : [];
}

/**
 * @param {Range} range
 * @returns {[string, number][]}
 */
function span({ since, until, step }) {
  return [["since", since], ["until", until + step - 1]];
}
