/** A name's values over the range, as a small line without axes. */

import { number } from "./format.js";

const WIDTH = 96;
const HEIGHT = 22;
const MARGIN = 2;
const SVG = "http://www.w3.org/2000/svg";

/**
 * Return a line; where values are missing it has gaps.
 * @param {(number | null)[]} values
 */
export function sparkline(values) {
  const known = values.filter((value) => value !== null);
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("class", "spark");
  picture.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  picture.setAttribute("role", "img");
  const [low, high] = [Math.min(...known), Math.max(...known)];
  picture.setAttribute("aria-label", known.length ? `from ${number(low)} to ${number(high)}` : "no data");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", line(values, low, high));
  picture.append(path);
  return picture;
}

/**
 * @param {(number | null)[]} values
 * @param {number} low
 * @param {number} high
 */
function line(values, low, high) {
  const across = (WIDTH - 2 * MARGIN) / Math.max(1, values.length - 1);
  const up = (HEIGHT - 2 * MARGIN) / (high - low || 1);
  const parts = values.map((value, index) => {
    if (value === null) return "";
    const isFirst = index === 0 || values[index - 1] === null;
    const [x, y] = [MARGIN + index * across, high === low ? HEIGHT / 2 : HEIGHT - MARGIN - (value - low) * up].map((each) => each.toFixed(1));
    // A value alone is a dot: a line of no length that has round ends.
    return isFirst ? `M${x} ${y}l0 0` : `L${x} ${y}`;
  });
  return parts.join("");
}
