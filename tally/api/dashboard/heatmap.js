/** A chart of the distribution over time: the darker a cell, the larger the share of its span's samples that has its values. */

import { announce, element, fill } from "./element.js";
import { moment, number, percent } from "./format.js";
import { scale, ticks } from "./grid.js";
import { theme } from "./palette.js";
import { Panel } from "./panel.js";
import { frame, library } from "./plot.js";
import { marked, measured } from "./units.js";

/**
 * @typedef {import("uplot")} Plot
 * @typedef {import("uplot").Options} Options
 * @typedef {import("./grid.js").Bin} Bin
 * @typedef {import("./grid.js").Scale} Scale
 */

const FAINTEST = 0.1;
/** The row of zero has no height of its own. */
const LEAST_PIXELS = 3;
const TICK_PIXELS = 34;

export class Heatmap extends Panel {
  /**
   * @param {import("./palette.js").Palette} palette
   * @param {import("./panel.js").Actions} actions
   */
  constructor(palette, actions) {
    super(palette, actions);
    /** The value whose row the arrow keys are in; NaN: in none yet. */
    this.level = NaN;
    /** The greatest share of a cell. */
    this.most = 0;
    this.scale = scale([], false);
    this.marker = element("div", { class: "cell", hidden: true });
    this.legend.classList.add("reading");
  }

  get cells() {
    return this.columns.cells ?? [];
  }

  get hint() {
    return "Left and right arrow keys go through the times, up and down through the values.";
  }

  /** An axis for values of 0 and below is there. */
  caution() {}

  /** @param {boolean} isLog */
  draw(isLog) {
    const chart = this.chart;
    const uPlot = library();
    if (!chart || !uPlot) return;
    this.scale = scale(this.cells, isLog);
    this.most = this.cells.reduce((most, bins) => Math.max(most, ...bins.map((bin) => share(bin, bins))), 0);
    const half = chart.range.step / 2;
    /** @type {import("uplot").AlignedData} */
    const drawn = [this.columns.times.map((time) => time + half), this.columns.times.map(() => null)];
    const wanted = JSON.stringify([this.scale.kind, this.scale.kind === "asinh" && this.scale.least]);
    if (this.plot && wanted === this.drawn) {
      this.plot.setData(drawn);
      return;
    }
    this.plot?.destroy();
    this.drawn = wanted;
    this.plot = new uPlot(this.options(this.scale), drawn, this.place);
    this.plot.over.append(this.marker, this.tip);
  }

  /**
   * @param {Scale} scale
   * @returns {Options}
   */
  options({ kind, least }) {
    const common = frame(this.watched(), this.size());
    const [x = {}, y = {}] = common.axes ?? [];
    const own = kind === "linear" ? {} : {
      splits: (/** @type {Plot} */ plot) => ticks(this.scale, plot.height / TICK_PIXELS - 1), // The axis of time has room for one.
      filter: (/** @type {Plot} */ _, /** @type {number[]} */ splits) => splits,
      values: (/** @type {Plot} */ _, /** @type {number[]} */ splits) => splits.map((each) => marked(each, this.unit())),
    };
    return {
      ...common,
      scales: { ...common.scales, y: { distr: kind === "log" ? 3 : kind === "asinh" ? 4 : 1, asinh: least, range: () => [this.scale.low, this.scale.high] } },
      axes: [x, { ...y, ...own }],
      series: [{}, { paths: () => null, points: { show: false } }],
      hooks: { ...common.hooks, draw: [(plot) => this.paint(plot), ...(common.hooks?.draw ?? [])] },
    };
  }

  /** @param {Plot} plot */
  paint(plot) {
    const { ctx, bbox } = plot;
    const ink = theme().lines[0] ?? "";
    const { step } = this.chart?.range ?? { step: 1 };
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.fillStyle = ink;
    this.columns.times.forEach((time, index) => {
      const [left, right] = [time, time + step].map((each) => Math.round(plot.valToPos(each, "x", true)));
      const bins = this.cells[index] ?? [];
      for (const bin of bins) {
        const [top, bottom] = extent(plot, bin, true);
        ctx.globalAlpha = FAINTEST + (1 - FAINTEST) * Math.sqrt(share(bin, bins) / this.most);
        ctx.fillRect(left ?? 0, top, (right ?? 0) - (left ?? 0), bottom - top);
      }
    });
    ctx.restore();
  }

  /** No line is drawn. */
  lines() {
    return [];
  }

  /** List what is read at the cursor, and what the inks mean. */
  list() {
    const read = ["Values", "Samples", "Share"].map((name) => element("li", {}, element("span", { class: "label" }, name), element("data", {})));
    const most = `${percent(this.most)} of the samples of its time`;
    fill(this.legend, ...read, element("li", { class: "scale" }, element("span", {}, "0 %"), element("i", {}), element("span", {}, most)));
  }

