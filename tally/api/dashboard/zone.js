/** The time zone in which times are shown: the browser's, or UTC. The choice is remembered. */

const KEY = "tally-zone";
const UTC = "utc";

/** Take the zone that was chosen last. */
export function recall() {
  try {
    remember(localStorage.getItem(KEY) === UTC);
  } catch {
    remember(false); // A browser may keep nothing.
  }
}

/** Return whether times are shown in UTC. */
export function isUtc() {
  return document.documentElement.dataset.zone === UTC;
}

/** Return whether the browser's zone is UTC too, in summer and in winter, so that there is no choice. */
export function isOnlyUtc() {
  const year = new Date().getFullYear();
  return [0, 6].every((month) => new Date(year, month, 1).getTimezoneOffset() === 0);
}

/** Show times in the other zone from now on. */
export function turn() {
  remember(!isUtc());
  try {
    localStorage.setItem(KEY, isUtc() ? UTC : "local");
  } catch {
    // It is chosen again next time.
  }
}

/** @param {boolean} isUtc */
function remember(isUtc) {
  document.documentElement.dataset.zone = isUtc ? UTC : "local";
}

/**
 * Return a time as a date whose UTC fields are those of the zone that is shown.
 * @param {number} time unix seconds
 */
export function zoned(time) {
  const date = new Date(time * 1000);
  return isUtc() ? date : new Date(date.getTime() - date.getTimezoneOffset() * 60_000);
}

/**
 * Return the unix seconds of a date as it is typed; one without an offset is of the zone that is shown.
 * @param {string} text in ISO 8601, or with a space for its T
 */
export function parse(text) {
  const full = /^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00` : text.replace(" ", "T");
  return Date.parse(isUtc() && !/(Z|[+-]\d\d(:?\d\d)?)$/i.test(full) ? `${full}Z` : full) / 1000;
}

/** Return the offset from UTC of the zone that is shown. */
export function offset() {
  const minutes = isUtc() ? 0 : -new Date().getTimezoneOffset();
  const size = Math.abs(minutes);
  const two = (/** @type {number} */ value) => String(value).padStart(2, "0");
  return minutes ? `UTC${minutes < 0 ? "−" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}` : "UTC";
}
