/** What is shown as a file, made of the numbers that the page has: CSV, or JSON, with a row a line of either. */

import { isRate } from "./columns.js";
import { element } from "./element.js";
import { ranked } from "./compare.js";
import { isPercentile, ordered } from "./view.js";

/**
 * @typedef {import("./question.js").Chart} Chart
 * @typedef {import("./columns.js").Columns} Columns
 * @typedef {import("./columns.js").Cell} Cell
 * @typedef {import("./view.js").View} View
 *
 * @typedef {object} Table
 * @property {string} title without the ending of the file's name
 * @property {string[]} fields
 * @property {(string | number | null)[][]} rows a value for each field
 */

/** Those that the leaderboard always has beside the name, in their order. */
const LEADING = ["count", "sum", "avg", "min", "max"];
/** @type {[string, string, (table: Table) => string][]} */
const FORMATS = [["CSV", "text/csv", csv], ["JSON", "application/json", json]];
/** A browser may take a while until it has read what it is to save. */
const READ_MS = 60_000;

/**
 * Return what the leaderboard has beside the name, in its order.
 * @param {View} view
 */
export function leading(view) {
  return [...LEADING, ...ordered([...view.aggregates, ranked(view)]).filter(isPercentile)];
}

/** Buttons that save what is shown, and a link to the question whose answer it is made of. */
export class Files {
  /**
   * @param {HTMLElement} root
   * @param {() => Table} table what is shown when one of the buttons is pressed
   * @param {() => Promise<Blob | null>} [picture] of a chart
   */
  constructor(root, table, picture) {
    this.buttons = FORMATS.map(([name, type, text]) => element("button", { type: "button", onclick: () => save(new Blob([text(table())], { type }), table().title, name) }, name));
    if (picture) this.buttons.push(element("button", { type: "button", onclick: async () => save(await picture(), table().title, "PNG") }, "PNG"));
    this.link = element("a", {}, "API");
    root.replaceChildren(...this.buttons, this.link);
  }

  /**
   * @param {string} what is shown
   * @param {URL} url of the question
   */
  name(what, url) {
    this.buttons.forEach((button) => button.setAttribute("aria-label", `${what} as ${button.textContent}`));
    this.link.setAttribute("aria-label", `${what} from the API`);
    this.link.href = url.href;
  }
}

/**
 * Return what a chart shows: a row a time, or a row a name and time, or a row a cell of a heatmap; gaps are rows with null.
 * @param {Chart} chart
 * @param {Columns} columns
 * @returns {Table}
 */
export function ofChart(chart, { times, lines, cells }) {
  const { archive, aggregates, byName } = chart;
  if (cells) {
    const rows = cells.flatMap((bins, index) => bins.map(({ lower, upper, count }) => [times[index] ?? null, lower, upper, count]));
    return { title: `${archive.slug}-${aggregates[0]}`, fields: ["time", "lower", "upper", "count"], rows };
  }
  const shown = aggregates.map((each) => (isRate(chart) ? `${each}_per_second` : each));
  const title = [archive.slug, ...shown].join("-");
  // Beside each value stands that of the span before, where there is one.
  const fields = chart.earlier ? shown.flatMap((each) => [each, `${each}_before`]) : shown;
  const read = (/** @type {import("./columns.js").Line} */ { values, before }, /** @type {number} */ index) => (before ? [values[index] ?? null, before[index] ?? null] : [values[index] ?? null]);
  if (!byName) return { title, fields: ["time", ...fields], rows: times.map((time, index) => [time, ...lines.flatMap((line) => read(line, index))]) };
  const rows = lines.flatMap((line) => times.map((time, index) => [time, line.key, ...read(line, index)]));
  return { title, fields: ["time", "name", ...fields], rows };
}

/**
 * Return what the leaderboard shows.
 * @param {string} slug
 * @param {[string, Cell][]} rows
 * @param {string[]} keys of the values
 * @returns {Table}
 */
export function ofLeaders(slug, rows, keys) {
  const values = rows.map(([name, cell]) => [name, ...keys.map((key) => cell[key] ?? null)]);
  return { title: `${slug}-names`, fields: ["name", ...keys], rows: values };
}

/** @param {Table} table */
function csv({ fields, rows }) {
  return [fields, ...rows].map((row) => `${row.map(quoted).join(",")}\r\n`).join("");
}

/** @param {string | number | null} value */
function quoted(value) {
  const text = String(value ?? "");
  return /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** @param {Table} table */
function json({ fields, rows }) {
  const items = rows.map((row) => JSON.stringify(Object.fromEntries(fields.map((field, index) => [field, row[index]]))));
  return `[${items.join(",\n")}]\n`;
}

/**
 * @param {Blob | null} content null: a browser that draws no picture saves none
 * @param {string} title
 * @param {string} name of the format
 */
function save(content, title, name) {
  if (!content) return;
  const href = URL.createObjectURL(content);
  element("a", { href, download: `${title}.${name.toLowerCase()}` }).click();
  setTimeout(() => URL.revokeObjectURL(href), READ_MS);
}
