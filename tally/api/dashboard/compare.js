/** The span of time that what is shown is compared with, and what has changed since. */

/**
 * @typedef {import("./range.js").Range} Range
 * @typedef {import("./view.js").View} View
 * @typedef {import("./columns.js").Cell} Cell
 * @typedef {import("./question.js").Chart} Chart
 *
 * @typedef {object} Change
 * @property {number | null} before
 * @property {number} by
 */

/** What is not there has none of it, and nothing else. */
const ADDED = ["sum", "count"];
/** Put before an aggregate by whose change names are sorted. */
const CHANGE = "change.";
const DAY_S = 86_400;
/** @type {Record<string, (seconds: number) => number>} */
const EARLIER_S = { span: (seconds) => seconds, day: () => DAY_S, week: () => 7 * DAY_S };

/** The choices, with what they are called. @type {[string, string][]} */
export const COMPARISONS = [["", "Compare with"], ["span", "Span before"], ["day", "Day before"], ["week", "Week before"]];

/**
 * Return how many seconds earlier the span is that a range is compared with: whole buckets; 0: it is not compared.
 * @param {View} view
 * @param {{ since: number, until: number, step: number }} range
 */
export function earlier({ compare }, { since, until, step }) {
  const seconds = EARLIER_S[compare]?.(until + step - since) ?? 0;
  return Math.ceil(seconds / step) * step;
}

/**
 * Return a range that is so much earlier.
 * @param {Range} range
 * @param {number} seconds
 * @returns {Range}
 */
export function shifted(range, seconds) {
  return { ...range, since: range.since - seconds, until: range.until - seconds, live: false };
}

/**
 * Return the aggregate that ranks the names of a view.
 * @param {View} view
 */
export function ranked({ sort }) {
  return sort === "name" ? "sum" : sort.replace(CHANGE, "");
}

/** @param {View} view */
export function isByChange({ sort }) {
  return sort.startsWith(CHANGE);
}

/**
 * Return whether names are in the order in which the API ranks them.
 * @param {View} view
 */
export function isHighestFirst(view) {
  return !view.reversed && !isByChange(view) && view.sort !== "name";
}

/**
 * Return the order by the change of an aggregate.
 * @param {string} aggregate
 */
export function changeOf(aggregate) {
  return `${CHANGE}${aggregate}`;
}

/**
 * Return what changed, or null where that is not known.
 * @param {string} aggregate
 * @param {Cell | undefined} cell
 * @param {Cell | undefined} former of the span before
 * @returns {Change | null}
 */
export function change(aggregate, cell, former) {
  const none = ADDED.includes(aggregate) ? 0 : null;
  return between(cell?.[aggregate] ?? none, former?.[aggregate] ?? none);
}

/**
 * @param {number | null} value
 * @param {number | null} before
 * @returns {Change | null}
 */
export function between(value, before) {
  return value === null || before === null ? null : { before, by: value - before };
}
