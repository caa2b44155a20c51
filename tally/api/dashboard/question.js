/** What a view asks the API: a chart's lines, and the leaderboard. */

import { address } from "./api.js";
import { fields } from "./range.js";
import { PERCENTILES } from "./view.js";

/**
 * @typedef {import("./range.js").Archive} Archive
 * @typedef {import("./range.js").Range} Range
 * @typedef {import("./view.js").View} View
 *
 * @typedef {object} Chart
 * @property {Archive} archive
 * @property {Range} range
 * @property {string[]} aggregates that share the chart
 * @property {boolean} byName whether each name has a line
 * @property {View} view
 * @property {URL} url what to draw; charts may share it
 */

/** Those that are of one scale share a chart. */
const SCALES = [["avg", "min", "max", ...PERCENTILES], ["sum"], ["count"]];
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
  const groups = view.top ? view.aggregates.map((each) => [each]) : grouped(view.aggregates);
  return groups.map((aggregates) => {
    const asked = { archive, range, view, aggregates, byName: view.top > 0 };
    return { ...asked, url: view.top ? lines(asked, aggregates[0] ?? "") : together(asked, view.aggregates) };
  });
}

/** @param {string[]} aggregates */
function grouped(aggregates) {
  const groups = SCALES.map((scale) => aggregates.filter((each) => scale.includes(each)));
  return groups.filter((group) => group.length);
}

/**
 * @param {{ view: View, archive: Archive, range: Range }} asked
 * @param {string[]} aggregates
 */
function together({ view, archive, range }, aggregates) {
  const one = aggregates.length === 1 ? `${aggregates[0]}/` : "";
  return address(`timedata/${archive.slug}/${one}`, [...globs(view), ...fields(range), ...(one ? [] : beside(aggregates))]);
}

/**
 * @param {{ view: View, archive: Archive, range: Range }} asked
 * @param {string} aggregate
 */
function lines({ view, archive, range }, aggregate) {
  const asked = [...globs(view), ...fields(range), /** @type {[string, number]} */ (["limit", view.top])];
  return address(`values/${archive.slug}/${aggregate}/`, asked);
}

/**
 * Return what asks for the leaderboard: the names with the highest sums, one more than are sorted here.
 * @param {View} view
 * @param {Archive} archive
 * @param {Range} range
 */
export function leaders(view, archive, range) {
  return address(`aggregate/${archive.slug}/byname/`, [...globs(view), ...span(range), ["limit", NAMES_MOST + 1], ...beside(view.aggregates)]);
}

/**
 * Return what asks which names of more have the highest of another aggregate.
 * @param {View} view
 * @param {Archive} archive
 * @param {Range} range
 */
export function highest(view, archive, range) {
  const asked = [...globs(view), ...span(range), /** @type {[string, number]} */ (["limit", LEADERS])];
  return address(`aggregate/${archive.slug}/${view.sort}/byname/`, asked);
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
  return address(`aggregate/${archive.slug}/byname/`, [...globs, ...span(range), ...beside(view.aggregates)]);
}

/**
 * Return the glob that a name alone matches.
 * @param {string} name
 */
export function exactly(name) {
  return name.replace(/[*?[]/g, "[$&]");
}

/**
 * Return the field that asks for percentiles beside the aggregates, if any are wanted.
 * @param {string[]} aggregates
 * @returns {[string, string][]}
 */
function beside(aggregates) {
  const wanted = aggregates.filter((each) => PERCENTILES.includes(each));
  return wanted.length ? [["percentiles", wanted.map((each) => each.slice(1)).join()]] : [];
}

/**
 * @param {View} view
 * @returns {[string, string][]}
 */
function globs(view) {
  return view.q.map((each) => ["q", each]);
}

/**
 * @param {Range} range
 * @returns {[string, number][]}
 */
function span({ since, until, step }) {
  return [["since", since], ["until", until + step - 1]];
}
