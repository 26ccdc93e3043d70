// A relief on a canvas: facets in the painter's order in the colours of their height and light, with lines along the
// grid; and how finely, so that turning stays fluent. Knows no axes.
/** @import { Relief } from "./relief.js" */
/** @import { Scene } from "./scene.js" */
import { cosinesOf, cutsOf, facetsOf, heightColor, isWhole, nodesSeen, painterOrder, reliefOf, spanFor } from "./relief.js";

/**
 * How finely a relief is drawn.
 * @typedef {object} Fineness
 * @property {Relief} relief
 * @property {number} span  of the box, of a facet at most
 * @property {number} cells  that are whole
 */

const MOST_CELLS = 25000;
const FACETS_PER_CELL = 8;
// How much height a piece of a line spans at most, since it has one colour.
const PIECE = 0.18;
// By how much facets overlap their neighbours, so that nothing shows between them: in pixels.
const OVERLAP = 0.5;
// Of each choice, how many rows and columns are one.
const EVERY = [1, 1, 2, 3, 4, 6, 9];
// Milliseconds a piece takes, before it is known: at first all is slow.
const GUESS = 0.025;
const LINE_SHADE = 0.72;

/**
 * All choices for a grid in the box, the finest first: that of the static figure, a facet a cell, then fewer cells.
 * Made when first asked for; `pieces` says about how much there is to draw without making it, `whole` is the grid.
 * @param {ArrayLike<number>} x
 * @param {ArrayLike<number>} y
 * @param {ArrayLike<number>} heights
 */
export function finenessesOf(x, y, heights) {
  const base = Math.max(Math.ceil(Math.sqrt((x.length * y.length) / MOST_CELLS)), 1);
  /** @type {(Fineness | undefined)[]} */
  const made = [];
  // As many facets as a cut cell may have, so that there are not too many of all.
  const most = () => Math.min(Math.max(FACETS_PER_CELL * at(1).cells, 2000), Math.max(6000, at(1).cells));
  const make = (/** @type {number} */ i) => {
    if (i === 0) return { ...at(1), span: spanFor(at(1).relief, most()) };
    const relief = reliefOf(x, y, heights, base * EVERY[i]);
    // Lines do not come and go while it is turned.
    if (i > 1) relief.hasLines = at(1).relief.hasLines;
    return { relief, span: Infinity, cells: facetsOf(relief, Infinity) };
  };
  /** @param {number} i @returns {Fineness} */
  const at = (i) => (made[i] ??= make(i));
  const pieces = (/** @type {number} */ i) => {
    const { relief, cells } = at(1);
    // A cell has two lines, which take as long as a facet.
    return ((i === 0 ? most() : cells) + (relief.hasLines ? cells : 0)) / (EVERY[i] * EVERY[i]);
  };
  return { whole: () => at(1), at, pieces, last: EVERY.length - 1 };
}

/** Keeps how long a piece takes, and says which fineness fits a time. */
export class Pace {
  constructor() {
    this.each = GUESS;
  }

  /** @param {number} pieces @param {number} ms */
  took(pieces, ms) {
    if (pieces > 100) this.each = 0.5 * this.each + 0.5 * Math.min(Math.max(ms / pieces, 2e-4), 0.1);
  }

  /** @param {ReturnType<typeof finenessesOf>} finenesses @param {number} ms */
  fitting(finenesses, ms) {
    for (let i = 0; i < finenesses.last; i++) if (finenesses.pieces(i) * this.each <= ms) return i;
    return finenesses.last;
  }
}

/**
 * What the cells of a relief are painted from.
 * @typedef {object} Canvas
 * @property {CanvasRenderingContext2D} ctx
 * @property {Relief} relief
 * @property {number} span
 * @property {Float64Array} spots  where the nodes are, two numbers each
 * @property {Float64Array} cosines  between the light and the surface at each node
 * @property {boolean} columnsRise
 * @property {boolean} rowsRise
 */

