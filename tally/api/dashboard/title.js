/** What the page is about: in its heading and in the browser's title. */

import { the } from "./element.js";
import { writing } from "./editor.js";
import { facts } from "./sidebar.js";

/**
 * @param {import("./view.js").View} view
 * @param {import("./range.js").Archive | undefined} archive none: all archives, or one that is not there
 */
export function heading(view, archive) {
  const name = archive?.name || view.slug || "All archives";
  document.title = `${name} · tally`;
  the("title").textContent = name;
  the("facts").textContent = archive && !archive.error ? [facts(archive), archive.pattern === "*" ? "" : `takes ${archive.pattern}`].filter(Boolean).join(" · ") : "";
  the("description").textContent = archive?.description ?? "";
  the("description").hidden = !archive?.description;
  the("actions").hidden = !archive || writing() === "disabled";
}
