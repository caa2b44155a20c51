/** Answers as columns that can be drawn: one of times, and one of values a line. */

import { shifted } from "./compare.js";
import { grid } from "./grid.js";
import { DISTRIBUTION } from "./view.js";

/**
 * @typedef {import("./question.js").Chart} Chart
 *
 * @typedef {object} Line
 * @property {string} key an aggregate, or a name
 * @property {(number | null)[]} values null where there is no data
 * @property {(number | null)[]} [before] those of the span before
 *
 * @typedef {object} Columns
 * @property {number[]} times
 * @property {Line[]} lines of a heatmap one, with the number of samples
 * @property {import("./grid.js").Bin[][]} [cells] of a heatmap: the bins of each time
 *
 * @typedef {Record<string, number | null>} Cell a percentile is null where samples have none
 */

/** What adds up over time, and so has a rate. */
const ADDED = ["sum", "count"];

/**
 * Return the columns of a chart.
 * @param {Chart} chart
 * @param {any} answer to its `url`
 * @returns {Columns}
 */
export function columns(chart, answer) {
  if (chart.aggregates[0] === DISTRIBUTION) return distribution(chart, answer);
  return chart.byName ? byName(chart, answer) : together(chart, answer);
}

/**
 * Return whether a chart's values are per second.
 * @param {Chart} chart
 */
export function isRate({ view, aggregates }) {
  return view.rate && aggregates.some((each) => ADDED.includes(each));
}

/**
 * @param {Chart} chart
 * @param {[number, Cell | number | null][]} answer
 */
function together(chart, answer) {
  const lines = chart.aggregates.map((key) => {
    const per = divisor(chart, key);
    const values = answer.map(([, cell]) => {
      const value = typeof cell === "number" ? cell : cell?.[key];
      return typeof value === "number" ? value / per : null;
    });
    return { key, values };
  });
  return { times: answer.map(([time]) => time), lines };
}

/**
 * @param {Chart} chart
 * @param {Record<string, Cell>} answer
 */
function byName(chart, answer) {
  const { since, until, step } = chart.range;
  const times = Array.from({ length: Math.floor((until - since) / step) + 1 }, (_, index) => since + index * step);
  const per = divisor(chart, chart.aggregates[0] ?? "");
  const lines = Object.entries(answer).map(([key, cells]) => {
    const values = times.map((time) => {
      const value = cells[time];
      return typeof value === "number" ? value / per : null;
    });
    return { key, values };
  });
  return { times, lines: lines.sort((one, other) => weight(other) - weight(one)) };
}

/**
 * @param {Chart} chart
 * @param {Record<string, import("./grid.js").Told[]>} answer
 */
function distribution({ range }, answer) {
  const { times, cells } = grid(range, answer);
  const counts = cells.map((bins) => (bins.length ? bins.reduce((total, { count }) => total + count, 0) : null));
  return { times, cells, lines: [{ key: DISTRIBUTION, values: counts }] };
}

/**
 * Put beside the lines of a chart those of the span before.
 * @param {Chart} chart
 * @param {Columns} now
 * @param {any} answer to `before`
 * @returns {Columns}
 */
export function compared(chart, now, answer) {
  const former = columns({ ...chart, range: shifted(chart.range, chart.earlier) }, answer).lines;
  const lines = now.lines.map((line) => {
    const values = former.find(({ key }) => key === line.key)?.values ?? [];
    return { ...line, before: now.times.map((_, index) => values[index] ?? null) };
  });
  return { ...now, lines };
}

/** @param {Line} line */
function weight({ values }) {
  return values.reduce((/** @type {number} */ total, value) => total + (value ?? 0), 0);
}

/**
 * @param {Chart} chart
 * @param {string} aggregate
 */
function divisor({ view, range }, aggregate) {
  return view.rate && ADDED.includes(aggregate) ? range.step : 1;
}

/**
 * Return whether there is anything to draw.
 * @param {Columns} columns
 */
export function isEmpty({ lines }) {
  return lines.every(({ values }) => values.every((value) => value === null));
}
