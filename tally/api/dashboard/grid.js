/** The distribution over time as a grid: its columns are spans of time, and its rows ranges of values that all columns share. */

/**
 * @typedef {import("./range.js").Range} Range
 *
 * @typedef {object} Bin
 * @property {number} lower
 * @property {number} upper the same as `lower` for the bin of zero
 * @property {number} count
 *
 * @typedef {[lower: number, upper: number, count: number]} Told as the API tells a bin
 */

/** So many rows can be told apart. */
const ROWS_MOST = 64;
/** From such a ratio of the greatest value to the least on, an axis is logarithmic. */
const WIDE = 10;

/**
 * Return the bins of each span of a range, ascending. The API joins the bins of each span until they fit, by twos: here they
 * join further until those of all spans are the same.
 * @param {Range} range
 * @param {Record<string, Told[]>} answer
 * @returns {{ times: number[], cells: Bin[][] }}
 */
export function grid({ since, until, step }, answer) {
  const times = Array.from({ length: Math.floor((until - since) / step) + 1 }, (_, index) => since + index * step);
  const told = times.map((time) => answer[time] ?? []);
  const width = told.reduce((widest, bins) => bins.reduce((most, bin) => Math.max(most, ratio(bin)), widest), 0);
  const columns = told.map((bins) => merge(bins.map((bin) => /** @type {[number, number]} */ ([row(bin, width), bin[2]]))));
  const doublings = fit(columns.flatMap((column) => [...column.keys()]));
  const joined = columns.map((column) => merge([...column].map(([key, count]) => /** @type {[number, number]} */ ([join(key, doublings), count]))));
  return { times, cells: joined.map((column) => [...column].map(([key, count]) => ({ ...edges(key, width * 2 ** doublings), count })).sort((one, other) => one.lower - other.lower)) };
}

/** @param {Told} bin */
function ratio([lower, upper]) {
  return lower === upper ? 0 : Math.abs(Math.log(upper / lower));
}

/**
 * Return which row of a width a bin is in: 0 for zero, else its index on the logarithmic scale, so far from zero that its sign
 * is that of the values.
 * @param {Told} bin
 * @param {number} width
 */
function row(bin, width) {
  const own = ratio(bin);
  if (own === 0) return 0;
  const index = Math.round(Math.log(Math.max(Math.abs(bin[0]), Math.abs(bin[1]))) / own);
  return signed(Math.ceil(index / Math.round(width / own)), bin[1] > 0);
}

/** No index is as far from zero: the greatest of the finest scale is below 40,000. */
const ORIGIN = 2 ** 20;

/**
 * @param {number} index
 * @param {boolean} isPositive
 */
function signed(index, isPositive) {
  return isPositive ? ORIGIN + index : -ORIGIN - index;
}

/**
 * @param {number} key
 * @param {number} doublings
 */
function join(key, doublings) {
  return key === 0 ? 0 : signed(Math.ceil((Math.abs(key) - ORIGIN) / 2 ** doublings), key > 0);
}

/**
 * Return how often rows have to join by twos until there are few enough.
 * @param {number[]} keys
 */
function fit(keys) {
  for (let doublings = 0; ; doublings += 1) {
    const rows = (/** @type {number[]} */ some) => (some.length ? some.reduce((most, key) => Math.max(most, key), -Infinity) - some.reduce((least, key) => Math.min(least, key), Infinity) + 1 : 0);
    const joined = [...new Set(keys)].map((key) => join(key, doublings));
    if (rows(joined.filter((key) => key > 0)) + rows(joined.filter((key) => key < 0)) <= ROWS_MOST) return doublings;
  }
}

/**
 * @param {[number, number][]} counts
 * @returns {Map<number, number>}
 */
function merge(counts) {
  /** @type {Map<number, number>} */
  const merged = new Map();
  for (const [key, count] of counts) merged.set(key, (merged.get(key) ?? 0) + count);
  return merged;
}

/**
 * @param {number} key
 * @param {number} width
 */
function edges(key, width) {
  if (key === 0) return { lower: 0, upper: 0 };
  const index = Math.abs(key) - ORIGIN;
  const [near, far] = [Math.exp(width * (index - 1)), Math.exp(width * index)];
  return key > 0 ? { lower: near, upper: far } : { lower: -far, upper: -near };
}

/**
 * @typedef {object} Scale of the axis of values
 * @property {"linear" | "log" | "asinh"} kind `asinh` is logarithmic on both sides of zero
 * @property {number} low
 * @property {number} high
 * @property {number} least magnitude beside zero
 */

/**
 * Return the scale that suits the values.
 * @param {Bin[][]} cells
 * @param {boolean} isLog whether a logarithmic one is wanted, whatever the values
 * @returns {Scale}
 */
export function scale(cells, isLog) {
  const bins = cells.flat();
  const low = bins.reduce((least, { lower }) => Math.min(least, lower), Infinity);
  const high = bins.reduce((most, { upper }) => Math.max(most, upper), -Infinity);
  const near = (/** @type {Bin} */ { lower, upper }) => Math.min(Math.abs(lower), Math.abs(upper)) || Infinity;
  const least = bins.reduce((nearest, bin) => Math.min(nearest, near(bin)), Infinity);
  if (low > high || low === high) return { kind: "linear", low: -1, high: 1, least: 1 };
  if (!isLog && Math.max(-low, high) / least < WIDE) return { kind: "linear", low, high, least };
  return { kind: low > 0 ? "log" : "asinh", low, high, least };
}

/**
 * Return what stands at a logarithmic axis: of 1, 2 and 5 and their decades those that have room.
 * @param {Scale} scale
 * @param {number} most
 */
export function ticks({ low, high, least }, most) {
  const size = Math.max(-low, high);
  const [from, to] = [Math.floor(Math.log10(least)), Math.ceil(Math.log10(size))];
  const decades = Array.from({ length: to - from + 1 }, (_, index) => 10 ** (from + index));
  const within = (/** @type {number[]} */ all) => [...all.map((each) => -each).reverse(), 0, ...all].filter((each) => each >= low && each <= high && (each === 0 || Math.abs(each) >= least));
  const full = within(decades.flatMap((each) => [each, 2 * each, 5 * each]));
  if (full.length <= most) return full;
  const every = Math.max(1, Math.ceil(within(decades).length / most));
  return within(decades.filter((_, index) => index % every === 0));
}
