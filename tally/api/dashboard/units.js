/** The units of metrics: which one a name has, and how values are written with it. */

import { bytes, number, rounded, short } from "./format.js";

/**
 * @typedef {import("./range.js").Archive} Archive
 * @typedef {import("./view.js").View} View
 *
 * @typedef {object} Rule
 * @property {string | null} archive null: all
 * @property {string} glob
 * @property {string} unit
 */

/** Seconds in what a duration is written in; below the second it is in milli- and microseconds. @type {[number, string][]} */
const DURATIONS = [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"], [1e-3, "ms"], [1e-6, "µs"]];
const PER_SECOND = "/s";

/**
 * Return the rules of an archive, its own first.
 * @param {Rule[]} rules
 * @param {string} slug
 */
export function ofArchive(rules, slug) {
  return [...rules.filter(({ archive }) => archive === slug), ...rules.filter(({ archive }) => archive === null)];
}

/**
 * Return the unit of an aggregate of all names that are selected, or of one name; empty: it has none.
 * @param {Archive} archive
 * @param {View} view
 * @param {string} aggregate
 * @param {string} [name]
 */
export function unit(archive, view, aggregate, name) {
  const rate = view.rate && (aggregate === "sum" || aggregate === "count") ? PER_SECOND : "";
  if (aggregate === "count") return rate;
  const patterns = name !== undefined && !view.group ? [name] : view.q.length ? view.q : [archive.pattern];
  const found = new Set(patterns.map((each) => find(archive.units ?? [], each, each === name)));
  const [only = ""] = found;
  return found.size === 1 ? `${only}${only === PER_SECOND ? "" : rate}` : rate;
}

/**
 * @param {Rule[]} rules
 * @param {string} pattern
 * @param {boolean} isName whether it is a name, in which no character stands for others
 */
function find(rules, pattern, isName) {
  // A star of the pattern can only be covered by a star of the glob.
  const isPlain = isName || !/[*?[]/.test(pattern);
  return rules.find(({ glob }) => glob === pattern || ((isPlain || !/[?[]/.test(glob)) && matches(glob, pattern)))?.unit ?? "";
}

/**
 * Return whether a name matches a glob as in SQLite.
 * @param {string} glob
 * @param {string} name
 */
function matches(glob, name) {
  const parts = glob.replace(/\*+/g, "*").match(/\[\^?\]?[^\]]*\]|[^]/g) ?? [];
  const expression = parts.map((part) => {
    if (part === "*") return "[^]*";
    if (part === "?") return "[^]";
    if (part.length < 2) return part.replace(/[\\^$.+()[\]{}|/]/g, "\\$&");
    const members = part.slice(1, -1).replace(/^\^/, "");
    return `[${part.startsWith("[^") ? "^" : ""}${members.replace(/[\\\]^[]/g, "\\$&")}]`;
  });
  try {
    return new RegExp(`^${expression.join("")}$`, "u").test(name);
  } catch {
    return false; // A set such as [z-a] has no members.
  }
}

/**
 * Return a value for people, to five digits, or to three with its unit.
 * @param {number | null | undefined} value
 * @param {string} unit
 */
export function measured(value, unit) {
  return value === null || value === undefined ? number(value) : written(value, unit, unit ? rounded : number);
}

/**
 * Return a value short enough for an axis.
 * @param {number} value
 * @param {string} unit
 */
export function marked(value, unit) {
  return written(value, unit, short);
}

/**
 * @param {number} value
 * @param {string} unit
 * @param {(value: number) => string} write
 */
function written(value, unit, write) {
  if (unit === "s" || unit === "ms") return duration(unit === "s" ? value : value / 1000, write);
  if (unit === "bytes" || unit === `bytes${PER_SECOND}`) return `${value < 0 ? "−" : ""}${bytes(Math.abs(value))}${unit.slice(5)}`;
  if (!unit) return write(value);
  return `${write(value)}${unit.startsWith("/") || unit === "%" ? "" : "\u00a0"}${unit}`;
}

/**
 * @param {number} seconds
 * @param {(value: number) => string} write
 */
function duration(seconds, write) {
  const size = Math.abs(seconds);
  const [each, name] = DURATIONS.find(([least]) => size >= least) ?? (size ? [1e-6, "µs"] : [1, "s"]);
  return `${write(Number((seconds / each).toPrecision(12)))}\u00a0${name}`;
}
