/** The page: one view, asked for anew as long as it is looked at. */

import { AlertBanner, bounds } from "./alerts.js";
import { Failure, now } from "./api.js";
import { choose, overall } from "./auto.js";
import { Combobox } from "./combobox.js";
import { announce, the } from "./element.js";
import { Editor, writing } from "./editor.js";
import { EventList } from "./events.js";
import { History } from "./history.js";
import { Leaderboard } from "./leaderboard.js";
import * as loader from "./loader.js";
import * as notices from "./notices.js";
import { Panels } from "./panels.js";
import { patterns } from "./pattern.js";
import { library } from "./plot.js";
import { charts } from "./question.js";
import { preset, range } from "./range.js";
import { SavedViews } from "./saved.js";
import { Sidebar } from "./sidebar.js";
import * as states from "./states.js";
import { expressions, Tags } from "./tags.js";
import { heading } from "./title.js";
import { Toolbar } from "./toolbar.js";
import { AUTO, fitted } from "./view.js";
import * as wall from "./wall.js";
import * as zone from "./zone.js";

/**
 * @typedef {import("./range.js").Archive} Archive
 * @typedef {import("./range.js").Range} Range
 */

const FLUSH_S = Number(document.documentElement.dataset.flushTime) || 5;
/** What is not followed is still looked at now and then: archives come and go. */
const IDLE_S = 15;
/** A view that takes long to answer is asked for less often: so many times as long passes in between. */
const PATIENCE = 4;
const RETRY_MOST_S = 15;

class Page {
  constructor() {
    this.history = new History(() => this.refresh());
    this.sidebar = new Sidebar();
    this.leaderboard = new Leaderboard();
    this.tags = new Tags();
    this.pattern = new Combobox("pattern", (q) => this.history.change({ q }), patterns);
    this.where = new Combobox("where", (where) => this.history.change({ where }), expressions);
    this.panels = new Panels(this.history);
    this.alerts = new AlertBanner(() => this.refresh());
    this.saved = new SavedViews(() => this.refresh());
    this.events = new EventList((events) => this.history.change({ events }));
    this.toolbar = new Toolbar(this.history);
    this.editor = new Editor((slug) => this.edited(slug));
    this.controller = new AbortController();
    this.timer = 0;
    this.retries = 0;
    this.shown = "";
    /** The slug of the archive that `auto` shows. */
    this.chosen = "";
  }