/**
 * Draws it in pieces: rests wherever `isDue` says so.
 * @param {CanvasRenderingContext2D} ctx
 * @param {Fineness} fineness
 * @param {Scene} scene
 * @param {() => boolean} isDue
 */
export function* paintRelief(ctx, { relief, span }, scene, isDue) {
  const spots = nodesSeen(relief, scene.sight);
  for (let i = 0; i < spots.length; i += 2) {
    spots[i] = scene.origin[0] + scene.unit * spots[i];
    spots[i + 1] = scene.origin[1] + scene.unit * spots[i + 1];
  }
  const { columnsRise, rowsRise, count, cell } = painterOrder(relief, scene.sight);
  const canvas = { ctx, relief, span, spots, cosines: cosinesOf(relief, scene.sight), columnsRise, rowsRise };
  ctx.lineWidth = 0.45;
  for (let i = 0; i < count; i++) {
    const node = cell(i);
    if (!isWhole(relief, node)) continue;
    paintFacets(canvas, node);
    if (relief.hasLines) paintEdges(canvas, node);
    if ((i & 31) === 31 && isDue()) yield;
  }
}

/**
 * Between four corners: low x and y, high x, high y, high both.
 * @param {number} a
 * @param {number} b
 * @param {number} c
 * @param {number} d
 * @param {number} s
 * @param {number} t
 */
function acrossCell(a, b, c, d, s, t) {
  return (1 - t) * ((1 - s) * a + s * b) + t * ((1 - s) * c + s * d);
}

/**
 * Of one number a node.
 * @param {Float64Array} of
 * @param {number} node
 * @param {number} width
 * @param {number} s
 * @param {number} t
 */
function betweenNodes(of, node, width, s, t) {
  return acrossCell(of[node], of[node + 1], of[node + width], of[node + width + 1], s, t);
}

/**
 * One coordinate of a spot.
 * @param {Canvas} canvas
 * @param {number} node
 * @param {number} offset  0 across, 1 down
 * @param {number} s
 * @param {number} t
 */
function spotIn({ spots, relief }, node, offset, s, t) {
  const low = 2 * node + offset;
  const high = low + 2 * relief.x.length;
  return acrossCell(spots[low], spots[low + 2], spots[high], spots[high + 2], s, t);
}

/** The facets of a cell, the farthest first. @param {Canvas} canvas @param {number} node */
function paintFacets(canvas, node) {
  const { relief, span, columnsRise, rowsRise } = canvas;
  const [across, along] = cutsOf(relief, node, span);
  for (let k = 0; k < along; k++) {
    const j = rowsRise ? k : along - 1 - k;
    for (let l = 0; l < across; l++) {
      const i = columnsRise ? l : across - 1 - l;
      paintFacet(canvas, node, i / across, (i + 1) / across, j / along, (j + 1) / along);
    }
  }
}

/**
 * Its sides moved outwards a little, less at sharp corners.
 * @param {Canvas} canvas
 * @param {number} node
 * @param {number} s0
 * @param {number} s1
 * @param {number} t0
 * @param {number} t1
 */
function paintFacet(canvas, node, s0, s1, t0, t1) {
  const { ctx, relief, cosines } = canvas;
  const ax = spotIn(canvas, node, 0, s0, t0);
  const ay = spotIn(canvas, node, 1, s0, t0);
  const bx = spotIn(canvas, node, 0, s1, t0);
  const by = spotIn(canvas, node, 1, s1, t0);
  const cx = spotIn(canvas, node, 0, s1, t1);
  const cy = spotIn(canvas, node, 1, s1, t1);
  const dx = spotIn(canvas, node, 0, s0, t1);
  const dy = spotIn(canvas, node, 1, s0, t1);
  const turn = (cx - ax) * (dy - by) - (cy - ay) * (dx - bx) > 0 ? 1 : -1;
  const s = (s0 + s1) / 2;
  const t = (t0 + t1) / 2;
  const width = relief.x.length;
  const height = betweenNodes(relief.heights, node, width, s, t);
  ctx.fillStyle = heightColor(relief, height, betweenNodes(cosines, node, width, s, t), turn > 0, 1);
  ctx.beginPath();
  traceCorner(ctx, dx, dy, ax, ay, bx, by, turn);
  traceCorner(ctx, ax, ay, bx, by, cx, cy, turn);
  traceCorner(ctx, bx, by, cx, cy, dx, dy, turn);
  traceCorner(ctx, cx, cy, dx, dy, ax, ay, turn);
  ctx.fill();
}

