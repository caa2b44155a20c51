/** What the page is about: in its heading and in the browser's title. */

import { the } from "./element.js";
import { writing } from "./editor.js";
import { bytes } from "./format.js";
import { count, facts } from "./sidebar.js";
import { AUTO } from "./view.js";

/** @typedef {import("./range.js").Archive} Archive */

/**
 * @param {import("./view.js").View} view
 * @param {Archive[]} archives
 * @param {Archive | undefined} archive none: all archives, or one that is not there; for `auto`, the one that fits
 */
export function heading(view, archives, archive) {
  const isAuto = view.slug === AUTO;
  const name = isAuto ? "Auto" : archive?.name || view.slug || "All archives";
  document.title = `${name} · tally`;
  the("title").textContent = name;
  the("facts").textContent = view.slug ? (isAuto && archive ? `${archive.name} · ` : "") + single(archive) : all(archives);
  the("description").textContent = archive?.description ?? "";
  the("description").hidden = isAuto || !archive?.description;
  the("actions").hidden = isAuto || !archive || writing() === "disabled";
}

/** @param {Archive | undefined} archive */
function single(archive) {
  if (!archive || archive.error) return "";
  return archive.pattern === "*" ? facts(archive) : `${facts(archive)} · takes ${archive.pattern}`;
}

/** @param {Archive[]} archives */
function all(archives) {
  const size = archives.reduce((total, each) => total + (each.bytes || 0), 0);
  return archives.length ? `${count(archives)} · ${bytes(size)}` : "";
}
