/** How uPlot is told to draw a chart. */

import { bands, marks, thresholds } from "./events.js";
import { tick } from "./format.js";
import { theme } from "./palette.js";
import { isUtc } from "./zone.js";

/**
 * @typedef {import("uplot")} Plot
 * @typedef {import("uplot").Options} Options
 * @typedef {import("uplot").Series} Series
 * @typedef {import("uplot").AlignedData} Data
 * @typedef {import("./columns.js").Columns} Columns
 * @typedef {import("./palette.js").Ink} Ink
 *
 * @typedef {object} Watched
 * @property {() => [number, number]} ends of the axis of time
 * @property {(left: number, right: number) => void} selected
 * @property {(index: number | null) => void} pointed
 * @property {() => import("./events.js").Happening[]} events
 * @property {() => { name: string, value: number }[]} bounds of alerts
 * @property {(value: number) => string} mark what stands at the axis of values
 *
 * @typedef {object} Lines
 * @property {Ink[]} inks of the lines
 * @property {string[]} keys of the lines
 * @property {string} shape
 * @property {boolean} isLog
 * @property {boolean} isCompared whether each line has one of the span before
 * @property {() => number} step seconds in a bucket
 * @property {() => number} open index of the bucket that is still open, -1 where none is shown
 *
 * @typedef {Watched & Lines} Drawing
 */

const AXIS_WIDTH = 58;
const AXIS_HEIGHT = 30;
/** A drag of fewer pixels is a click. */
const DRAG_PIXELS = 4;
const DOT_PIXELS = 5;
/** So much of a bucket is filled by its bars. */
const FILLED = 0.8;
/** Values that differ by less than this part of themselves are shown without zero. */
const NARROW = 0.2;
/** The bucket that is still open is drawn in a paler ink, by dashes. */
const OPEN_OPACITY = "80";
const OPEN_DASH = [3, 4];
const FORMER_OPACITY = "59";
/** An axis reaches to an alert's bound, if it is at most so many times as high as the values. */
const NEAR_BOUND = 2;
/** The charts that share a cursor. */
const SYNC = "tally";

/** Return uPlot, or undefined where it was not put into this tally. */
export function library() {
  return /** @type {{ uPlot?: typeof import("uplot") }} */ (/** @type {unknown} */ (globalThis)).uPlot;
}

/**
 * Return the options of any chart: its axes and its cursor, which all charts of the page share.
 * @param {Watched} watched
 * @param {{ width: number, height: number }} size
 * @returns {Options}
 */
export function frame(watched, size) {
  const look = theme();
  const grid = { stroke: look.grid, width: 1 };
  const axis = { stroke: look.text, grid, font: look.font, ticks: { show: false } };
  return {
    ...size,
    padding: [10, 22, 0, 0],
    legend: { show: false },
    cursor: {
      points: { size: 8 },
      drag: { x: true, y: false, setScale: false },
      sync: { key: SYNC, scales: ["x", null] },
    },
    tzDate: (time) => (isUtc() ? /** @type {any} */ (library()).tzDate(new Date(time * 1000), "Etc/UTC") : new Date(time * 1000)),
    scales: { x: { time: true, range: () => watched.ends() } },
    axes: [
      { ...axis, size: AXIS_HEIGHT, space: 84, values: (_, splits, __, ___, apart) => splits.map((each) => tick(each, apart)) },
      { ...axis, size: AXIS_WIDTH, space: 34, values: (_, splits) => splits.map((each) => (each === null ? "" : watched.mark(each))) },
    ],
    series: [],
    hooks: {
      setSelect: [(plot) => select(plot, watched)],
      setCursor: [(plot) => watched.pointed(plot.cursor.idx ?? null)],
      drawAxes: [(plot) => bands(plot, watched.events())],
      draw: [(plot) => marks(plot, watched.events()), (plot) => thresholds(plot, watched.bounds())],
    },
  };
}

/**
 * Return the options for a drawing of lines.
 * @param {Drawing} drawing
 * @param {{ width: number, height: number }} size
 * @returns {Options}
 */
