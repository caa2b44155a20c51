/** Saved views: pages of the dashboard that have a name, listed for everybody. */

import { change, ROOT } from "./api.js";
import { ask } from "./confirm.js";
import { writing } from "./editor.js";
import { element, fill, the } from "./element.js";
import { legible } from "./format.js";

/**
 * @typedef {object} Saved
 * @property {number} id
 * @property {string} name
 * @property {string} address
 */

export class SavedViews {
  /** @param {() => void} changed what to do when a view was saved or deleted */
  constructor(changed) {
    this.changed = changed;
    this.root = the("views");
    this.list = the("views-list");
    the("save").hidden = writing() === "disabled";
  }

  /** @param {Saved[]} views */
  show(views) {
    this.root.hidden = !views.length;
    const told = JSON.stringify([views, location.href]);
    if (this.list.dataset.told === told) return;
    this.list.dataset.told = told;
    fill(this.list, ...views.map((view) => element("li", {}, link(view),
      writing() !== "disabled" && element("button", { type: "button", "aria-label": `Delete the view ${legible(view.name)}`, title: "Delete", onclick: () => this.remove(view) }, "×"))));
  }

  /** Save the page as it is. */
  save() {
    const address = location.href.slice(ROOT.href.length);
    ask({ title: "Save this view", button: "Save", needs: "name" }, async (token, { name }) => {
      await change("POST", "views/", { name: name.trim(), address }, token);
      this.changed();
    });
  }

  /** @param {Saved} view */
  remove({ id, name }) {
    ask({ title: `Delete the view ${legible(name)}?`, button: "Delete", needs: "" }, async (token) => {
      await change("DELETE", "views/", null, token, [["id", id]]);
      this.changed();
    });
  }
}

/** @param {Saved} view */
function link({ name, address }) {
  const { href } = new URL(address, ROOT);
  return element("a", { "data-view": true, href, "aria-current": href === location.href && "page" }, legible(name));
}
