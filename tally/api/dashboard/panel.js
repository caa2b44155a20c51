/** One chart on the page: its heading, its lines, and what they read at the cursor. */

import { isRate } from "./columns.js";
import { between } from "./compare.js";
import { announce, breakable, element, fill } from "./element.js";
import * as events from "./events.js";
import { Files, ofChart } from "./files.js";
import { difference, legible, moment } from "./format.js";
import { ofAggregate, theme } from "./palette.js";
import { picture } from "./picture.js";
import { data, library, options } from "./plot.js";
import { shown } from "./tags.js";
import { marked, measured, unit } from "./units.js";
import { offset } from "./zone.js";

/**
 * @typedef {import("./question.js").Chart} Chart
 * @typedef {import("./columns.js").Columns} Columns
 * @typedef {import("./palette.js").Palette} Palette
 *
 * @typedef {object} Actions
 * @property {(chart: Chart, since: number, until: number) => void} zoom
 * @property {(chart: Chart, factor: number, at: number) => void} scale
 * @property {(name: string) => void} narrow
 * @property {() => void} back
 */

export class Panel {
  /**
   * @param {Palette} palette
   * @param {Actions} actions
   */
  constructor(palette, actions) {
    this.palette = palette;
    this.actions = actions;
    this.title = element("h2", {});
    this.time = element("output", { class: "time" });
    const files = element("span", { class: "files" });
    this.place = element("div", { class: "plot", tabindex: 0, role: "application", "aria-roledescription": "chart" });
    this.legend = element("ul", { class: "legend" });
    this.note = element("p", { class: "note", hidden: true });
    const head = element("header", {}, this.title, this.time, files);
    this.root = element("section", { class: "panel" }, head, this.place, this.note, this.legend);
    /** @type {import("uplot") | null} */
    this.plot = null;
    /** @type {Chart | null} */
    this.chart = null;
    /** @type {Columns} */
    this.columns = { times: [], lines: [] };
    /** @type {events.Happening[]} */
    this.events = [];
    this.tip = element("div", { class: "tip", hidden: true });
    /** @type {number | null} */
    this.index = null;
    this.drawn = "";
    this.files = new Files(files, () => ofChart(/** @type {Chart} */ (this.chart), this.columns), () => this.picture());
    this.place.addEventListener("keydown", (event) => this.press(event));
    this.watcher = new ResizeObserver(() => this.plot?.setSize(this.size()));
    this.watcher.observe(this.place);
  }

  /** Return the size of the plot, axes and all. */
  size() {
    return { width: Math.max(120, this.place.clientWidth), height: this.place.clientHeight };
  }

  /**
   * Show a chart; where only its values are new, nothing else is drawn again.
   * @param {Chart} chart
   * @param {Columns} columns
   * @param {events.Happening[]} happened
   */
  show(chart, columns, happened) {
    this.chart = chart;
    this.columns = columns;
    this.events = happened;
    const { view, range } = chart;
    const heading = chart.aggregates.join(", ") + (isRate(chart) ? " per second" : "");
    this.title.textContent = heading;
    this.root.setAttribute("aria-label", `${chart.archive.name}: ${heading}`);
    this.place.setAttribute("aria-label", `${heading}, ${moment(range.since)} to ${moment(range.until)}. ${this.hint}`);
    this.files.name(heading, chart.url);
    this.caution(view.axis === "log");
    this.draw(view.axis === "log");
    this.list();
    this.point(this.plot?.cursor.idx ?? null);
  }

  get hint() {
    return "Arrow keys read it.";
  }

  /** @param {boolean} isLog */
  caution(isLog) {
    const hidden = isLog && this.columns.lines.some(({ values }) => values.some((value) => value !== null && value <= 0));
    this.note.hidden = !hidden;
    this.note.textContent = "A logarithmic axis has no place for values of 0 and below: they are left out.";
  }

