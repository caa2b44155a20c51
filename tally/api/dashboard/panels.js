/** All charts on the page: of one archive beneath each other, or of all archives each beside its own. */

import { isEmpty } from "./columns.js";
import { element, the } from "./element.js";
import { Heatmap } from "./heatmap.js";
import { Palette } from "./palette.js";
import { Panel } from "./panel.js";
import { changed, facts } from "./sidebar.js";
import * as states from "./states.js";
import { address, DISTRIBUTION, elsewhere } from "./view.js";
import { copyable } from "./element.js";

/**
 * @typedef {import("./range.js").Archive} Archive
 * @typedef {import("./question.js").Chart} Chart
 * @typedef {import("./columns.js").Columns} Columns
 * @typedef {import("./view.js").View} View
 * @typedef {import("./history.js").History} History
 */

/** Of the axis, and of what is around it. */
const MARGIN = 116;
const FEWEST_PIXELS = 120;
/** From so many pixels on, the charts of an archive stand beside each other where all archives are shown. */
const WIDE = 900;

export class Panels {
  /** @param {History} history */
  constructor(history) {
    this.root = the("panels");
    this.history = history;
    this.palette = new Palette();
    /** @type {Panel[]} */
    this.panels = [];
    this.built = "";
  }

  /**
   * Return how many pixels a chart has, from left to right.
   * @param {View} view
   */
  pixels(view) {
    const plot = this.panels[0]?.plot?.over.clientWidth;
    if (plot && this.built.startsWith(`${view.slug}/`)) return plot;
    const width = the("main").clientWidth;
    return Math.max(FEWEST_PIXELS, (view.slug || width < WIDE ? width : width / 2) - MARGIN);
  }

  /**
   * Show charts; return whether there is nothing to draw in any of them.
   * @param {Archive[]} archives
   * @param {Chart[]} charts
   * @param {Columns[]} columns of the charts
   * @param {import("./events.js").Happening[]} events
   */
  show(archives, charts, columns, events) {
    const { view } = this.history;
    const nothing = columns.every(isEmpty);
    const shown = view.slug && nothing ? [] : charts;
    this.palette.assign(charts.flatMap(({ byName }, index) => (byName ? columns[index]?.lines.map(({ key }) => key) ?? [] : [])));
    // The charts of `auto` stay when its archive changes, with the focus.
    const slug = (/** @type {Archive} */ each) => (view.slug ? "" : each.slug);
    const wanted = `${view.slug}/${archives.map((each) => [slug(each), each.last === null])} ${shown.map(({ archive, aggregates }) => `${slug(archive)}:${aggregates}`)}`;
    if (wanted !== this.built) this.build(archives, shown);
    this.built = wanted;
    this.describe(archives);
    shown.forEach((chart, index) => this.panels[index]?.show(chart, columns[index] ?? { times: [], lines: [] }, events));
    return nothing;
  }

  /**
   * @param {Archive[]} archives
   * @param {Chart[]} charts
   */
  build(archives, charts) {
    this.panels.forEach((panel) => panel.remove());
    this.panels = charts.map(({ aggregates }) => new (aggregates[0] === DISTRIBUTION ? Heatmap : Panel)(this.palette, {
      zoom: (chart, left, right) => this.history.zoom(chart, left, right),
      scale: (chart, factor, at) => this.history.scale(chart, factor, at),
      narrow: (name) => this.history.narrow(name),
      back: () => this.history.back(),
    }));
    const roots = this.panels.map(({ root }) => root);
    this.root.classList.toggle("overview", !this.history.view.slug);
    this.root.replaceChildren(...(this.history.view.slug ? roots : archives.map((archive) => this.card(archive, roots.filter((_, index) => charts[index]?.archive.slug === archive.slug)))));
  }

  /**
   * Return an archive among others.
   * @param {Archive} archive
   * @param {HTMLElement[]} charts
   */
  card(archive, charts) {
    const href = address(elsewhere(this.history.view, archive.slug)).href;
    const head = element("header", {}, element("h2", {}, element("a", { href, "data-view": true }, archive.name)), element("p", { class: "facts", "data-facts": archive.slug }));
    const empty = [element("p", { class: "note" }, "No data yet. This sends a sample:"), copyable(states.line(archive))];
    return element("section", { class: "card", "aria-label": archive.name }, head, element("div", { class: "charts" }, ...charts), ...(archive.last === null ? empty : []));
  }

  /** @param {Archive[]} archives */
  describe(archives) {
    for (const archive of archives) {
      const place = this.root.querySelector(`[data-facts="${archive.slug}"]`);
      if (place) place.textContent = `${facts(archive)} · ${changed(archive)}`;
    }
  }

  redraw() {
    this.panels.forEach((panel) => panel.redraw());
  }
}
