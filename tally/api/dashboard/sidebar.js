/** The list of archives, with what each is and how long ago it last changed. */

import { now } from "./api.js";
import { element, the } from "./element.js";
import { age, bytes, duration } from "./format.js";
import { address, AUTO, elsewhere } from "./view.js";

/**
 * @typedef {import("./range.js").Archive} Archive
 * @typedef {import("./view.js").View} View
 */

export class Sidebar {
  constructor() {
    this.list = the("archives");
    /** @type {Map<string, HTMLAnchorElement>} */
    this.links = new Map();
    /** @type {Archive[]} */
    this.archives = [];
  }

  /**
   * @param {Archive[]} archives
   * @param {View} view
   */
  show(archives, view) {
    this.archives = archives;
    const wanted = [AUTO, "", ...archives.map(({ slug }) => slug)];
    if (wanted.join() !== [...this.links.keys()].join()) this.build(wanted);
    for (const [slug, link] of this.links) {
      const archive = archives.find((each) => each.slug === slug);
      link.href = address(elsewhere(view, slug)).href;
      link.toggleAttribute("data-off", archive?.enabled === false);
      this.mark(link, slug === view.slug);
      write(link, "name", archive ? archive.name || slug : slug ? "Auto" : "All archives");
      write(link, "facts", archive ? facts(archive) : slug ? "the archive that fits the range" : count(archives));
    }
    this.tick();
  }

  /** @param {string[]} slugs */
  build(slugs) {
    this.links = new Map(slugs.map((slug) => [slug, element("a", { "data-view": true },
      element("span", { class: "name" }), element("span", { class: "age" }), element("span", { class: "facts" }))]));
    this.list.replaceChildren(...[...this.links.values()].map((link) => element("li", {}, link)));
  }

  /**
   * @param {HTMLAnchorElement} link
   * @param {boolean} isCurrent
   */
  mark(link, isCurrent) {
    if (isCurrent === link.hasAttribute("aria-current")) return;
    if (isCurrent) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    // On a phone the archives are in a row that scrolls.
    if (isCurrent) this.list.scrollLeft = link.offsetLeft - (this.list.clientWidth - link.offsetWidth) / 2;
  }

  /** Tell the ages anew. */
  tick() {
    for (const archive of this.archives) {
      const link = this.links.get(archive.slug);
      if (link) write(link, "age", changed(archive));
    }
  }
}

/** @param {Archive[]} archives */
export function count({ length }) {
  return `${length} ${length === 1 ? "archive" : "archives"}`;
}

/**
 * Return when an archive last changed; its last bucket may not be over yet.
 * @param {Archive} archive
 */
export function changed(archive) {
  if (archive.error) return "unreadable";
  if (archive.last === null) return "empty";
  return age(Math.max(0, now() - archive.last - archive.resolution));
}

/**
 * Return what an archive is, in a line.
 * @param {Archive} archive
 */
export function facts(archive) {
  if (archive.error) return archive.slug;
  const kept = archive.retention ? `${duration(archive.retention * 3600)} kept` : "kept for ever";
  const off = archive.enabled ? "" : " · disabled";
  return `${duration(archive.resolution)} · ${kept} · ${bytes(archive.bytes)}${off}`;
}

/**
 * @param {Element} link
 * @param {string} part
 * @param {string} text
 */
function write(link, part, text) {
  const place = link.querySelector(`.${part}`);
  if (place && place.textContent !== text) place.textContent = text;
}
