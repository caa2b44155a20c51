/** A chart as a picture to keep: with its title, its range, and what its lines are. */

import { theme } from "./palette.js";

/**
 * @typedef {object} Told
 * @property {string} title
 * @property {string} caption
 * @property {{ name: string, colour: string, dash: number[] }[]} lines
 */

const MARGIN = 16;
const HEAD = 52;
const ROW = 20;
const SWATCH = 18;

/**
 * Return a chart as a PNG.
 * @param {HTMLCanvasElement} drawn
 * @param {number} scale pixels of the canvas in one of the page
 * @param {Told} told
 * @returns {Promise<Blob | null>}
 */
export function picture(drawn, scale, told) {
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  if (!context) return Promise.resolve(null);
  const width = drawn.width / scale + 2 * MARGIN;
  const look = theme();
  context.font = look.font;
  const places = arrange(told.lines.map(({ name }) => context.measureText(name).width), width - 2 * MARGIN);
  const top = HEAD + drawn.height / scale;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round((top + ((places.at(-1)?.row ?? -1) + 1) * ROW + MARGIN) * scale);
  context.scale(scale, scale);
  context.fillStyle = look.surface;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(drawn, MARGIN, HEAD, drawn.width / scale, drawn.height / scale);
  write(context, told, look);
  told.lines.forEach((line, index) => key(context, line, { x: MARGIN + (places[index]?.x ?? 0), y: top + (places[index]?.row ?? 0) * ROW + ROW / 2 }, look));
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Told} told
 * @param {ReturnType<typeof theme>} look
 */
function write(context, { title, caption }, look) {
  context.textBaseline = "alphabetic";
  context.fillStyle = look.ink;
  context.font = look.font.replace("12px", "600 15px");
  context.fillText(title, MARGIN, 26);
  context.fillStyle = look.text;
  context.font = look.font;
  context.fillText(caption, MARGIN, 44);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Told["lines"][number]} line
 * @param {{ x: number, y: number }} place
 * @param {ReturnType<typeof theme>} look
 */
function key(context, { name, colour, dash }, { x, y }, look) {
  context.strokeStyle = colour;
  context.lineWidth = 2.5;
  context.setLineDash(dash);
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(x + SWATCH, y);
  context.stroke();
  context.textBaseline = "middle";
  context.font = look.font;
  context.fillStyle = look.ink;
  context.fillText(name, x + SWATCH + 6, y);
}

/**
 * Return where names stand, in as many rows as they need.
 * @param {number[]} widths
 * @param {number} most
 */
function arrange(widths, most) {
  let [x, row] = [0, 0];
  return widths.map((width) => {
    const whole = SWATCH + 6 + width + MARGIN;
    if (x > 0 && x + whole > most) [x, row] = [0, row + 1];
    const place = { x, row };
    x += whole;
    return place;
  });
}
