/** The view that is shown, all of which is in the page's address, so that a link shows what its sender saw. */

import { ROOT } from "./api.js";
import { COMPARISONS, ranked } from "./compare.js";
import { moment, NOW } from "./range.js";

/**
 * @typedef {import("./range.js").Archive} Archive
 *
 * @typedef {object} View
 * @property {string} slug of the archive; `auto`: the one that fits the range; empty: all archives
 * @property {string} since empty: the preset that fits the archive
 * @property {string} until
 * @property {string[]} q globs; none: all names
 * @property {string[]} where expressions of tags that all must hold
 * @property {string} group how names become one, as the API takes it; empty: they do not
 * @property {string[]} aggregates and percentiles, and DISTRIBUTION
 * @property {number} top how many names have a line each; 0: all names together have one
 * @property {boolean} rate whether counts and sums are per second
 * @property {string} shape
 * @property {string} axis
 * @property {string} compare with which span before; empty: with none
 * @property {string} events tags, separated by commas, that an event needs to be shown; empty: all are; `none`: none is
 * @property {string} sort an aggregate, `name`, or `change.` and the aggregate whose change ranks the names
 * @property {boolean} wall whether there are charts alone, on all of the screen
 * @property {boolean} reversed whether the lowest stand first, or names from Z to A
 */

export const AUTO = "auto";
export const AGGREGATES = ["avg", "min", "max", "sum", "count"];
/** Offered where an archive keeps percentiles; an address may have others. */
export const PERCENTILES = ["p50", "p95", "p99"];
/** A heatmap: which values the samples have, over time. */
export const DISTRIBUTION = "distribution";
export const SHAPES = ["line", "step", "smooth", "bars"];
export const AXES = ["linear", "log"];
export const TOPS = [0, 3, 5, 8, 12, 20];
const GROUP = /^(node:-?\d{1,3}(,-?\d{1,3})*|tag:[^,;!=\s]+(,[^,;!=\s]+)*)$/;
const SHOWN = ["avg", "count"];
const SORT = "sum";

/**
 * Return the view of an address; what is malformed in it is left out.
 * @param {URL} url
 * @returns {View}
 */
export function read(url) {
  const fields = url.searchParams;
  const aggregates = ordered((fields.get("show") ?? "").split(","));
  const sort = fields.get("sort") ?? SORT;
  const key = sort.replace(/^-/, "");
  const compare = COMPARISONS.find(([each]) => each === fields.get("compare"))?.[0] ?? "";
  return {
    slug: slug(url),
    since: moment(fields.get("since") ?? "") ?? "",
    until: moment(fields.get("until") ?? "") ?? NOW,
    q: fields.getAll("q").filter(Boolean),
    where: fields.getAll("where").filter(Boolean),
    group: GROUP.exec(fields.get("group") ?? "")?.[0] ?? "",
    aggregates: aggregates.length ? aggregates : SHOWN,
    top: TOPS.find((each) => String(each) === fields.get("top")) ?? 0,
    rate: fields.get("rate") === "1",
    shape: oneOf(SHAPES, fields.get("shape")),
    axis: oneOf(AXES, fields.get("axis")),
    compare,
    events: fields.get("events") ?? "",
    wall: fields.has("wall"),
    sort: isOrder(key, Boolean(compare)) ? key : SORT,
    reversed: sort.startsWith("-"),
  };
}

/**
 * Return the address of a view.
 * @param {View} view
 */
export function address(view) {
  const path = view.slug ? `archive/${encodeURIComponent(view.slug)}/` : "archive/";
  const url = new URL(view.slug === AUTO ? "" : path, ROOT);
  const sort = (view.reversed ? "-" : "") + view.sort;
  const fields = [
    ["since", view.since],
    ["until", view.until === NOW ? "" : view.until],
    ...view.q.map((each) => ["q", each]),
    ...view.where.map((each) => ["where", each]),
    ["group", view.group],
    ["show", view.aggregates.join() === SHOWN.join() ? "" : view.aggregates.join()],
    ["top", view.top ? String(view.top) : ""],
    ["rate", view.rate ? "1" : ""],
    ["shape", view.shape === SHAPES[0] ? "" : view.shape],
    ["axis", view.axis === AXES[0] ? "" : view.axis],
    ["compare", view.compare],
    ["events", view.events],
    ["sort", sort === SORT ? "" : sort],
  ];
  url.search = new URLSearchParams(fields.filter(([, value]) => value)).toString().replaceAll("%2C", ",").replaceAll("%3A", ":");
  if (view.wall) url.search += url.search ? "&wall" : "?wall";
  return url;
}

/**
 * Return a view of an archive that keeps how things are shown, but not the range, which may not fit it.
 * @param {View} view
 * @param {string} other
 * @returns {View}
 */
export function elsewhere(view, other) {
  return { ...view, slug: other, since: "", until: NOW };
}

/**
 * Return a view without what only an archive with percentiles can answer, if it keeps none.
 * @param {View} view
 * @param {boolean} isKept
 * @returns {View}
 */
export function fitted(view, isKept) {
  if (isKept) return view;
  const aggregates = view.aggregates.filter((each) => AGGREGATES.includes(each));
  const sort = isPercentile(ranked(view)) ? SORT : view.sort;
  return { ...view, aggregates: aggregates.length ? aggregates : SHOWN, sort };
}

/**
 * @param {string} key
 * @param {boolean} isCompared
 */
function isOrder(key, isCompared) {
  const aggregate = isCompared ? key.replace(/^change\./, "") : key;
  return key === "name" || AGGREGATES.includes(aggregate) || isPercentile(aggregate);
}

/** @param {string} aggregate */
export function isPercentile(aggregate) {
  return /^p(100|\d{1,2}(\.\d{1,4})?)$/.test(aggregate);
}

/**
 * Return those that can be shown: aggregates, percentiles from the lowest to the highest, and the distribution.
 * @param {string[]} chosen
 */
export function ordered(chosen) {
  const percentiles = [...new Set(chosen.filter(isPercentile))].sort((one, other) => Number(one.slice(1)) - Number(other.slice(1)));
  return [...AGGREGATES.filter((each) => chosen.includes(each)), ...percentiles, ...chosen.filter((each) => each === DISTRIBUTION).slice(0, 1)];
}

/** @param {URL} url */
function slug(url) {
  const found = /^archive\/(?:([^/]+)\/)?$/.exec(url.pathname.slice(ROOT.pathname.length));
  return found ? decodeURIComponent(found[1] ?? "") : AUTO;
}

/**
 * @param {string[]} choices the first of which is the default
 * @param {string | null} given
 */
function oneOf(choices, given) {
  return choices.find((each) => each === given) ?? choices[0] ?? "";
}
