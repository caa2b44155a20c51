/** The wall: charts alone, on all of the screen, for a screen that everybody sees. Escape ends it. */

/**
 * Show the page as a wall, or as it was.
 * @param {boolean} isWall
 */
export function show(isWall) {
  document.body.toggleAttribute("data-wall", isWall);
}

/**
 * Fill the screen; where the browser does not let a page do that, the wall fills its window.
 * @param {() => void} begin
 */
export async function fill(begin) {
  begin();
  try {
    await document.documentElement.requestFullscreen();
  } catch {
    // F11 does it.
  }
}

/** @param {() => void} end what to do when the wall is left */
export function listen(end) {
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.defaultPrevented) end();
  });
  document.addEventListener("fullscreenchange", () => {
    if (!document.fullscreenElement) end();
  });
}
