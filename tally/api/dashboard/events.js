/** What happened and when: marks and bands on the charts, and a list below them. */

import { element, fill, the } from "./element.js";
import { legible, moment } from "./format.js";
import { theme } from "./palette.js";

/**
 * @typedef {import("uplot")} Plot
 *
 * @typedef {object} Happening
 * @property {number} id
 * @property {string} title
 * @property {string} text
 * @property {string[]} tags
 * @property {number} since unix seconds
 * @property {number | null} until null: it has no duration
 */

/** The choice to show none; others are tags, separated by commas. */
export const NONE = "none";
/** The tag of events that alerts make. */
const ALERT = "alert";
/** So many pixels from its mark an event is read. */
const NEAR_PIXELS = 5;
const FLAG_PIXELS = 5;
const BAND_OPACITY = 0.09;
const READ_MOST = 4;
const LISTED_MOST = 200;

/**
 * Shade the spans of events, behind the lines.
 * @param {Plot} plot
 * @param {Happening[]} events
 */
export function bands(plot, events) {
  paint(plot, events.filter(({ until }) => until !== null), ({ since, until }) => {
    const { ctx, bbox } = plot;
    const [left, right] = [since, until ?? since].map((each) => plot.valToPos(each, "x", true));
    ctx.globalAlpha = BAND_OPACITY;
    ctx.fillRect(left ?? 0, bbox.top, Math.max(1, (right ?? 0) - (left ?? 0)), bbox.height);
  });
}

/**
 * Draw a line with a flag where each event begins.
 * @param {Plot} plot
 * @param {Happening[]} events
 */
export function marks(plot, events) {
  paint(plot, events, ({ since }) => {
    const { ctx, bbox } = plot;
    const at = Math.round(plot.valToPos(since, "x", true));
    const flag = FLAG_PIXELS * devicePixelRatio;
    ctx.fillRect(at, bbox.top, Math.max(1, devicePixelRatio), bbox.height);
    ctx.beginPath();
    ctx.moveTo(at - flag, bbox.top);
    ctx.lineTo(at + flag, bbox.top);
    ctx.lineTo(at, bbox.top + 1.5 * flag);
    ctx.fill();
  });
}

/**
 * Draw a line, with its name, at each bound of an alert.
 * @param {Plot} plot
 * @param {{ name: string, value: number }[]} bounds
 */
export function thresholds(plot, bounds) {
  const { ctx, bbox } = plot;
  const look = theme();
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = look.bad;
  ctx.lineWidth = devicePixelRatio;
  ctx.textAlign = "left";
  ctx.textBaseline = "alphabetic";
  ctx.font = look.font.replace("12px", `${11 * devicePixelRatio}px`);
  for (const { name, value } of bounds) {
    const at = Math.round(plot.valToPos(value, "y", true));
    if (!(at >= bbox.top && at <= bbox.top + bbox.height)) continue;
    ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, at);
    ctx.lineTo(bbox.left + bbox.width, at);
    ctx.stroke();
    ctx.fillText(legible(name), bbox.left + 6 * devicePixelRatio, at - 4 * devicePixelRatio);
  }
  ctx.restore();
}

/**
 * @param {Plot} plot
 * @param {Happening[]} events
 * @param {(event: Happening) => void} draw
 */
function paint(plot, events, draw) {
  const { ctx, bbox } = plot;
  const { event: ink, bad } = theme();
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  for (const event of events) {
    ctx.globalAlpha = 0.7;
    ctx.fillStyle = event.tags.includes(ALERT) ? bad : ink;
    draw(event);
  }
  ctx.restore();
}

/**
 * Return the events at a bucket, and those whose mark is near the cursor, the latest first.
 * @param {Plot} plot
 * @param {Happening[]} events
 * @param {number} time
 * @param {number} step
 */
export function at(plot, events, time, step) {
  const left = plot.cursor.left ?? -1;
  const isNear = (/** @type {Happening} */ { since }) => left >= 0 && Math.abs(plot.valToPos(since, "x") - left) <= NEAR_PIXELS;
  return events.filter((event) => isNear(event) || (event.since < time + step && (event.until ?? event.since) >= time)).reverse();
}

/**
 * Write events into the tip of a chart.
 * @param {HTMLElement} tip
 * @param {Happening[]} events
 * @param {Plot} plot
 */
export function tell(tip, events, plot) {
  tip.hidden = !events.length;
  if (!events.length) return;
  const more = events.length - READ_MOST;
  fill(tip, ...events.slice(0, READ_MOST).map((event) => element("p", {}, element("strong", {}, legible(event.title)), ` ${event.text.slice(0, 200)}`)), more > 0 && element("p", {}, `and ${more} more`));
  const left = plot.cursor.left ?? 0;
  tip.classList.toggle("before", left > plot.over.clientWidth / 2);
  tip.style.setProperty("--at", `${left}px`);
}

/**
 * Return events in words.
 * @param {Happening[]} events
 */
export function words(events) {
  return events.slice(0, READ_MOST).map(({ title }) => `event: ${legible(title)}`).join(", ");
}

/** The list of events below the charts, and the choice of those that are shown. */
export class EventList {
  /** @param {(events: string) => void} chosen */
  constructor(chosen) {
    this.root = the("events");
    this.summary = the("events-summary");
    this.list = the("events-list");
    /** @type {HTMLSelectElement} */
    this.select = the("events-shown");
    this.select.addEventListener("change", () => chosen(this.select.value));
  }

  /**
   * @param {Happening[]} events
   * @param {string} chosen
   */
  show(events, chosen) {
    this.root.hidden = !events.length;
    this.offer(events, chosen);
    const last = events.slice(-LISTED_MOST).reverse();
    const text = `${events.length} ${events.length === 1 ? "event" : "events"}${events.length > last.length ? `, the last ${last.length}` : ""}`;
    const told = JSON.stringify(last);
    if (this.list.dataset.told === told) return;
    this.list.dataset.told = told;
    this.summary.textContent = text;
    fill(this.list, ...last.map((event) => element("li", {},
      element("time", {}, span(event)), element("strong", {}, legible(event.title)), element("span", { class: "tags" }, event.tags.map(legible).join(" ")), event.text && element("p", {}, legible(event.text)))));
  }

  /**
   * Offer the tags of events; the choice is there once there are any, or one was made.
   * @param {Happening[]} events
   * @param {string} chosen
   */
  offer(events, chosen) {
    const kept = [...this.select.options].map(({ value }) => value);
    const tags = events.flatMap((event) => event.tags);
    const wanted = ["", NONE, ...[...new Set([...kept.filter((each) => each && each !== NONE), ...tags, ...(chosen && chosen !== NONE ? [chosen] : [])])].sort()];
    if (wanted.join("\n") !== kept.join("\n")) {
      fill(this.select, ...wanted.map((value) => element("option", { value }, value === NONE ? "No events" : value ? `Events: ${legible(value)}` : "All events")));
    }
    this.select.value = chosen;
    this.select.hidden = !events.length && !chosen && wanted.length === 2;
  }
}

/** @param {Happening} event */
function span({ since, until }) {
  return until === null ? moment(since) : `${moment(since)} – ${moment(until)}`;
}
