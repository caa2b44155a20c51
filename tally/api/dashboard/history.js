/** Where one is: the view, how it changes, and the way back. */

import { now } from "./api.js";
import { NOW } from "./range.js";
import { narrowed } from "./tags.js";
import { address, AUTO, read } from "./view.js";

/**
 * @typedef {import("./view.js").View} View
 * @typedef {import("./range.js").Range} Range
 * @typedef {import("./question.js").Chart} Chart
 */

/** A range has so many buckets at least. */
const FEWEST_BUCKETS = 2;

export class History {
  /** @param {() => void} moved what to do when the view is another */
  constructor(moved) {
    this.view = read(new URL(location.href));
    this.done = moved;
    this.moved = false;
    /** @type {Range | undefined} what is shown of the one archive that is */
    this.range = undefined;
    /** The finest resolution that `auto` can show, in seconds. */
    this.finest = 1;
    addEventListener("popstate", () => this.arrive());
  }

  get isLive() {
    return this.view.until === NOW;
  }

  /** How many steps one has come. */
  get depth() {
    return Number(history.state?.depth ?? 0);
  }

  /** @param {Partial<View>} change */
  change(change) {
    this.go(address({ ...this.view, ...change }));
  }

  /** @param {URL} url */
  go(url) {
    if (url.href === location.href) return;
    history.pushState({ depth: this.depth + 1 }, "", url);
    this.arrive();
  }

  arrive() {
    this.view = read(new URL(location.href));
    this.moved = true;
    this.done();
  }

  back() {
    if (this.depth) history.back();
  }

  /**
   * Show a part of a chart.
   * @param {Chart} chart
   * @param {number} left unix seconds
   * @param {number} right
   */
  zoom(chart, left, right) {
    const isAuto = this.view.slug === AUTO;
    const least = FEWEST_BUCKETS * (isAuto ? this.finest : chart.archive.resolution);
    const middle = (left + right) / 2;
    const [since, until] = right - left < least ? [middle - least / 2, middle + least / 2] : [left, right];
    this.change({ slug: isAuto ? AUTO : chart.archive.slug, ...ends(since, until) });
  }

  /**
   * Show so many times as much of a chart, so that a moment stays where it is.
   * @param {Chart} chart
   * @param {number} factor
   * @param {number} at unix seconds
   */
  scale(chart, factor, at) {
    const { since, until, step } = chart.range;
    this.zoom(chart, at - (at - since) * factor, at + (until + step - at) * factor);
  }

  widen() {
    if (!this.range) return;
    const { since, until, step, live } = this.range;
    const seconds = until + step - since;
    if (live) this.change(ends(since - seconds, now()));
    else this.change(ends(since - seconds / 2, until + step + seconds / 2));
  }

  /** @param {number} part of the range, back in time where it is negative */
  shift(part) {
    if (!this.range) return;
    const { since, until, step } = this.range;
    const by = (until + step - since) * part;
    this.change(ends(since + by, until + step + by));
  }

  /** Follow what comes, or stop to. */
  follow() {
    if (!this.range) return;
    const { since, until, step } = this.range;
    const seconds = Math.round(until + step - since);
    this.change(this.isLive ? { since: String(since), until: String(until + step - 1) } : { since: `-${seconds}s`, until: NOW });
  }

  /** @param {string} name */
  narrow(name) {
    this.change(narrowed(this.view, name));
  }
}

/**
 * Return a range as it stands in an address; one that reaches now follows what comes.
 * @param {number} left unix seconds
 * @param {number} right
 */
function ends(left, right) {
  const since = Math.max(0, Math.floor(left));
  const until = Math.ceil(right);
  return until >= now() - 1 ? { since: `-${Math.max(1, Math.round(now() - since))}s`, until: NOW } : { since: String(since), until: String(until) };
}
