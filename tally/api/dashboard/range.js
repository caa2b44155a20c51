/** Ranges of time: what may be typed, what is offered, and in how coarse buckets one is asked for. */

import { parse } from "./zone.js";

/**
 * @typedef {object} Archive
 * @property {string} slug
 * @property {string} name
 * @property {string} description
 * @property {string} pattern
 * @property {number} resolution
 * @property {number} retention
 * @property {boolean} enabled
 * @property {number} [percentiles] their accuracy in percent; 0: it keeps none
 * @property {number | null} first
 * @property {number | null} last
 * @property {number} bytes
 * @property {string} [error]
 * @property {import("./units.js").Rule[]} [units] of its names, its own first
 *
 * @typedef {object} Range
 * @property {number} since the first bucket, included; unix seconds
 * @property {number} until the last bucket, included
 * @property {number} step seconds in a bucket
 * @property {boolean} live whether it ends now
 */

/** @type {Record<string, number>} */
const UNIT_S = { s: 1, min: 60, h: 3600, d: 86400, w: 604800 };
const PRESETS = ["-5min", "-15min", "-1h", "-6h", "-24h", "-7d", "-30d", "-90d", "-365d"];
/** A preset has at least so many buckets, and the one that is shown first at most so many. */
const FEWEST_BUCKETS = 12;
const FIRST_BUCKETS = 720;
/** Steps that people can read off an axis; coarser ones are whole days. */
const STEPS_S = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 14400, 21600, 43200, 86400];

/** Since the archive's first bucket. */
export const FIRST = "first";
export const NOW = "now";

/**
 * Return the seconds of a relative time such as -15min, or null.
 * @param {string} text
 */
export function relative(text) {
  const found = /^-(\d{1,12})(s|min|h|d|w)$/.exec(text);
  return found ? Number(found[1]) * (UNIT_S[found[2] ?? ""] ?? NaN) : null;
}

/**
 * Return what was typed as it stands in the page's address, or null: unix seconds, relative, now, first, or a date.
 * @param {string} typed a date without an offset is of the time zone that is shown
 */
export function moment(typed) {
  const text = typed.trim();
  if (text === NOW || text === FIRST || relative(text)) return text;
  if (/^\d{1,12}(\.\d*)?$/.test(text)) return String(Math.floor(Number(text)));
  const time = parse(text);
  return Number.isNaN(time) || time < 0 || !/^\d{4}-/.test(text) ? null : String(Math.floor(time));
}

/**
 * Return the ranges that fit an archive, the shortest first.
 * @param {Archive} archive
 */
export function presets(archive) {
  const kept = archive.retention * 3600 || Infinity;
  const seconds = (/** @type {string} */ preset) => relative(preset) ?? 0;
  const fitting = PRESETS.filter((each) => seconds(each) >= FEWEST_BUCKETS * archive.resolution && seconds(each) < kept);
  return [...fitting, archive.retention ? whole(archive.retention) : FIRST];
}

/** @param {number} hours */
function whole(hours) {
  return hours % 24 || hours === 24 ? `-${hours}h` : `-${hours / 24}d`;
}

/**
 * Return what is shown of an archive first.
 * @param {Archive} archive
 */
export function preset(archive) {
  const offered = presets(archive);
  const short = offered.filter((each) => (relative(each) ?? Infinity) <= FIRST_BUCKETS * archive.resolution);
  return short.at(-1) ?? offered[0] ?? FIRST;
}

/**
 * Return the step for so many seconds, so that there are no more buckets than pixels.
 * @param {number} seconds
 * @param {number} resolution
 * @param {number} pixels
 */
export function step(seconds, resolution, pixels) {
  // One more bucket than fits into the range when it does not begin where a bucket does.
  const least = seconds / Math.max(1, Math.floor(pixels) - 1);
  const readable = STEPS_S.find((each) => each >= least && each % resolution === 0);
  const unit = least > 86400 && 86400 % resolution === 0 ? 86400 : resolution;
  return readable ?? Math.max(1, Math.ceil(least / unit)) * unit;
}

/**
 * Return the range of whole buckets for what an address says.
 * @param {{ since: string, until: string }} view
 * @param {Archive} archive
 * @param {number} now unix seconds
 * @param {number} pixels
 * @returns {Range}
 */
export function range(view, archive, now, pixels) {
  const [wanted, until] = bounds(view, archive, now);
  // Only what the archive keeps can be there; a cut-off that lies within a bucket is the collector's to judge. A range
  // of which nothing is kept stays as it was asked for, so that the page says what it is that is empty.
  const oldest = archive.retention ? now - archive.retention * 3600 - archive.resolution : 0;
  const since = Math.min(until, Math.max(wanted, oldest < until ? oldest : 0, 0));
  const wide = step(until - since, archive.resolution, pixels);
  const last = Math.floor(until / wide) * wide;
  return { since: Math.min(last, Math.floor(since / wide) * wide), until: last, step: wide, live: view.until === NOW };
}

/**
 * Return the ends of a view in unix seconds, whatever is kept of it.
 * @param {{ since: string, until: string }} view
 * @param {Archive} archive
 * @param {number} now unix seconds
 * @returns {[number, number]}
 */
export function bounds(view, archive, now) {
  const until = moved(view.until || NOW, archive, now, now);
  return [moved(view.since || preset(archive), archive, now, until), until];
}

/**
 * Return where a view starts, for the API; "" is the first bucket of all.
 * @param {{ since: string, until: string }} view
 * @param {Archive} archive
 * @param {number} now unix seconds
 */
export function start(view, archive, now) {
  const since = view.since || preset(archive);
  if (since === FIRST) return "";
  if (view.until === NOW && relative(since)) return since;
  return String(Math.max(0, bounds(view, archive, now)[0]));
}

/**
 * @param {string} text
 * @param {Archive} archive
 * @param {number} now
 * @param {number} from what a relative time is relative to
 */
function moved(text, archive, now, from) {
  if (text === NOW) return now;
  if (text === FIRST) return archive.first ?? now - 3600;
  const back = relative(text);
  return back === null ? Number(text) : from - back;
}

/**
 * Return the fields that ask for a range: `until` is the last second of its last bucket, so that all of it is there.
 * @param {Range} range
 * @returns {[string, number][]}
 */
export function fields({ since, until, step }) {
  return [["since", since], ["until", until + step - 1], ["step", step]];
}
