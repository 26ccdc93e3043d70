// A function on a grid as facets in a box of one by one by HEIGHT, seen from anywhere above: projection, the painter's
// order, light and the nearest node, as src/plot/surface.rs has them. Knows places in the box, neither axes nor a canvas.
import { heightShade } from "./shades.js";

/** @typedef {[number, number, number]} Place  along x, y and z, from 0 to 1 in the box */

/**
 * From where one looks: the viewer's right, up and backwards, in units of the box's width.
 * @typedef {object} Sight
 * @property {number} azimuth  in degrees
 * @property {number} elevation
 * @property {Place} right
 * @property {Place} up
 * @property {Place} back
 */

/**
 * @typedef {object} Relief
 * @property {Float64Array} x  columns of the grid, in the box
 * @property {Float64Array} y
 * @property {Float64Array} heights  row by row; NaN where there is no place in the box
 * @property {Float64Array} normals  three a node
 * @property {Int32Array} columns  which columns of the whole grid these are
 * @property {Int32Array} rows
 * @property {number} lowest
 * @property {number} highest
 * @property {boolean} hasLines
 */

export const HEIGHT = 0.6;
// Where light comes from: the viewer's upper left.
const LIGHT_FROM = [-0.5, 0.65, 0.57];
const LIGHT_LENGTH = Math.hypot(...LIGHT_FROM);
const FLAT_HEIGHT = 0.5;
// Of each of 257 heights, three numbers.
const VIRIDIS = Float64Array.from({ length: 3 * 257 }, (_, i) => heightShade(Math.floor(i / 3) / 256)[i % 3]);
const UNSHADED = 0xe8;
// Grids with more rows or columns than this have no lines, which would cover them.
const MOST_LINES = 100;

/** @param {number} azimuth @param {number} elevation @returns {Sight} */
export function sightFrom(azimuth, elevation) {
  const [a, e] = [(azimuth * Math.PI) / 180, (elevation * Math.PI) / 180];
  const [ca, sa, ce, se] = [Math.cos(a), Math.sin(a), Math.cos(e), Math.sin(e)];
  return { azimuth, elevation, right: [-sa, ca, 0], up: [-se * ca, -se * sa, ce], back: [ce * ca, ce * sa, se] };
}

/** @param {Place} a @param {number} x @param {number} y @param {number} z */
function product(a, x, y, z) {
  return a[0] * x + a[1] * y + a[2] * z;
}

/**
 * Where a place is seen, in units of the box's width from the middle of the box, with y downwards.
 * @param {Sight} sight
 * @param {Place} place
 * @returns {[number, number]}
 */
export function seenFrom({ right, up }, [u, v, w]) {
  const z = (w - 0.5) * HEIGHT;
  return [product(right, u - 0.5, v - 0.5, z), -product(up, u - 0.5, v - 0.5, z)];
}

/** How near the viewer a place is. @param {Sight} sight @param {Place} place */
export function nearness({ back }, [u, v, w]) {
  return product(back, u - 0.5, v - 0.5, (w - 0.5) * HEIGHT);
}

/**
 * Of a grid in the box, only every n-th row and column, and the last ones.
 * @param {ArrayLike<number>} x
 * @param {ArrayLike<number>} y
 * @param {ArrayLike<number>} heights
 * @param {number} every
 * @returns {Relief}
 */
export function reliefOf(x, y, heights, every) {
  const [columns, rows] = [keptOf(x.length, every), keptOf(y.length, every)];
  const kept = new Float64Array(columns.length * rows.length);
  let lowest = Infinity;
  let highest = -Infinity;
  for (let row = 0; row < rows.length; row++) {
    for (let column = 0; column < columns.length; column++) {
      const height = heights[rows[row] * x.length + columns[column]];
      const found = Number.isFinite(height) && Number.isFinite(x[columns[column]] + y[rows[row]]);
      kept[row * columns.length + column] = found ? height : NaN;
      if (found && height < lowest) lowest = height;
      if (found && height > highest) highest = height;
    }
  }
  const at = (/** @type {ArrayLike<number>} */ all, /** @type {Int32Array} */ which) => Float64Array.from(which, (i) => all[i]);
  const hasLines = Math.max(columns.length, rows.length) <= MOST_LINES;
  const bare = { x: at(x, columns), y: at(y, rows), heights: kept, columns, rows, lowest, highest, hasLines };
  return { ...bare, normals: normalsOf(bare.x, bare.y, kept) };
}

/** @param {number} count @param {number} every */
function keptOf(count, every) {
  const kept = [];
  for (let i = 0; i < count; i += every) kept.push(i);
  if (count > 1 && kept[kept.length - 1] !== count - 1) kept.push(count - 1);
  return Int32Array.from(kept);
}

/**
 * Upright to the surface at each node.
 * @param {Float64Array} x
 * @param {Float64Array} y
 * @param {Float64Array} heights
 */
