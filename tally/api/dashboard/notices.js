/** What needs to be known beside the charts: that the server is gone, what is wrong, and what was lost on the way. */

import { element, fill, the } from "./element.js";
import { duration, number } from "./format.js";

/** @typedef {import("./loader.js").Status} Status */

/** @type {Record<string, string>} */
const LINES = {
  encoding: "not UTF-8",
  fields: "too few or too many fields",
  name: "the name is none",
  value: "the value is no number",
  timestamp: "the timestamp is none",
  future: "too far ahead of the clock",
  cardinality: "a new name, where there are too many already",
  unmatched: "no enabled archive keeps the name",
};
/** @type {Record<string, string>} */
const DATAGRAMS = {
  kernel_drops: "dropped by the kernel, as they came faster than they were taken",
  refused: "from an address that is not allowed",
};
/** @type {Record<string, string>} */
const SAMPLES = {
  expired: "older than it keeps",
  cardinality: "a new name, where it has too many already",
  dropped: "could not be written in time",
};

/**
 * Show that the server cannot be asked, or no longer.
 * @param {string} detail empty: it can
 * @param {number} [wait] seconds until it is asked again
 */
export function trouble(detail, wait = 0) {
  const place = the("trouble");
  document.body.toggleAttribute("data-stale", Boolean(detail));
  place.hidden = !detail;
  const again = wait ? ` Asking again in ${wait}\u00a0s; what is shown may be old.` : "";
  const text = detail ? `${detail[0]?.toUpperCase()}${detail.slice(1)}.${again}` : "";
  if (place.textContent !== text) place.textContent = text;
}

/**
 * Show what is not as it should be.
 * @param {Status} status
 * @param {string[]} problems with what the page itself has asked for
 */
export function faults(status, problems) {
  list("faults", "Something is wrong", [...status.faults.map(({ detail }) => detail), ...problems]);
}

/**
 * Show what was lost lately.
 * @param {Status} status
 */
export function losses(status) {
  const within = status.window ? ` in the last ${duration(status.window)}` : "";
  list("losses", `Samples were lost${within}`, counted(status));
}

/**
 * Show sentences under a title, and nothing where there are none.
 * @param {string} id
 * @param {string} title
 * @param {string[]} told
 */
function list(id, title, told) {
  const place = the(id);
  place.hidden = told.length === 0;
  if (place.dataset.told === told.join("\n")) return;
  place.dataset.told = told.join("\n");
  fill(place, element("strong", {}, title), element("ul", {}, ...told.map((each) => element("li", {}, each))));
}

/**
 * @param {Status} status
 * @returns {string[]}
 */
function counted({ lines = {}, datagrams = {}, samples = {} }) {
  return [
    ...sentences(lines, "line", LINES),
    ...sentences(datagrams, "datagram", DATAGRAMS),
    ...Object.entries(samples).flatMap(([slug, reasons]) => sentences(reasons, `sample for ${slug}`, SAMPLES)),
  ];
}

/**
 * @param {Record<string, number>} counts
 * @param {string} noun
 * @param {Record<string, string>} meanings
 */
function sentences(counts, noun, meanings) {
  const [thing, ...rest] = noun.split(" ");
  const told = Object.entries(counts).filter(([, count]) => count);
  return told.map(([reason, count]) => {
    const what = [number(count), count === 1 ? thing : `${thing}s`, ...rest].join(" ");
    return `${what}: ${meanings[reason] ?? reason}`;
  });
}
