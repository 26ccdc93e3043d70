// Level lines of a function on a grid and the areas above them, by marching squares, as src/plot/contour.rs has them.
// Knows data units and colours only, not the axes that show them.
/** @import { Contours, Read, Theme } from "./types.js" */
import { blueShade, cssOf } from "./shades.js";

/** @typedef {[number, number]} At  x and y in data units */

/**
 * @typedef {object} Grid
 * @property {ArrayLike<number>} x
 * @property {ArrayLike<number>} y
 * @property {ArrayLike<number>} z  row by row
 */

/**
 * One line; a level has several.
 * @typedef {object} LevelLine
 * @property {number} value
 * @property {string} label
 * @property {number} level  which one, from 0
 * @property {At[]} points  the last is the first where it closes
 */

/**
 * Where the function is at least this.
 * @typedef {object} LevelArea
 * @property {number} value
 * @property {number} level
 * @property {At[][]} rings  its parts turn to the left and its holes to the right: fill them all at once, evenodd
 */

/**
 * @typedef {object} ContourShapes
 * @property {Grid} grid
 * @property {LevelLine[]} lines  computed when first asked for
 * @property {LevelArea[]} areas  from the lowest level to the highest, each on top of the one before
 * @property {(level: number, theme?: Theme) => [string, string]} colors  of a level's line, and of the area above it
 * @property {(x: number, y: number) => number} valueAt  between the nodes; NaN outside, or beside one that is not finite
 * @property {(x: number, y: number, theme?: Theme) => string} shadeAt  the colour of the area there; "" below all levels
 */

/**
 * @param {Contours} contours
 * @param {Read} read
 * @returns {ContourShapes}
 */
export function contoursOf(contours, read) {
  const grid = { x: read(contours.x), y: read(contours.y), z: read(contours.z) };
  const { levels } = contours;
  /** @type {LevelLine[] | undefined} */
  let lines;
  /** @type {LevelArea[] | undefined} */
  let areas;
  const colors = (/** @type {number} */ level, /** @type {Theme | undefined} */ theme) => levelColors(level, levels.length, theme);
  const valueAt = (/** @type {number} */ x, /** @type {number} */ y) => valueBetween(grid, x, y);
  return {
    grid,
    get lines() {
      return (lines ??= levels.flatMap(({ value, label }, level) => {
        return levelLines(grid, value).map((points) => ({ value, label, level, points }));
      }));
    },
    get areas() {
      return (areas ??= levels.map(({ value }, level) => ({ value, level, rings: levelRings(grid, value) })));
    },
    colors,
    valueAt,
    shadeAt(x, y, theme) {
      const value = valueAt(x, y);
      const level = levels.reduce((found, { value: at }, i) => (value >= at ? i : found), -1);
      return level < 0 ? "" : colors(level, theme)[1];
    },
  };
}

/** @param {number} level @param {number} count @param {Theme} [theme] @returns {[string, string]} */
function levelColors(level, count, theme) {
  const share = level / Math.max(count - 1, 1);
  return [cssOf(blueShade(0.4 + 0.6 * share, theme)), cssOf(blueShade(0.05 + 0.45 * share, theme))];
}

/**
 * In which cell a value is, among rising ones, and where between its ends; null outside.
 * @param {ArrayLike<number>} rising
 * @param {number} v
 */
export function cellOf(rising, v) {
  let high = rising.length - 1;
  let low = 0;
  if (!(v >= rising[low] && v <= rising[high]) || high < 1) return null;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (rising[middle] <= v) low = middle;
    else high = middle;
  }
  return { i: low, t: (v - rising[low]) / (rising[high] - rising[low]) };
}

/** Between the four nodes around. @param {Grid} grid @param {number} x @param {number} y */
export function valueBetween(grid, x, y) {
  const [column, row] = [cellOf(grid.x, x), cellOf(grid.y, y)];
  if (!column || !row) return NaN;
  const node = row.i * grid.x.length + column.i;
  const over = node + grid.x.length;
  const low = weighted(grid.z[node], grid.z[node + 1], column.t);
  const value = weighted(low, weighted(grid.z[over], grid.z[over + 1], column.t), row.t);
  return Number.isFinite(value) ? value : NaN;
}

/**
 * Between two values; at its ends the other one may be NaN.
 * @param {number} a
 * @param {number} b
 * @param {number} t
 */
function weighted(a, b, t) {
  if (t === 0) return a;
  return t === 1 ? b : (1 - t) * a + t * b;
}

/** The lines along which the function has this value. @param {Grid} grid @param {number} value @returns {At[][]} */
export function levelLines(grid, value) {
  const chains = chained(segmentsAt(grid, value));
  return chains.map((chain) => chain.map((edge) => crossingOf(grid, edge, value)));
}

/**
 * The outlines of where the function is at least this, with that on their left.
 * @param {Grid} grid
 * @param {number} value
 * @returns {At[][]}
 */