function normalsOf(x, y, heights) {
  const width = x.length;
  const normals = new Float64Array(3 * heights.length);
  for (let node = 0; node < heights.length; node++) {
    const dx = slopeAt(x, node % width, heights, node, 1);
    const dy = slopeAt(y, Math.floor(node / width), heights, node, width);
    const length = Math.sqrt(dx * dx + dy * dy + 1);
    normals[3 * node] = -dx / length;
    normals[3 * node + 1] = -dy / length;
    normals[3 * node + 2] = 1 / length;
  }
  return normals;
}

/**
 * From the slopes to the neighbours, the nearer of which counts more.
 * @param {Float64Array} at
 * @param {number} i
 * @param {Float64Array} heights
 * @param {number} node
 * @param {number} stride  from this node to the next along the axis
 */
function slopeAt(at, i, heights, node, stride) {
  const before = i > 0 ? at[i] - at[i - 1] : 0;
  const after = i + 1 < at.length ? at[i + 1] - at[i] : 0;
  const below = before > 0 ? ((heights[node] - heights[node - stride]) * HEIGHT) / before : NaN;
  const above = after > 0 ? ((heights[node + stride] - heights[node]) * HEIGHT) / after : NaN;
  if (!Number.isFinite(below)) return Number.isFinite(above) ? above : 0;
  return Number.isFinite(above) ? (below * after + above * before) / (before + after) : below;
}

/**
 * The painter's order: the i-th cell to be drawn, as the node at its low x and low y. None hides one that follows, since
 * what hides a cell is nearer both ways.
 * @param {Relief} relief
 * @param {Sight} sight
 */
export function painterOrder({ x, y }, { back }) {
  const [across, along] = [Math.max(x.length - 1, 0), Math.max(y.length - 1, 0)];
  const [columnsRise, rowsRise] = [back[0] > 0, back[1] > 0];
  return {
    columnsRise,
    rowsRise,
    count: across * along,
    cell(/** @type {number} */ i) {
      const [column, row] = [i % across, Math.floor(i / across)];
      return (rowsRise ? row : along - 1 - row) * x.length + (columnsRise ? column : across - 1 - column);
    },
  };
}

/** Whether a cell has a place at each corner. @param {Relief} relief @param {number} node */
export function isWhole({ x, heights }, node) {
  const width = x.length;
  if (node < 0 || (node % width) + 1 >= width || node + width >= heights.length) return false;
  const sum = heights[node] + heights[node + 1] + heights[node + width] + heights[node + width + 1];
  return Number.isFinite(sum);
}

/** Where each node is seen, two numbers a node; NaN for none. @param {Relief} relief @param {Sight} sight */
export function nodesSeen({ x, y, heights }, { right, up }) {
  const seen = new Float64Array(2 * heights.length);
  for (let node = 0; node < heights.length; node++) {
    const [u, v, w] = [x[node % x.length] - 0.5, y[Math.floor(node / x.length)] - 0.5, (heights[node] - 0.5) * HEIGHT];
    seen[2 * node] = u * right[0] + v * right[1] + w * right[2];
    seen[2 * node + 1] = -(u * up[0] + v * up[1] + w * up[2]);
  }
  return seen;
}

/**
 * Into how many facets a cell is cut along x and y, each to span at most this much of the box.
 * @param {Relief} relief
 * @param {number} node
 * @param {number} span
 * @returns {[number, number]}
 */
export function cutsOf({ x, y, heights }, node, span) {
  if (span === Infinity) return [1, 1];
  const width = x.length;
  const [column, row] = [node % width, Math.floor(node / width)];
  const [a, b, c, d] = [heights[node], heights[node + 1], heights[node + width], heights[node + width + 1]];
  const across = x[column + 1] - x[column] + Math.max(Math.abs(b - a), Math.abs(d - c));
  const along = y[row + 1] - y[row] + Math.max(Math.abs(c - a), Math.abs(d - b));
  return [Math.max(Math.ceil(across / span - 1e-9), 1), Math.max(Math.ceil(along / span - 1e-9), 1)];
}

/** How many facets there are of whole cells. @param {Relief} relief @param {number} span */
export function facetsOf(relief, span) {
  let count = 0;
  for (let node = 0; node < relief.heights.length; node++) {
    if (!isWhole(relief, node)) continue;
    const [across, along] = span === Infinity ? [1, 1] : cutsOf(relief, node, span);
    count += across * along;
  }
  return count;
}

/**
 * The span of the smallest facets of which there are not more than this, if cells are cut at all.
 * @param {Relief} relief
 * @param {number} most
 */