  /**
   * Read the cell at the cursor; where the cursor is in another chart or nowhere, the cell with the most samples.
   * @param {number} index
   */
  read(index) {
    const bins = this.cells[index] ?? [];
    const top = this.index === null ? -1 : this.plot?.cursor.top ?? -1;
    const bin = top > 0 ? this.find(bins, top) : fullest(bins);
    this.mark(this.index === null ? undefined : bin, index);
    const told = bin ? [values(bin, this.unit()), number(bin.count), percent(share(bin, bins))] : ["–", bins.length ? "0" : "–", "–"];
    const exact = bin ? [`${bin.lower} ${bin.upper}`, bin.count, share(bin, bins)] : [];
    this.legend.querySelectorAll("data").forEach((cell, at) => {
      cell.textContent = told[at] ?? "";
      cell.value = String(exact[at] ?? "");
    });
  }

  /**
   * Return the bin at a height of the chart.
   * @param {Bin[]} bins
   * @param {number} top
   */
  find(bins, top) {
    const { plot } = this;
    return plot ? bins.find((bin) => {
      const [from, to] = extent(plot, bin, false);
      return top >= from && top <= to;
    }) : undefined;
  }

  /**
   * Frame a cell.
   * @param {Bin | undefined} bin
   * @param {number} index
   */
  mark(bin, index) {
    const { plot, chart } = this;
    const time = this.columns.times[index];
    this.marker.hidden = !bin || !plot || !chart || time === undefined;
    if (!bin || !plot || !chart || time === undefined) return;
    const [top, bottom] = extent(plot, bin, false);
    const [left, right] = [plot.valToPos(time, "x"), plot.valToPos(time + chart.range.step, "x")];
    for (const [name, value] of Object.entries({ left, top, width: right - left, height: bottom - top })) {
      this.marker.style.setProperty(name, `${value}px`);
    }
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    const by = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (!by || event.ctrlKey || event.metaKey || event.altKey) return super.press(event);
    event.preventDefault();
    const index = this.index ?? this.columns.times.length - 1;
    const bins = this.cells[index] ?? [];
    const at = bins.indexOf(/** @type {Bin} */ (nearest(bins, this.level)));
    const next = bins[Math.min(bins.length - 1, Math.max(0, Number.isNaN(this.level) ? at : at + by))];
    if (next) this.level = middle(next);
    this.move(index);
  }

  /** @param {number} index */
  move(index) {
    const time = this.columns.times[index];
    const { plot, chart } = this;
    if (!plot || !chart || time === undefined) return;
    const bins = this.cells[index] ?? [];
    const bin = nearest(bins, this.level);
    const [top, bottom] = bin ? extent(plot, bin, false) : [1, 1];
    /** @type {any} */ (plot).setCursor({ left: plot.valToPos(time + chart.range.step / 2, "x"), top: (top + bottom) / 2 }, true, true);
    const told = bin ? `${values(bin, this.unit())}, ${number(bin.count)} samples, ${percent(share(bin, bins))}` : "no samples";
    announce([`${moment(time)}: ${told}`, this.happened()].filter(Boolean).join(", "));
  }
}

/** @param {Bin[]} bins */
function sum(bins) {
  return bins.reduce((total, { count }) => total + count, 0);
}

/**
 * @param {Bin} bin
 * @param {Bin[]} bins of the same time
 */
function share({ count }, bins) {
  return count / sum(bins);
}

/**
 * @param {Bin[]} bins
 * @returns {Bin | undefined}
 */
function fullest(bins) {
  return bins.reduce((/** @type {Bin | undefined} */ most, each) => (most && most.count >= each.count ? most : each), undefined);
}

/**
 * Return the bin that is nearest to a value; where none is given, the fullest.
 * @param {Bin[]} bins
 * @param {number} level
 */
function nearest(bins, level) {
  if (Number.isNaN(level)) return fullest(bins);
  const distance = (/** @type {Bin} */ { lower, upper }) => Math.max(lower - level, level - upper, 0);
  return bins.reduce((/** @type {Bin | undefined} */ best, each) => (best && distance(best) <= distance(each) ? best : each), undefined);
}

/** @param {Bin} bin */
function middle({ lower, upper }) {
  return (lower + upper) / 2;
}

/**
 * @param {Bin} bin
 * @param {string} unit
 */
function values({ lower, upper }, unit) {
  return lower === upper ? measured(lower, unit) : `${measured(lower, unit)} – ${measured(upper, unit)}`;
}

/**
 * Return where a row begins and ends, from the top.
 * @param {Plot} plot
 * @param {Bin} bin
 * @param {boolean} isCanvas whether pixels of the canvas are meant
 * @returns {[number, number]}
 */
function extent(plot, { lower, upper }, isCanvas) {
  const [top, bottom] = [plot.valToPos(upper, "y", isCanvas), plot.valToPos(lower, "y", isCanvas)].map(Math.round);
  const [from, to] = [top ?? 0, bottom ?? 0];
  const lacking = Math.max(0, LEAST_PIXELS - (to - from));
  return [from - Math.floor(lacking / 2), to + Math.ceil(lacking / 2)];
}