  /** @param {boolean} isLog */
  draw(isLog) {
    const chart = this.chart;
    const uPlot = library();
    if (!chart || !uPlot) return;
    const keys = this.columns.lines.map(({ key }) => key);
    const inks = keys.map((key) => (chart.byName ? this.palette.of(key) : ofAggregate(key)));
    const drawing = {
      ...this.watched(), inks, keys, isLog, shape: chart.view.shape, isCompared: chart.earlier > 0 && keys.length > 0, step: () => this.chart?.range.step ?? 1, open: () => this.open(),
    };
    const wanted = JSON.stringify([inks, keys, isLog, chart.view.shape, drawing.isCompared]);
    if (this.plot && wanted === this.drawn) {
      this.plot.setData(data(this.columns, drawing, this.open()));
      return;
    }
    this.plot?.destroy();
    this.drawn = wanted;
    this.plot = new uPlot(options(drawing, this.size()), data(this.columns, drawing, this.open()), this.place);
    this.plot.over.append(this.tip);
  }

  /**
   * Return what a plot asks, and what it tells.
   * @returns {import("./plot.js").Watched}
   */
  watched() {
    return {
      ends: () => this.ends(),
      selected: (left, right) => this.select(left, right),
      pointed: (index) => this.point(index),
      events: () => this.events,
      bounds: () => this.chart?.bounds ?? [],
      mark: (value) => marked(value, this.unit()),
    };
  }

  /** @returns {[number, number]} */
  ends() {
    if (!this.chart) return [0, 1];
    const { since, until, step } = this.chart.page;
    const isWide = since === until || ["bars", "step"].includes(this.chart.view.shape);
    return [since, until + (isWide ? step : 0)];
  }

  /**
   * @param {number} left unix seconds
   * @param {number} right
   */
  select(left, right) {
    if (this.chart) this.actions.zoom(this.chart, left, right);
  }

  /** List the lines with their inks; the values stand beside them once there is a cursor. */
  list() {
    const chart = this.chart;
    if (!chart) return;
    this.legend.classList.toggle("names", chart.byName);
    fill(this.legend, ...this.columns.lines.map(({ key }) => {
      const ink = chart.byName ? this.palette.of(key) : ofAggregate(key);
      const style = ["solid", "dashed", "dotted"][[0, 7, 2].indexOf(ink.dash[0] ?? 0)];
      const swatch = element("i", { class: "swatch", "--ink": `var(--line-${ink.colour})`, "data-style": style });
      const name = element("span", { class: "name" }, ...breakable(legible(shown(key, chart.view))));
      const label = chart.byName
        ? element("button", { type: "button", title: `Show only ${legible(shown(key, chart.view))}`, onclick: () => this.actions.narrow(key) }, swatch, name)
        : element("span", { class: "label" }, swatch, name);
      return element("li", {}, label, element("span", {}, element("data", {}), chart.earlier > 0 && element("small", {})));
    }));
  }

  /**
   * Read all lines at one of the times; where the cursor is nowhere, at the last bucket that is over and has data.
   * @param {number | null} index
   */
  point(index) {
    const { times } = this.columns;
    this.index = index !== null && index < times.length ? index : null;
    const read = this.index ?? lastOf(this.columns, this.open());
    const time = times[read];
    this.time.classList.toggle("pointed", this.index !== null);
    this.time.textContent = time === undefined ? "" : `${this.index === null ? "last: " : ""}${moment(time)}${read === this.open() ? ", so far" : ""}`;
    this.read(read);
    if (this.plot) events.tell(this.tip, this.near(), this.plot);
  }

  /** Return the events at the cursor. */
  near() {
    const time = this.columns.times[this.index ?? -1];
    return this.plot && this.chart && time !== undefined ? events.at(this.plot, this.events, time, this.chart.range.step) : [];
  }

  /** Return in words what happened at the cursor. */
  happened() {
    return events.words(this.near());
  }

  /**
   * Write the values of a time beside the lines.
   * @param {number} index
   */
  read(index) {
    this.legend.querySelectorAll("data").forEach((cell, line) => {
      const value = this.columns.lines[line]?.values[index] ?? null;
      cell.textContent = measured(value, this.unit(line));
      cell.value = value === null ? "" : String(value);
      const former = cell.nextElementSibling;
      if (former) former.textContent = this.told(line, index);
    });
  }

