/** Alerts: which fire, in a banner; which are silenced, until when; and where a rule's bound is on a chart. */

import { change, now } from "./api.js";
import { ask } from "./confirm.js";
import { element, fill, the } from "./element.js";
import { age, legible, moment } from "./format.js";
import { marked, measured, unit } from "./units.js";
import { address, isPercentile } from "./view.js";
import { writing } from "./editor.js";

/**
 * @typedef {import("./question.js").Chart} Chart
 * @typedef {import("./view.js").View} View
 * @typedef {import("./range.js").Archive} Archive
 *
 * @typedef {object} Rule
 * @property {string} rule
 * @property {string} archive a slug, or `auto`
 * @property {string[]} q
 * @property {string[]} where
 * @property {string} ask
 * @property {number | null} above
 * @property {number | null} below
 * @property {boolean} absent
 * @property {string | null} each
 * @property {boolean} silenced
 *
 * @typedef {object} Alert
 * @property {string} rule
 * @property {string} name empty: all names together
 * @property {string} state
 * @property {number | null} value
 * @property {number} since
 *
 * @typedef {object} Silence
 * @property {number} id
 * @property {string} rule
 * @property {string} why
 * @property {number} until
 *
 * @typedef {object} Told
 * @property {Rule[]} rules
 * @property {Alert[]} alerts
 * @property {Silence[]} silences
 */

const FIRING = "firing";
const SHOWN_MOST = 5;
/** Aggregates whose size does not depend on how long a bucket is, so that a rule's bound has a place among them. */
const COMPARABLE = ["avg", "min", "max"];

export class AlertBanner {
  /** @param {() => void} changed what to do when a silence began or ended */
  constructor(changed) {
    this.changed = changed;
    this.firing = the("firing");
    this.silenced = the("silenced");
  }

  /**
   * @param {Told} told
   * @param {View} view
   * @param {Archive[]} archives
   */
  show({ rules, alerts, silences }, view, archives) {
    const known = new Map(rules.map((rule) => [rule.rule, rule]));
    const firing = alerts.filter(({ state, rule }) => state === FIRING && known.has(rule) && !known.get(rule)?.silenced);
    const lines = firing.slice(0, SHOWN_MOST).map((alert) => this.line(alert, /** @type {Rule} */ (known.get(alert.rule)), view, archives));
    const more = firing.length - lines.length;
    list(this.firing, `${firing.length} ${firing.length === 1 ? "alert is" : "alerts are"} firing`, [...lines, ...(more > 0 ? [element("li", {}, `and ${more} more`)] : [])]);
    list(this.silenced, "Silenced alerts", silences.map((silence) => this.silence(silence, alerts)));
  }

  /**
   * @param {Alert} alert
   * @param {Rule} rule
   * @param {View} view
   * @param {Archive[]} archives
   */
  line(alert, rule, view, archives) {
    const href = address({ ...view, slug: rule.archive, q: rule.q, where: rule.where, group: "", since: "", until: "now", ...shownBy(rule) }).href;
    const name = alert.name ? ` of ${legible(alert.name)}` : "";
    const archive = archives.find(({ slug }) => slug === rule.archive) ?? archives[0];
    const own = archive ? unit(archive, { ...view, rate: false, q: rule.q }, rule.ask) : "";
    const what = rule.absent ? "no samples" : `${rule.ask}${name} is ${alert.value === null ? "–" : (own ? measured : marked)(alert.value, own)}, ${bound(rule, own)}`;
    return element("li", {}, element("a", { "data-view": true, href }, legible(rule.rule)), `: ${what}, since ${moment(alert.since)}`,
      writing() !== "disabled" && element("button", { type: "button", class: "quiet", "aria-label": `Silence ${legible(rule.rule)}`, onclick: () => this.begin(rule.rule) }, "Silence"));
  }

  /**
   * @param {Silence} silence
   * @param {Alert[]} alerts
   */
  silence({ id, rule, why, until }, alerts) {
    const state = alerts.some((alert) => alert.rule === rule && alert.state === FIRING) ? " (firing)" : "";
    const left = age(until - now()).replace(" ago", "");
    return element("li", {}, `${legible(rule)}${state}: until ${moment(until)}, for ${left} more. ${legible(why)}`,
      writing() !== "disabled" && element("button", { type: "button", class: "quiet", "aria-label": `End the silence of ${legible(rule)}`, onclick: () => this.end(id, rule) }, "End"));
  }

  /** @param {string} rule */
  begin(rule) {
    ask({ title: `Silence ${rule}`, button: "Silence", needs: "silence" }, async (token, body) => {
      await change("POST", "alerts/silences/", { rule, for: body.for, why: body.why }, token);
      this.changed();
    });
  }

  /**
   * @param {number} id
   * @param {string} rule
   */
  end(id, rule) {
    ask({ title: `End the silence of ${rule}`, button: "End", needs: "" }, async (token) => {
      await change("DELETE", "alerts/silences/", null, token, [["id", id]]);
      this.changed();
    });
  }
}

/**
 * Return the bounds of rules about what a chart shows: the same names of the same archive, by one of its aggregates.
 * @param {Rule[]} rules
 * @param {Chart} chart
 * @returns {{ name: string, value: number }[]}
 */
export function bounds(rules, { archive, view, aggregates }) {
  const isShown = (/** @type {Rule} */ { ask }) => (ask === "rate" ? view.rate && aggregates.includes("count") : aggregates.includes(ask) && (COMPARABLE.includes(ask) || isPercentile(ask)));
  const isAbout = (/** @type {Rule} */ rule) => [archive.slug, "auto"].includes(rule.archive) && same(rule.q, view.q) && same(rule.where, view.where);
  return rules.filter((rule) => isAbout(rule) && isShown(rule)).flatMap(({ rule, above, below }) => {
    const value = above ?? below;
    return value === null ? [] : [{ name: rule, value }];
  });
}

/**
 * @param {string[]} one
 * @param {string[]} other
 */
function same(one, other) {
  const all = (/** @type {string[]} */ some) => [...some].filter((each) => each !== "*").sort().join("\n");
  return all(one) === all(other);
}

/**
 * Return how a view shows what a rule asks.
 * @param {Rule} rule
 * @returns {Partial<View>}
 */
function shownBy({ ask, each, absent }) {
  const aggregates = absent || ask === "rate" ? ["count"] : [ask];
  return { aggregates, rate: ask === "rate", top: each ? 8 : 0 };
}

/**
 * @param {Rule} rule
 * @param {string} own unit
 */
function bound({ above, below }, own) {
  return above === null ? `below ${marked(below ?? 0, own)}` : `above ${marked(above, own)}`;
}

/**
 * @param {HTMLElement} place
 * @param {string} title
 * @param {HTMLElement[]} items
 */
function list(place, title, items) {
  place.hidden = !items.length;
  const told = items.map(({ textContent }) => textContent).join("\n");
  if (place.dataset.told === told) return;
  place.dataset.told = told;
  fill(place, element("strong", {}, title), element("ul", {}, ...items));
}