export function options(drawing, size) {
  const look = theme();
  const common = frame(drawing, size);
  return {
    ...common,
    scales: { ...common.scales, y: { distr: drawing.isLog ? 3 : 1, range: (plot, low, high) => extent(plot, drawing, [low, high]) } },
    series: [
      {},
      ...drawing.inks.map((ink, index) => series(drawing, ink, look.lines[ink.colour] ?? "", index)),
      ...drawing.inks.map((ink, index) => openSeries(drawing, look.lines[ink.colour] ?? "", index, look.surface)),
      ...(drawing.isCompared ? drawing.inks.map((ink) => formerSeries(drawing.shape, look.lines[ink.colour] ?? "")) : []),
    ],
    bands: between(drawing, look.lines),
  };
}

/**
 * @param {Drawing} drawing
 * @param {Ink} ink
 * @param {string} stroke
 * @param {number} index
 * @returns {Series}
 */
function series(drawing, ink, stroke, index) {
  const { shape, keys } = drawing;
  const isBars = shape === "bars";
  return {
    label: keys[index],
    stroke,
    width: isBars ? 1 : 1.75,
    dash: ink.dash,
    fill: isBars ? `${stroke}59` : undefined,
    paths: isBars ? bars(drawing, index) : path(shape),
    points: isBars ? { show: false } : { size: DOT_PIXELS, fill: stroke, filter: alone },
  };
}

/**
 * Return how the open bucket of a line is drawn: apart, as its values may still grow, and without a say on the axis.
 * @param {Drawing} drawing
 * @param {string} ink
 * @param {number} index
 * @param {string} surface the colour behind the chart
 * @returns {Series}
 */
function openSeries(drawing, ink, index, surface) {
  const isBars = drawing.shape === "bars";
  const stroke = `${ink}${OPEN_OPACITY}`;
  return {
    auto: false,
    stroke,
    width: isBars ? 1 : 1.75,
    dash: OPEN_DASH,
    fill: isBars ? `${ink}1f` : undefined,
    paths: isBars ? bars(drawing, index) : path(drawing.shape === "smooth" ? "line" : drawing.shape),
    points: isBars ? { show: false } : { size: DOT_PIXELS + 1, stroke: ink, fill: surface, filter: () => [drawing.open()] },
  };
}

/**
 * Return how a line of the span before is drawn: pale, so that it cannot be taken for one of now.
 * @param {string} shape
 * @param {string} ink
 * @returns {Series}
 */
function formerSeries(shape, ink) {
  return { stroke: `${ink}${FORMER_OPACITY}`, width: 1.75, paths: path(shape === "bars" ? "step" : shape), points: { show: false } };
}

/** @param {string} shape */
function path(shape) {
  const builders = library()?.paths;
  if (shape === "step") return builders?.stepped?.({ align: 1 });
  return shape === "smooth" ? builders?.spline?.() : builders?.linear?.();
}

/**
 * Draw bars that share their bucket with those of the other lines.
 * @param {Drawing} drawing
 * @param {number} index
 */
function bars({ keys, step }, index) {
  const share = FILLED / keys.length;
  /** @type {any} one that is in the scale's own unit, of which the types know only the enumeration */
  const scaled = { unit: 1 };
  const disp = {
    x0: { ...scaled, values: (/** @type {Plot} */ plot) => plot.data[0].map((time) => time + ((1 - FILLED) / 2 + index * share) * step()) },
    size: { ...scaled, values: () => [share * step()] },
  };
  return library()?.paths.bars?.({ disp });
}

/**
 * Return the points that no line would show, as both their neighbours are gaps.
 * @param {Plot} plot
 * @param {number} seriesIndex
 * @param {boolean} show whether there is room for all points
 */
function alone(plot, seriesIndex, show) {
  if (show) return null;
  const values = plot.data[seriesIndex] ?? [];
  const found = [];
  for (let index = 0; index < values.length; index += 1) {
    if (!isGap(values[index]) && isGap(values[index - 1]) && isGap(values[index + 1])) found.push(index);
  }
  return found;
}

/** @param {number | null | undefined} value */
function isGap(value) {
  return value === null || value === undefined;
}

/**
 * Shade what lies between the least and the most.
 * @param {Drawing} drawing
 * @param {string[]} colours
 */