export function spanFor(relief, most) {
  if (facetsOf(relief, Infinity) >= most) return Infinity;
  let [small, large] = [0.01, 4];
  for (let i = 0; i < 12 && large / small > 1.05; i++) {
    const span = Math.sqrt(small * large);
    if (facetsOf(relief, span) <= most) large = span;
    else small = span;
  }
  return large;
}

/** Between the light (Lambert, 1760) and the surface at each node. @param {Relief} relief @param {Sight} sight */
export function cosinesOf({ normals }, { right, up, back }) {
  const [l, m, n] = LIGHT_FROM;
  const [lx, ly, lz] = [0, 1, 2].map((i) => (l * right[i] + m * up[i] + n * back[i]) / LIGHT_LENGTH);
  const cosines = new Float64Array(normals.length / 3);
  for (let i = 0; i < cosines.length; i++) cosines[i] = lx * normals[3 * i] + ly * normals[3 * i + 1] + lz * normals[3 * i + 2];
  return cosines;
}

/**
 * The colour of a height in the light, softly; paler from below.
 * @param {Relief} relief
 * @param {number} height
 * @param {number} cosine
 * @param {boolean} fromBelow
 * @param {number} shade  1 for all of it, 0 for black
 */
export function heightColor({ lowest, highest }, height, cosine, fromBelow, shade) {
  const light = 0.62 + 0.44 * Math.max(fromBelow ? -cosine : cosine, 0);
  const share = highest > lowest ? Math.min(Math.max((height - lowest) / (highest - lowest), 0), 1) : FLAT_HEIGHT;
  const i = 3 * Math.round(256 * share);
  const [dark, white] = [shade * Math.min(light, 1), shade * 255 * Math.max(light - 1, 0)];
  const [pale, keep] = fromBelow ? [0.2 * UNSHADED * dark, 0.8 * dark] : [0, dark * Math.min(2 - light, 1)];
  const more = pale + white + 0.5;
  const [r, g, b] = [VIRIDIS[i] * keep + more, VIRIDIS[i + 1] * keep + more, VIRIDIS[i + 2] * keep + more];
  return `rgb(${r | 0},${g | 0},${b | 0})`;
}

/**
 * The node nearest to a place of the picture: of the corners of the foremost cell there, unless one still nearer stands
 * before it at the surface's edge; where there is no cell, of all within reach.
 * @param {Relief} relief
 * @param {Sight} sight
 * @param {Float64Array} seen  of nodesSeen
 * @param {number} x  in the same units
 * @param {number} y
 * @param {number} reach
 * @returns {number}  −1 for none
 */
export function nearestNode(relief, sight, seen, x, y, reach) {
  const order = painterOrder(relief, sight);
  const width = relief.x.length;
  for (let i = order.count - 1; i >= 0; i--) {
    const node = order.cell(i);
    if (!isWhole(relief, node) || !cellCovers(seen, [node, node + 1, node + width + 1, node + width], x, y)) continue;
    const corner = nearestOf(seen, [node, node + 1, node + width, node + width + 1], x, y, Infinity);
    const behind = nearness(sight, placeOf(relief, corner));
    const stands = (/** @type {number} */ k) => nearness(sight, placeOf(relief, k)) > behind;
    const before = nearestOf(seen, relief.heights.keys(), x, y, distanceTo(seen, corner, x, y), stands);
    return before < 0 ? corner : before;
  }
  return nearestOf(seen, relief.heights.keys(), x, y, reach);
}

/** Where a node is in the box. @param {Relief} relief @param {number} node @returns {Place} */
export function placeOf({ x, y, heights }, node) {
  return [x[node % x.length], y[Math.floor(node / x.length)], heights[node]];
}

/** @param {Float64Array} seen @param {number} node @param {number} x @param {number} y */
function distanceTo(seen, node, x, y) {
  return Math.hypot(seen[2 * node] - x, seen[2 * node + 1] - y);
}

/**
 * @param {Float64Array} seen
 * @param {Iterable<number>} nodes
 * @param {number} x
 * @param {number} y
 * @param {number} reach
 * @param {(node: number) => boolean} [suits]
 */
function nearestOf(seen, nodes, x, y, reach, suits) {
  let [found, least] = [-1, reach * reach];
  for (const node of nodes) {
    const [dx, dy] = [seen[2 * node] - x, seen[2 * node + 1] - y];
    const distance = dx * dx + dy * dy;
    if (distance < least && (!suits || suits(node))) [found, least] = [node, distance];
  }
  return found;
}

/**
 * Whether a place is within the outline of a cell.
 * @param {Float64Array} seen
 * @param {number[]} corners  round
 * @param {number} x
 * @param {number} y
 */
function cellCovers(seen, corners, x, y) {
  let inside = false;
  for (let i = 0, j = 3; i < 4; j = i++) {
    const [ax, ay, bx, by] = [seen[2 * corners[i]], seen[2 * corners[i] + 1], seen[2 * corners[j]], seen[2 * corners[j] + 1]];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}
