/** Makes and finds elements of the page. */

/**
 * @typedef {Node | string | null | undefined | false} Child
 * @typedef {Record<string, string | number | boolean | null | undefined | EventListener>} Attributes
 */

/**
 * Return a new element. An attribute that is false, null or undefined is left out, true is empty; `on…` listens, and
 * `--…` is a variable for its style.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Attributes} [attributes]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) made.style.setProperty(name, String(value));
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, String(value));
  }
  made.append(...shown(children));
  return made;
}

/**
 * Put children in the place of those that an element has.
 * @param {Element} parent
 * @param {...Child} children
 */
export function fill(parent, ...children) {
  parent.replaceChildren(...shown(children));
}

/**
 * Return the parts of a name, between which a line may break.
 * @param {string} name
 * @returns {Child[]}
 */
export function breakable(name) {
  return name.split(/(?<=[.;_/-])/).flatMap((part, index) => (index ? [element("wbr"), part] : [part]));
}

/**
 * @param {Child[]} children
 * @returns {(Node | string)[]}
 */
function shown(children) {
  return children.filter((child) => child instanceof Node || typeof child === "string");
}

/**
 * Return the element of an id, which is in the page.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
export function the(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return /** @type {T} */ (found);
}

/**
 * Have a screen reader say something.
 * @param {string} text
 */
export function announce(text) {
  the("announcer").textContent = text;
}

/**
 * Return a line to copy, with a button that does.
 * @param {string} text
 */
export function copyable(text) {
  const button = element("button", { type: "button", class: "quiet", "aria-label": `Copy: ${text}` }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      // Without TLS a browser lends no clipboard, but a selection can be copied by hand.
      getSelection()?.selectAllChildren(/** @type {Node} */ (button.previousElementSibling));
      button.textContent = "Selected";
    }
    announce(button.textContent);
  });
  return element("div", { class: "copyable" }, element("code", {}, text), button);
}
