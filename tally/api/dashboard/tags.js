/** Tags of names: what completes an expression that selects by them, and by what names can be grouped. */

import { address, names } from "./api.js";
import { exactly } from "./question.js";

/**
 * @typedef {import("./view.js").View} View
 */

/** So much of an archive's names is read to learn of their tags. */
const NAMES_BYTES = 256_000;
const LEARNT_MS = 60_000;
const OPERATOR = /^([^=!]+)(!?=)(.*)$/;
/** Parts of names by which they can be grouped, as the API counts them. */
const NODES = ["node:0", "node:1", "node:2", "node:-1"];
/** @type {Record<string, string>} */
const PARTS = { "node:0": "by 1st part", "node:1": "by 2nd part", "node:2": "by 3rd part", "node:-1": "by last part" };

/** What is known of the tags of an archive. */
export class Tags {
  constructor() {
    /** @type {Map<string, { keys: string[], until: number }>} */
    this.learnt = new Map();
  }

  /**
   * Return the keys of an archive's tags, as far as they are known.
   * @param {string} slug
   */
  keys(slug) {
    return this.learnt.get(slug)?.keys ?? [];
  }

  /**
   * Learn the keys of an archive's tags, unless that was done a moment ago; return whether they are others.
   * @param {string} slug
   * @param {AbortSignal} signal
   */
  async learn(slug, signal) {
    const former = this.learnt.get(slug);
    if (former && performance.now() < former.until) return false;
    const { found } = await names(address(`names/${slug}/`, [["q", "*;*"]]), NAMES_BYTES, signal);
    const keys = [...new Set(found.flatMap((name) => pairs(name).map(([key]) => key)))].sort();
    this.learnt.set(slug, { keys, until: performance.now() + LEARNT_MS });
    return keys.join() !== (former?.keys ?? []).join();
  }
}

/**
 * Return expressions that a word may become.
 * @param {string} slug
 * @param {string} word
 * @param {AbortSignal} signal
 * @returns {Promise<import("./combobox.js").Completion>}
 */
export async function expressions(slug, word, signal) {
  const [, key = "", operator = "=", value = ""] = OPERATOR.exec(word) ?? [];
  const glob = key ? `*;${exactly(key)}=*${exactly(value)}*` : `*;*${exactly(word)}*`;
  const { found, isPart } = await names(address(`names/${slug}/`, [["q", glob]]), NAMES_BYTES, signal);
  const fits = (/** @type {[string, string]} */ [each, text]) => (key ? each === key && text.includes(value) : `${each}=${text}`.includes(word));
  const options = found.flatMap((name) => pairs(name).filter(fits).map(([each, text]) => `${each}${operator}${text}`));
  return { found: [...new Set(options)].filter((each) => each !== word).sort(), isPart };
}

/**
 * Return how names can be grouped, with what it is called.
 * @param {string[]} keys of tags
 * @param {string} chosen what is offered in any case
 * @returns {[string, string][]}
 */
export function groups(keys, chosen) {
  const offered = ["", ...keys.map((key) => `tag:${key}`), ...NODES];
  return [...offered, ...(offered.includes(chosen) ? [] : [chosen])].map((each) => [each, each ? PARTS[each] ?? `by ${each.replace(/^tag:/, "")}` : "Each name"]);
}

/**
 * Return a view of one name alone, or of the names of one group.
 * @param {View} view
 * @param {string} name
 * @returns {View}
 */
export function narrowed(view, name) {
  const [kind, listed = ""] = view.group.split(":");
  const keys = listed.split(",");
  if (kind === "tag") {
    const values = name.split(";");
    return { ...view, where: [...view.where, ...keys.map((key, index) => `${key}=${values[index] ?? ""}`)], group: "", top: 0 };
  }
  if (kind === "node") {
    const parts = name.split(".");
    return { ...view, where: [...view.where, ...keys.map((key, index) => `name=~${part(Number(key), parts[index] ?? "")}`)], group: "", top: 0 };
  }
  return { ...view, q: [exactly(name)], top: 0 };
}

/**
 * Return a regular expression of the names that have a part; an empty one stands for a part that is not there as well.
 * @param {number} node counted from 0, or from the end by negative numbers
 * @param {string} text
 */
function part(node, text) {
  const literal = text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
  const before = node < 0 ? "^(.*\\.)?" : `^([^.]*\\.){${node}}`;
  const after = node < 0 ? `(\\.[^.]*){${-1 - node}}$` : "(\\.|$)";
  const fewer = node < 0 ? -1 - node : node;
  const lacking = text || !fewer ? "" : `|^([^.]*\\.){0,${fewer - 1}}[^.]*$`;
  return `${before}${literal}${after}${lacking}`;
}

/**
 * Return what a group's name is shown as: it is empty for names that have none of its tags or parts.
 * @param {string} name
 * @param {View} view
 */
export function shown(name, view) {
  return view.group && /^[.;]*$/.test(name) ? `(none)${name}` : name;
}

/**
 * Return the keys and values of a name's tags.
 * @param {string} name
 * @returns {[string, string][]}
 */
function pairs(name) {
  return name.split(";").slice(1).map((tag) => {
    const at = tag.indexOf("=");
    return at < 0 ? [tag, ""] : [tag.slice(0, at), tag.slice(at + 1)];
  });
}