/**
 * From the corner before, over this one, to the next.
 * @param {CanvasRenderingContext2D} ctx
 * @param {number} px
 * @param {number} py
 * @param {number} x
 * @param {number} y
 * @param {number} nx
 * @param {number} ny
 * @param {number} turn
 */
function traceCorner(ctx, px, py, x, y, nx, ny, turn) {
  const before = turn / (Math.sqrt((x - px) ** 2 + (y - py) ** 2) || 1);
  const after = turn / (Math.sqrt((nx - x) ** 2 + (ny - y) ** 2) || 1);
  const ax = (y - py) * before;
  const ay = (px - x) * before;
  const bx = (ny - y) * after;
  const by = (x - nx) * after;
  const reach = OVERLAP / Math.max(1 + ax * bx + ay * by, 0.5);
  ctx.lineTo(x + reach * (ax + bx), y + reach * (ay + by));
}

/**
 * Lines on the edges of a cell: one between two cells belongs to the nearer, which would cover half of it.
 * @param {Canvas} canvas
 * @param {number} node
 */
function paintEdges(canvas, node) {
  const { relief, columnsRise, rowsRise } = canvas;
  const width = relief.x.length;
  const [farColumn, farRow] = [columnsRise ? 0 : 1, rowsRise ? 0 : 1];
  paintEdge(canvas, node, farColumn, 0, farColumn, 1);
  paintEdge(canvas, node, 0, farRow, 1, farRow);
  const isLast = columnsRise ? (node % width) + 2 >= width : node % width === 0;
  if (isLast || !isWhole(relief, node + (columnsRise ? 1 : -1))) paintEdge(canvas, node, 1 - farColumn, 0, 1 - farColumn, 1);
  if (!isWhole(relief, node + (rowsRise ? width : -width))) paintEdge(canvas, node, 0, 1 - farRow, 1, 1 - farRow);
}

/**
 * A steep line is in pieces of the colours along it.
 * @param {Canvas} canvas
 * @param {number} node
 * @param {number} s0
 * @param {number} t0
 * @param {number} s1
 * @param {number} t1
 */
function paintEdge(canvas, node, s0, t0, s1, t1) {
  const { ctx, relief, cosines } = canvas;
  const width = relief.x.length;
  const rise = betweenNodes(relief.heights, node, width, s1, t1) - betweenNodes(relief.heights, node, width, s0, t0);
  const pieces = Math.max(Math.ceil(Math.abs(rise) / PIECE), 1);
  for (let k = 0; k < pieces; k++) {
    const [ds, dt] = [(s1 - s0) / pieces, (t1 - t0) / pieces];
    const [sa, ta, sb, tb] = [s0 + k * ds, t0 + k * dt, s0 + (k + 1) * ds, t0 + (k + 1) * dt];
    const [s, t] = [(sa + sb) / 2, (ta + tb) / 2];
    const height = betweenNodes(relief.heights, node, width, s, t);
    ctx.strokeStyle = heightColor(relief, height, betweenNodes(cosines, node, width, s, t), false, LINE_SHADE);
    ctx.beginPath();
    ctx.moveTo(spotIn(canvas, node, 0, sa, ta), spotIn(canvas, node, 1, sa, ta));
    ctx.lineTo(spotIn(canvas, node, 0, sb, tb), spotIn(canvas, node, 1, sb, tb));
    ctx.stroke();
  }
}