function between({ keys, shape, inks }, colours) {
  const [low, high] = [keys.indexOf("min"), keys.indexOf("max")];
  const colour = colours[inks[keys.indexOf("avg")]?.colour ?? inks[high]?.colour ?? 0];
  if (low < 0 || high < 0 || shape === "bars") return [];
  return [{ series: /** @type {[number, number]} */ ([high + 1, low + 1]), fill: `${colour}1f` }];
}

/**
 * Return the ends of the axis of values, by the buckets that are over; only where there is none, by the open one.
 * @param {Plot} plot
 * @param {Drawing} drawing
 * @param {[number | null, number | null]} whole the least and the greatest value of the buckets that are over
 * @returns {[number | null, number | null]}
 */
function extent(plot, { isLog, keys, open, bounds }, [low, high]) {
  const range = isLog ? logarithmic : linear;
  if (low !== null && high !== null) return range(plot, low, bounds().reduce((most, { value }) => (value <= NEAR_BOUND * high ? Math.max(most, value) : most), high));
  const opened = plot.data.slice(1 + keys.length, 1 + 2 * keys.length).flatMap((line) => line[open()] ?? []);
  return opened.length > 0 ? range(plot, Math.min(...opened), Math.max(...opened)) : range(plot, null, null);
}

/**
 * @param {Plot} _
 * @param {number | null} low
 * @param {number | null} high
 * @returns {[number | null, number | null]}
 */
function linear(_, low, high) {
  if (low === null || high === null) return [0, 1];
  if (low === high) return low === 0 ? [0, 1] : low > 0 ? [0, low * 1.25] : [low * 1.25, 0];
  const from = low > 0 && (high - low) / high > NARROW ? 0 : low;
  const [bottom, top] = library()?.rangeNum(from, high, 0.1, true) ?? [low, high];
  return [from === 0 ? 0 : bottom, top];
}

/**
 * @param {Plot} _
 * @param {number | null} low
 * @param {number | null} high
 * @returns {[number | null, number | null]}
 */
function logarithmic(_, low, high) {
  if (low === null || high === null || low <= 0) return [1, 10];
  const [bottom, top] = [edge(low, Math.floor), edge(high, Math.ceil)];
  return bottom < top ? [bottom, top] : library()?.rangeLog(low, high, 10, true) ?? [low, high];
}

/**
 * Return a value that has one digit, so that an axis ends near its lines.
 * @param {number} value
 * @param {(value: number) => number} round
 */
function edge(value, round) {
  const exponent = Math.floor(Math.log10(value));
  return Number(`${round(Number((value / 10 ** exponent).toPrecision(12)))}e${exponent}`);
}

/**
 * @param {Plot} plot
 * @param {Watched} watched
 */
function select(plot, watched) {
  const { left, width } = plot.select;
  if (width < DRAG_PIXELS) return;
  plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  watched.selected(plot.posToVal(left, "x"), plot.posToVal(left + width, "x"));
}

/**
 * Return columns as uPlot takes them: of each line the buckets that are over, then of each line the one that is open; with
 * the one before it, so that a line leads there, but for bars; then the lines of the span before, if there are any. A logarithmic axis has no place for 0 and what is below.
 * @param {Columns} columns
 * @param {{ isLog: boolean, shape: string }} drawing
 * @param {number} open index of the open bucket, -1 where there is none
 * @returns {Data}
 */
export function data({ times, lines }, { isLog, shape }, open) {
  const drawn = (/** @type {(number | null)[]} */ values) => (isLog ? values.map((value) => (value && value > 0 ? value : null)) : values);
  const values = lines.map((line) => drawn(line.values));
  const former = lines.flatMap(({ before }) => (before ? [drawn(before)] : []));
  if (open < 0) return [times, ...values, ...values.map(() => times.map(() => null)), ...former];
  const closed = values.map((line) => line.map((value, index) => (index === open ? null : value)));
  const first = shape === "bars" ? open : open - 1;
  const opened = values.map((line) => line.map((value, index) => (index >= first && index <= open ? value : null)));
  return [times, ...closed, ...opened, ...former];
}