  /**
   * Return in words what a line read in the span before.
   * @param {number} line
   * @param {number} index
   */
  told(line, index) {
    const { values = [], before = [] } = this.columns.lines[line] ?? {};
    const changed = between(values[index] ?? null, before[index] ?? null);
    return `before ${measured(before[index], this.unit(line))}${changed ? `, ${difference(changed)}` : ""}`;
  }

  /**
   * Return the unit of a line, or that of all of them.
   * @param {number} [line]
   */
  unit(line) {
    const { chart } = this;
    const key = this.columns.lines[line ?? 0]?.key ?? "";
    if (!chart) return "";
    return chart.byName ? unit(chart.archive, chart.view, chart.aggregates[0] ?? "", line === undefined ? undefined : key) : unit(chart.archive, chart.view, key);
  }

  /** Return the index of the bucket that is still open, -1 where none is shown. */
  open() {
    const range = this.chart?.range;
    return range?.live ? this.columns.times.indexOf(range.until) : -1;
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    const end = this.columns.times.length - 1;
    const at = this.index ?? end + 1;
    const page = Math.max(1, Math.round(end / 10));
    /** @type {Record<string, number>} */
    const moves = { ArrowLeft: at - 1, ArrowRight: at + 1, PageUp: at - page, PageDown: at + page, Home: 0, End: end };
    const target = moves[event.key];
    const chart = this.chart;
    if (event.ctrlKey || event.metaKey || event.altKey || !chart) return;
    if (target !== undefined) this.move(Math.min(end, Math.max(0, target)));
    else if (event.key === "+" || event.key === "=") this.actions.scale(chart, 0.5, this.at());
    else if (event.key === "-") this.actions.scale(chart, 2, this.at());
    else if (event.key === "Backspace") this.actions.back();
    else if (event.key === "Escape") this.plot?.setCursor({ left: -10, top: -10 });
    else return;
    event.preventDefault();
  }

  /** Return the time of the cursor, or the middle. */
  at() {
    const [left, right] = this.ends();
    return this.columns.times[this.index ?? -1] ?? (left + right) / 2;
  }

  /** @param {number} index */
  move(index) {
    const time = this.columns.times[index];
    if (!this.plot || time === undefined) return;
    // The last argument, which uPlot's types leave out, moves the cursors of the other charts too.
    /** @type {any} */ (this.plot).setCursor({ left: this.plot.valToPos(time, "x"), top: 0 }, true, true);
    const read = this.columns.lines.map(({ key, values }, line) => `${legible(this.chart ? shown(key, this.chart.view) : key)} ${measured(values[index], this.unit(line))}${this.chart?.earlier ? `, ${this.told(line, index)}` : ""}`);
    announce([`${moment(time)}: ${read.join(", ")}`, this.happened()].filter(Boolean).join(", "));
  }

  /** Return the chart as a picture. */
  async picture() {
    const { plot, chart } = this;
    if (!plot || !chart) return null;
    const { since, until, step } = chart.page;
    const selected = [...chart.view.q, ...chart.view.where].map(legible).join(" ");
    const caption = [`${moment(since)} – ${moment(until + step)} ${offset()}`, selected].filter(Boolean).join(" · ");
    return picture(plot.ctx.canvas, plot.ctx.canvas.width / plot.width, { title: `${chart.archive.name}: ${this.title.textContent}`, caption, lines: this.lines() });
  }

  /** Return the names of the lines as they are drawn. */
  lines() {
    const { chart } = this;
    const colours = theme().lines;
    return this.columns.lines.map(({ key }) => {
      const ink = chart?.byName ? this.palette.of(key) : ofAggregate(key);
      return { name: legible(chart ? shown(key, chart.view) : key), colour: colours[ink.colour] ?? "", dash: ink.dash };
    });
  }

  /** Draw everything again, as colours have changed. */
  redraw() {
    this.drawn = "";
    this.draw(this.chart?.view.axis === "log");
  }

  remove() {
    this.watcher.disconnect();
    this.plot?.destroy();
    this.root.remove();
  }
}

/**
 * @param {Columns} columns
 * @param {number} open
 */
function lastOf({ times, lines }, open) {
  for (let index = times.length - 1; index >= 0; index -= 1) {
    if (index !== open && lines.some(({ values }) => values[index] !== null)) return index;
  }
  return -1;
}