  start() {
    fixIcon();
    this.tellZone();
    // On a phone the charts come before the choice of how they are drawn.
    /** @type {HTMLDetailsElement} */ (the("display")).open = !matchMedia("(max-width: 820px)").matches;
    the("create").hidden = writing() === "disabled";
    document.addEventListener("click", (event) => this.click(event));
    wall.listen(() => this.history.view.wall && this.history.change({ wall: false }));
    document.addEventListener("visibilitychange", () => document.hidden || this.refresh());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.panels.redraw());
    setInterval(() => this.sidebar.tick(), 1000);
    return this.refresh();
  }

  /** @param {MouseEvent} event */
  click(event) {
    const target = /** @type {Element} */ (event.target).closest("[data-action], a[data-view]");
    const action = target?.getAttribute("data-action");
    if (action) this.act(action);
    else if (target instanceof HTMLAnchorElement && !(event.ctrlKey || event.metaKey || event.shiftKey || event.button)) {
      event.preventDefault();
      this.history.go(new URL(target.href));
    }
  }

  /** @param {string} action */
  act(action) {
    const archive = this.archive;
    if (action === "reload") location.reload();
    else if (action === "create") this.editor.open(null);
    else if (action === "edit" && archive) this.editor.open(archive);
    else if (action === "delete" && archive) this.editor.ask(archive);
    else if (action === "save") this.saved.save();
    else if (action === "zone") this.turnZone();
    else if (action === "wall") wall.fill(() => this.history.change({ wall: true }));
    else if (action === "skip") the("main").focus();
  }

  /** Show all times in the other zone. */
  turnZone() {
    zone.turn();
    this.tellZone();
    this.panels.redraw();
    this.refresh();
  }

  tellZone() {
    the("zone").textContent = zone.offset();
    the("zone-turn").textContent = zone.isUtc() ? "Show local time" : "Show UTC";
    the("zone-turn").hidden = zone.isOnlyUtc();
  }

  /** @param {string} slug */
  edited(slug) {
    this.shown = slug ? this.shown : "";
    if (slug === this.history.view.slug) this.refresh();
    else this.history.change({ slug, since: "", until: "now", ...(slug ? { q: [], where: [], group: "" } : {}) });
  }

  /** The archive that is shown, if it is there and it alone. */
  get archive() {
    const { view } = this.history;
    const wanted = view.slug === AUTO ? this.chosen : view.slug;
    return this.sidebar.archives.find(({ slug }) => slug === wanted);
  }

  /** Ask for everything anew, and see to it that this is done again. */
  async refresh() {
    clearTimeout(this.timer);
    this.controller.abort();
    const { signal } = (this.controller = new AbortController());
    const began = performance.now();
    try {
      await this.load(signal);
      if (signal.aborted) return;
      this.retries = 0;
      notices.trouble("");
      const pause = this.history.isLive ? FLUSH_S : Math.max(FLUSH_S, IDLE_S);
      this.later(Math.max(pause, (PATIENCE * (performance.now() - began)) / 1000));
    } catch (error) {
      if (!signal.aborted) this.fail(error);
    }
  }

  /** @param {number} seconds */
  later(seconds) {
    this.timer = setTimeout(() => document.hidden || this.refresh(), seconds * 1000);
  }

  /** @param {unknown} error */
  fail(error) {
    if (!(error instanceof Failure)) throw error;
    if (error.status === 401 || error.status === 403) {
      this.empty();
      the("controls").hidden = true;
      notices.trouble("");
      states.denied(error.message);
      return; // To ask again would make the browser ask for a password again.
    }
    const wait = Math.min(RETRY_MOST_S, 2 ** this.retries);
    this.retries += 1;
    notices.trouble(error.message, wait);
    this.later(wait);
  }

  /** @param {AbortSignal} signal */
  async load(signal) {
    const former = this.sidebar.archives;
    const once = loader.asking(signal);
    if (former.length) {
      const known = this.frame(former); // What was chosen is seen at once, and asked for beside what else there is.
      if (this.history.moved && this.history.view.slug !== AUTO && library()) loader.prepare(this.wanted(known), once);
    }
    const { archives, problems } = await loader.archives(signal);
    const all = this.history.view.slug === AUTO && overall(archives);
    if (all) this.chosen = await choose(this.history.view, all, now(), signal);
    const ranges = this.frame(archives);
    document.body.removeAttribute("data-loading");
    const alerts = loader.alerts(signal);
    alerts.catch(() => undefined); // It is waited for below, unless something else fails before.
    if (this.say(archives, this.archive)) await this.draw(ranges, alerts, once, signal);
    this.alerts.show(await alerts, this.history.view, archives);
    if (!this.history.view.wall) this.saved.show(await loader.views(signal));
    const status = await loader.status(signal);
    notices.faults(status, problems);
    notices.losses(status);
    await this.learn(this.where.slug, signal);
  }

  /**
   * Learn of an archive's tags, after all that is waited for.
   * @param {string} slug
   * @param {AbortSignal} signal
   */
  async learn(slug, signal) {
    const hasNames = this.sidebar.archives.some((each) => !each.error && each.last !== null && (slug === AUTO ? each.enabled : slug === each.slug));
    if (hasNames && await this.tags.learn(slug, signal)) {
      this.toolbar.tags(this.history.view, this.tags.keys(slug));
    }
  }

  /**
   * Show everything around the charts; return the ranges of those archives that have any.
   * @param {Archive[]} archives
   */
  frame(archives) {
    const { view, depth } = this.history;
    wall.show(view.wall);
    const all = view.slug === AUTO ? overall(archives) : undefined;
    if (all) this.history.finest = all.resolution;
    this.sidebar.show(archives, view);
    const archive = this.archive;
    heading(view, archives, archive);
    const source = view.slug || (archives[0]?.slug ?? "");
    this.pattern.show(source, view.q);
    this.where.show(source, view.where);
    this.toolbar.tags(view, this.tags.keys(source));
    const wanted = view.slug ? (archive ? [archive] : []) : archives;
    const readable = wanted.filter(({ error }) => !error);
    const shown = all ? { ...view, since: view.since || preset(all) } : view;
    const ranges = new Map(readable.map((each) => [each, range(shown, each, now(), this.panels.pixels(view))]));
    const own = archive && ranges.get(archive);
    this.history.range = own;
    this.toolbar.offer(view, (all ? [all] : wanted).some(({ percentiles }) => percentiles));
    this.toolbar.update(view, own && (all ?? archive), own, depth);
    return ranges;
  }

  /**
   * Say what there is instead of charts; return whether there are charts.
   * @param {Archive[]} archives
   * @param {Archive | undefined} archive
   */
  say(archives, archive) {
    const { view } = this.history;
    the("controls").hidden = !archives.length || (view.slug !== "" && !archive?.resolution);
    const told = () => {
      if (!library()) return states.noLibrary();
      if (!archives.length && (!view.slug || view.slug === AUTO)) return states.noArchives(writing() !== "disabled");
      if (!view.slug) return true;
      if (view.slug === AUTO && !archive) return states.noneEnabled();
      if (!archive) return states.gone(view.slug, this.shown === view.slug, view);
      if (archive.error) return states.unreadable(archive.slug, archive.error);
      return archive.last === null ? states.noData(archive) : true;
    };
    if (archive) this.shown = view.slug;
    if (told()) return true;
    this.empty();
    return !library() && archive?.last !== null && archives.length > 0;
  }

  /** Show neither charts nor names. */
  empty() {
    this.panels.show([], [], [], []);
    this.events.show([], this.history.view.events);
    this.leaderboard.hide();
  }

  /**
   * Return the charts of archives that have data.
   * @param {Map<Archive, Range>} ranges
   */
  wanted(ranges) {
    return [...ranges].filter(([{ last }]) => last !== null).flatMap(([archive, each]) => charts(seen(this.history.view, archive), archive, each));
  }

  /**
   * @param {Map<Archive, Range>} ranges
   * @param {Promise<import("./alerts.js").Told>} alerts
   * @param {(url: URL) => Promise<any>} once
   * @param {AbortSignal} signal
   */
  async draw(ranges, alerts, once, signal) {
    const { view } = this.history;
    const wanted = this.wanted(ranges);
    const [columns, events, { rules }] = await Promise.all([
      library() ? loader.drawn(wanted, once) : [], loader.events(view, [...ranges.values()], signal), alerts]);
    for (const chart of wanted) chart.bounds = bounds(rules, chart);
    this.events.show(events, view.events);
    if (library()) {
      const isEmpty = this.panels.show([...ranges.keys()], wanted, columns, events);
      if (!isEmpty) states.clear();
      else if (this.archive) states.nothingMatches(view, this.archive);
    }
    performance.clearMarks(); // A page that is left open for weeks would collect them.
    performance.mark("tally-drawn");
    const archive = this.archive;
    const own = archive && ranges.get(archive);
    const told = seen(view, archive);
    if (archive && own && !view.wall) {
      this.leaderboard.show(await loader.board(told, archive, own, signal), told, archive, own);
      this.leaderboard.draw(await loader.trends(this.leaderboard.leaders, told, archive, own, signal));
    } else this.leaderboard.hide();
    if (this.history.moved) announce(`${document.title} is shown`);
    this.history.moved = false;
  }
}

/**
 * Return a view as an archive can show it.
 * @param {import("./view.js").View} view
 * @param {Archive | undefined} archive
 */
function seen(view, archive) {
  return fitted(view, Boolean(archive?.percentiles));
}

/** The icon's address is relative to a page whose own address changes. */
function fixIcon() {
  const icon = document.querySelector("link[rel=icon]");
  if (icon instanceof HTMLLinkElement) icon.setAttribute("href", icon.href);
}

zone.recall();
await new Page().start();
