/** Which colour a line has: chosen so that the colour-blind can tell them apart, and kept as long as it is shown. */

/** @type {Record<string, number>} */
const OF_AGGREGATES = { avg: 0, max: 1, min: 2, sum: 3, count: 4, p50: 5, p95: 6, p99: 7 };
/** The dashed lines of percentiles that are only asked for by an address. */
const OTHER = 13;
const COLOURS = 8;
/** Once all colours are taken the lines are dashed, and then dotted. */
const DASHES = [[], [7, 4], [2, 3]];

/**
 * @typedef {object} Ink
 * @property {number} colour from 0
 * @property {number[]} dash
 */

/**
 * @param {number} index
 * @returns {Ink}
 */
function ink(index) {
  return { colour: index % COLOURS, dash: DASHES[Math.floor(index / COLOURS) % DASHES.length] ?? [] };
}

/**
 * Return the ink of an aggregate.
 * @param {string} aggregate
 */
export function ofAggregate(aggregate) {
  return ink(OF_AGGREGATES[aggregate] ?? OTHER);
}

/** The inks of names. */
export class Palette {
  constructor() {
    /** @type {Map<string, number>} */
    this.taken = new Map();
  }

  /**
   * Give every name an ink; one that has one keeps it.
   * @param {string[]} names all that are shown
   */
  assign(names) {
    const shown = new Set(names);
    const kept = new Map([...this.taken].filter(([name]) => shown.has(name)));
    const used = new Set(kept.values());
    let free = 0;
    for (const name of shown) {
      if (kept.has(name)) continue;
      while (used.has(free)) free += 1;
      used.add(free);
      kept.set(name, free);
    }
    this.taken = kept;
  }

  /**
   * Return the ink of a name.
   * @param {string} name
   */
  of(name) {
    return ink(this.taken.get(name) ?? 0);
  }
}

/**
 * Return what the style sheet says now, for what is drawn and not styled.
 * @returns {{ lines: string[], event: string, bad: string, ink: string, text: string, grid: string, surface: string, font: string }}
 */
export function theme() {
  const style = getComputedStyle(document.documentElement);
  const said = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  return {
    lines: Array.from({ length: COLOURS }, (_, index) => said(`--line-${index}`)),
    event: said("--line-4"),
    bad: said("--bad"),
    ink: said("--text"),
    text: said("--muted"),
    grid: said("--grid"),
    surface: said("--surface"),
    font: `12px ${said("--font")}`,
  };
}
