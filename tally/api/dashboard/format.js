/** How numbers, times and sizes are written. Times are of the zone that is chosen, and have 24 hours. */

import { zoned } from "./zone.js";

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const DIGITS = 5;
const LARGE = 1e12;
const SMALL = 1e-4;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY_S = 86400;
/** @type {[number, string][]} */
const UNITS = [[31536000, "y"], [DAY_S, "d"], [3600, "h"], [60, "min"], [1, "s"]];

/**
 * Return a number for people: whole ones in full, others to five digits.
 * @param {number | null | undefined} value
 */
export function number(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size >= LARGE || (size > 0 && size < SMALL)) return value.toExponential(3).replace("-", "−");
  if (Number.isInteger(value)) return WHOLE.format(value).replace("-", "−");
  const decimals = Math.min(8, Math.max(0, DIGITS - 1 - Math.floor(Math.log10(size))));
  return fixed(value, decimals);
}

/**
 * Return a number to three digits, and all of those before the point.
 * @param {number} value
 */
export function rounded(value) {
  const size = Math.abs(value);
  if (Number.isInteger(value) || size >= LARGE || size < SMALL) return number(value);
  return fixed(value, Math.max(0, 2 - Math.floor(Math.log10(size))));
}

/**
 * Return a number with so many decimals.
 * @param {number} value
 * @param {number} decimals
 */
export function fixed(value, decimals) {
  const text = value.toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  return text.replace("-", "−");
}

/**
 * Return how many decimals a column needs for its largest value to have four digits; one at least, if any is broken.
 * @param {number[]} values
 */
export function decimals(values) {
  const size = Math.max(...values.map(Math.abs), 0);
  if (values.every(Number.isInteger)) return 0;
  return Math.min(6, Math.max(1, 3 - Math.floor(Math.log10(size))));
}

/**
 * Return a number short enough for an axis.
 * @param {number} value
 */
export function short(value) {
  const size = Math.abs(value);
  if (size > 0 && size < SMALL) return value.toExponential(0).replace("-", "−");
  const options = /** @type {const} */ ({ notation: size >= 1e4 ? "compact" : "standard", maximumSignificantDigits: 6 });
  return value.toLocaleString("en", options).replace("-", "−");
}

/**
 * Return a part of one in percent, to two digits.
 * @param {number} part
 */
export function percent(part) {
  return `${(part * 100).toLocaleString("en", { maximumSignificantDigits: part * 100 >= 10 ? 3 : 2 })}\u00a0%`;
}

/**
 * Return how much something changed: in percent, where there was anything before.
 * @param {{ before: number | null, by: number }} change
 */
export function difference({ before, by }) {
  const sign = by > 0 ? "+" : by < 0 ? "−" : "±";
  return `${sign}${before ? percent(Math.abs(by / before)) : number(Math.abs(by))}`;
}

/**
 * Return a metric's name as people can read it: characters that cannot be seen, such as those that change the direction of a
 * text, are escaped, so that two names that differ look different.
 * @param {string} name
 */
export function legible(name) {
  return name.replace(/\p{Cf}/gu, (character) => {
    const code = /** @type {number} */ (character.codePointAt(0)).toString(16);
    return code.length > 4 ? `\\U${code.padStart(8, "0")}` : `\\u${code.padStart(4, "0")}`;
  });
}

/**
 * Return seconds in the largest unit in which they are whole.
 * @param {number} seconds
 */
export function duration(seconds) {
  for (const [size, unit] of UNITS) {
    if (seconds >= size && seconds % size === 0 && !(unit === "d" && seconds === DAY_S)) return `${seconds / size} ${unit}`;
  }
  return `${number(seconds)} s`;
}

/**
 * Return how long ago something was, in one unit.
 * @param {number} seconds
 */
export function age(seconds) {
  if (seconds < 1) return "now";
  for (const [size, unit] of UNITS) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit} ago`;
  }
  return "now";
}

/**
 * Return a size.
 * @param {number} count
 */
export function bytes(count) {
  const power = Math.min(4, Math.max(0, Math.floor(Math.log10(Math.max(count, 1)) / 3)));
  const value = count / 1000 ** power;
  return `${power && value < 100 ? value.toFixed(1) : Math.round(value)} ${["B", "kB", "MB", "GB", "TB"][power]}`;
}

/** @param {number} value */
const two = (value) => String(value).padStart(2, "0");

/** @param {Date} date */
const clock = (date) => `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}`;

/**
 * Return a time in full, as it can be typed again.
 * @param {number} time unix seconds
 */
export function moment(time) {
  const date = zoned(time);
  const day = `${date.getUTCFullYear()}-${two(date.getUTCMonth() + 1)}-${two(date.getUTCDate())}`;
  return `${day} ${clock(date)}:${two(date.getUTCSeconds())}`;
}

/**
 * Return a time for an axis whose marks are so many seconds apart.
 * @param {number} time unix seconds
 * @param {number} apart
 */
export function tick(time, apart) {
  const date = zoned(time);
  const month = MONTHS[date.getUTCMonth()];
  if (apart >= 365 * DAY_S) return String(date.getUTCFullYear());
  if (apart >= 28 * DAY_S) return `${month} ${date.getUTCFullYear()}`;
  const midnight = !date.getUTCHours() && !date.getUTCMinutes() && !date.getUTCSeconds();
  if (apart >= DAY_S || midnight) return `${date.getUTCDate()} ${month}`;
  return apart >= 60 ? clock(date) : `${clock(date)}:${two(date.getUTCSeconds())}`;
}
