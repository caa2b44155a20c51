/** What stands in the place of charts when there is nothing to draw, and what to do about it. */

import { copyable, element, fill, the } from "./element.js";
import { age } from "./format.js";
import { now } from "./api.js";
import { FIRST, NOW } from "./range.js";
import { address } from "./view.js";

/**
 * @typedef {import("./view.js").View} View
 * @typedef {import("./range.js").Archive} Archive
 * @typedef {import("./element.js").Child} Child
 */

/**
 * Show a state.
 * @param {string} title
 * @param {...Child} children
 */
function show(title, ...children) {
  const place = the("state");
  const former = place.querySelector("h2")?.textContent;
  if (former === title && !place.hidden) return;
  fill(place, element("h2", {}, title), ...children);
  place.hidden = false;
}

/** Show none. */
export function clear() {
  the("state").hidden = true;
}

/** @param {...Child} children */
const text = (...children) => element("p", {}, ...children);

/**
 * @param {View} view
 * @param {string} label
 */
const link = (view, label) => element("a", { class: "button", "data-view": true, href: address(view).href }, label);

/** @param {boolean} isWritable */
export function noArchives(isWritable) {
  show("No archives yet",
    text("An archive keeps the samples whose names match its pattern. This makes one, which takes all of them:"),
    copyable("tally archives create daily --resolution 10 --retention 24"),
    isWritable && element("button", { type: "button", class: "primary", "data-action": "create" }, "New archive"));
}

export function noneEnabled() {
  show("No archive is enabled", text("Auto shows the enabled archive that fits the range. Choose an archive from the list, or enable one."));
}

/** @param {Archive} archive */
export function noData(archive) {
  show("No data yet", ...archive.enabled
    ? [text(`${archive.name} shows the first samples a few seconds after they come. This sends one:`), copyable(line(archive))]
    : [text(`${archive.name} is disabled: it takes no samples until it is enabled.`)]);
}

/**
 * @param {View} view
 * @param {Archive} archive
 */
export function nothingMatches(view, archive) {
  const last = archive.last === null ? "" : ` The archive's last bucket began ${age(Math.max(0, now() - archive.last))}.`;
  const wanted = [view.q.length ? `like ${view.q.join(" or ")}` : "", view.where.length ? `with the tags ${view.where.join(" and ")}` : ""].filter(Boolean).join(" ");
  const what = wanted ? `No name ${wanted} has data in this range.` : "There is no data in this range.";
  show(wanted ? "Nothing matches" : "No data in this range", text(what + last), element("div", { class: "choices" },
    wanted && link({ ...view, q: [], where: [] }, "Show all names"),
    link({ ...view, since: FIRST, until: NOW }, "Show all that is kept")));
}

/**
 * @param {string} slug
 * @param {boolean} wasThere
 * @param {View} view
 */
export function gone(slug, wasThere, view) {
  show(wasThere ? `${slug} was deleted` : `There is no archive ${slug}`,
    text(wasThere ? "The archive was here a moment ago. If it comes back, so does its chart." : "It may have been deleted or renamed. If it appears, so does its chart."),
    link({ ...view, slug: "" }, "Show all archives"));
}

/**
 * @param {string} name
 * @param {string} error
 */
export function unreadable(name, error) {
  show(`${name} cannot be read`, text(error));
}

/** @param {string} detail */
export function denied(detail) {
  show("Access denied", text(`The server answers: ${detail}.`),
    element("button", { type: "button", class: "primary", "data-action": "reload" }, "Give a token"));
}

export function noLibrary() {
  show("This tally has no charts",
    text("uPlot, which draws them, was not put in place: tally was installed from a bare checkout without Node. Everything else works. With Node installed, this brings the charts:"),
    copyable("pip install --force-reinstall --no-deps ."));
}

/**
 * Return the line that sends a sample which an archive takes.
 * @param {Archive} archive
 */
export function line({ pattern }) {
  const { host, port } = document.documentElement.dataset;
  const name = pattern.replace(/\[\^?(\]?[^\]]*)\]/g, (_, set) => set[0] ?? "a").replace(/\*/g, pattern === "*" ? "requests.get.index" : "example").replace(/\?/g, "a");
  const address = `${host && host !== "127.0.0.1" ? ` --host ${host}` : ""}${port !== "8900" && port !== "0" ? ` --port ${port}` : ""}`;
  return `tally send${address} ${/^[\w.-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`} 0.25`;
}
