/** `auto`: the archive that fits the view best. The server chooses it. */

import { address, Failure, locate } from "./api.js";
import { earlier } from "./compare.js";
import { selected } from "./question.js";
import { bounds, start } from "./range.js";
import { AUTO, fitted } from "./view.js";

/**
 * @typedef {import("./range.js").Archive} Archive
 * @typedef {import("./view.js").View} View
 */

/**
 * Return the ranges that can be shown as one archive: the finest resolution and the longest retention of all.
 * @param {Archive[]} archives
 * @returns {Archive | undefined} nothing if no archive is enabled
 */
export function overall(archives) {
  const enabled = archives.filter((each) => each.enabled && !each.error);
  if (!enabled.length) return undefined;
  const hours = enabled.map(({ retention }) => retention);
  const firsts = enabled.flatMap(({ first }) => (first === null ? [] : [first]));
  const lasts = enabled.flatMap(({ last }) => (last === null ? [] : [last]));
  return {
    slug: AUTO,
    name: "Auto",
    description: "",
    pattern: "*",
    enabled: true,
    resolution: Math.min(...enabled.map(({ resolution }) => resolution)),
    retention: hours.includes(0) ? 0 : Math.max(...hours),
    percentiles: Math.max(...enabled.map(({ percentiles }) => percentiles ?? 0)),
    first: firsts.length ? Math.min(...firsts) : null,
    last: lasts.length ? Math.max(...lasts) : null,
    bytes: enabled.reduce((total, { bytes }) => total + bytes, 0),
  };
}

/**
 * Ask the server which archive fits a view; return its slug, or "" if no archive is enabled.
 * @param {View} view
 * @param {Archive} archive all archives as one
 * @param {number} now unix seconds
 * @param {AbortSignal} signal
 */
export async function choose(view, archive, now, signal) {
  const since = first(view, archive, now);
  /** @type {import("./api.js").Fields} */
  const fields = [...selected(view), ...(since ? [/** @type {[string, string]} */ (["since", since])] : [])];
  // The answer is not read: any percentile makes an archive that keeps them answer.
  if (archive.percentiles && fitted(view, false).aggregates.length < view.aggregates.length) fields.push(["percentiles", "50"]);
  try {
    const path = await locate(address(`aggregate/${AUTO}/byname/`, fields), signal);
    return /\/aggregate\/([^/]+)\/byname\/$/.exec(path)?.[1] ?? "";
  } catch (error) {
    if (error instanceof Failure && error.status === 404) return "";
    throw error;
  }
}

/**
 * Return since when data is needed, for the API: "" is the first bucket of all.
 * @param {View} view
 * @param {Archive} archive
 * @param {number} now
 */
function first(view, archive, now) {
  const since = start(view, archive, now);
  if (!view.compare || !since) return since;
  const [from, until] = bounds(view, archive, now);
  return String(Math.max(0, Math.floor(from - earlier(view, { since: from, until, step: 1 }))));
}
