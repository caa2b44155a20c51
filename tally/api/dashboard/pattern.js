/** What completes a pattern of names: an archive's globs and names. */

import { address, get } from "./api.js";
import { exactly } from "./question.js";

/**
 * Return globs and then names that have the word in them, or names that it matches where it is a glob itself.
 * @param {string} slug
 * @param {string} word
 * @param {AbortSignal} signal
 * @returns {Promise<import("./combobox.js").Completion>}
 */
export async function patterns(slug, word, signal) {
  const glob = /[*?[]/.test(word) ? word : `*${word}*`;
  const [globs, names] = await Promise.all([
    get(address(`patterns/${slug}/`), signal),
    word ? get(address(`names/${slug}/`, [["q", glob]]), signal) : [],
  ]);
  const literal = word.replace(/\*$/, "");
  return { found: [...globs.filter((/** @type {string} */ each) => each.includes(literal) && each !== word), ...names.map(exactly)] };
}