export function levelRings(grid, value) {
  const closed = bordered(grid);
  return chained(segmentsAt(closed, value)).map((chain) => chain.map((edge) => crossingOf(closed, edge, value)));
}

/**
 * With a border of low values on top of the outermost nodes, which closes all lines.
 * @param {Grid} grid
 * @returns {Grid}
 */
function bordered({ x, y, z }) {
  const low = -Number.MAX_VALUE;
  const doubled = (/** @type {ArrayLike<number>} */ at) => Float64Array.from([at[0], ...Array.from(at), at[at.length - 1]]);
  if (x.length === 0 || y.length === 0) return { x: [], y: [], z: [] };
  const width = x.length + 2;
  const all = new Float64Array(width * (y.length + 2)).fill(low);
  for (let row = 0; row < y.length; row++) {
    for (let column = 0; column < x.length; column++) {
      const value = z[row * x.length + column];
      if (!Number.isNaN(value)) all[(row + 1) * width + column + 1] = Math.min(Math.max(value, low), Number.MAX_VALUE);
    }
  }
  return { x: doubled(x), y: doubled(y), z: all };
}

/**
 * From edge to edge of the grid, each across one cell, with the higher values on the left. Edges have the number of the
 * node where they start: twice that along x, and one more along y.
 * @param {Grid} grid
 * @param {number} level
 * @returns {number[]}  where each begins and ends, in pairs
 */
function segmentsAt({ x, y, z }, level) {
  /** @type {number[]} */
  const segments = [];
  const width = x.length;
  for (let row = 0; row + 1 < y.length; row++) {
    for (let column = 0; column + 1 < width; column++) {
      const node = row * width + column;
      // Corners and edges go round to the left; edge i leads from corner i to the next.
      const [a, b, c, d] = [z[node], z[node + 1], z[node + width + 1], z[node + width]];
      const above = (a >= level ? 1 : 0) | (b >= level ? 2 : 0) | (c >= level ? 4 : 0) | (d >= level ? 8 : 0);
      if (above === 0 || above === 15 || !(isFinite(a) && isFinite(b) && isFinite(c) && isFinite(d))) continue;
      const edges = [2 * node, 2 * (node + 1) + 1, 2 * (node + width), 2 * node + 1];
      for (const [from, to] of pairsIn(above, a / 4 + b / 4 + c / 4 + d / 4 >= level)) segments.push(edges[from], edges[to]);
    }
  }
  return segments;
}

/**
 * Which edges of a cell are joined: a line enters through the edge behind a high corner.
 * @param {number} above  a bit for each corner
 * @param {boolean} middle  at a saddle, the mean of the corners tells which of them are connected
 * @returns {[number, number][]}
 */
function pairsIn(above, middle) {
  const high = (/** @type {number} */ i) => ((above >> (i % 4)) & 1) === 1;
  const crossed = [0, 1, 2, 3].filter((i) => high(i) !== high(i + 1));
  const [a, b, c, d] = crossed;
  /** @type {[number, number][]} */
  const pairs = crossed.length === 2 ? [[a, b]] : middle === high(0) ? [[a, b], [c, d]] : [[d, a], [b, c]];
  return pairs.map(([from, to]) => (high(from) ? [from, to] : [to, from]));
}

/**
 * Segments one after the other: lines that end at the border, then those that close (their first edge is their last).
 * @param {number[]} segments
 */
function chained(segments) {
  /** @type {Map<number, number>} */
  const next = new Map();
  const entered = new Set();
  for (let i = 0; i < segments.length; i += 2) {
    next.set(segments[i], segments[i + 1]);
    entered.add(segments[i + 1]);
  }
  const starts = [...next.keys()];
  /** @type {number[][]} */
  const chains = [];
  for (const start of [...starts.filter((edge) => !entered.has(edge)), ...starts]) {
    if (!next.has(start)) continue;
    const chain = [start];
    for (let at = next.get(start), from = start; at !== undefined; from = at, at = next.get(at)) {
      next.delete(from);
      chain.push(at);
    }
    chains.push(chain);
  }
  return chains;
}

/**
 * Where a line crosses an edge of the grid. Halves keep differences of the largest numbers finite.
 * @param {Grid} grid
 * @param {number} edge
 * @param {number} level
 * @returns {At}
 */
function crossingOf({ x, y, z }, edge, level) {
  const width = x.length;
  const a = edge >> 1;
  const b = a + (edge % 2 === 0 ? 1 : width);
  const t = (level / 2 - z[a] / 2) / (z[b] / 2 - z[a] / 2);
  const between = (/** @type {number} */ from, /** @type {number} */ to) => (1 - t) * from + t * to;
  return [between(x[a % width], x[b % width]), between(y[Math.floor(a / width)], y[Math.floor(b / width)])];
}
