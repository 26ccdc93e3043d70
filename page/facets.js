// A relief on a canvas: facets in the painter's order in the colours of their height and light, with lines along the
// grid; and how finely, so that turning stays fluent. Knows no axes.
/** @import { Relief } from "./relief.js" */
/** @import { Scene } from "./scene.js" */
import { cutsOf, facetColor, facetsOf, isWhole, lightOn, nodesSeen, painterOrder, reliefOf, spanFor } from "./relief.js";
import { cssOf, mixed } from "./shades.js";

/**
 * How finely a relief is drawn.
 * @typedef {object} Fineness
 * @property {Relief} relief
 * @property {number} span  of the box, of a facet at most
 * @property {number} count  of facets
 */

const MOST_CELLS = 25000;
const FACETS_PER_CELL = 8;
// How much height a piece of a line spans at most, since it has one colour.
const PIECE = 0.18;
// By how much facets overlap their neighbours, so that nothing shows between them: in pixels.
const OVERLAP = 0.5;
// Milliseconds a facet takes, before it is known.
const GUESS = 0.004;

/**
 * All choices for a grid in the box, the finest first: that of the static figure, a facet a cell, then fewer cells.
 * Made when first asked for.
 * @param {ArrayLike<number>} x
 * @param {ArrayLike<number>} y
 * @param {ArrayLike<number>} heights
 */
export function finenessesOf(x, y, heights) {
  const base = Math.max(Math.ceil(Math.sqrt((x.length * y.length) / MOST_CELLS)), 1);
  /** @type {(Fineness | undefined)[]} */
  const made = [];
  const make = (/** @type {number} */ i) => {
    const relief = i === 1 ? at(0).relief : reliefOf(x, y, heights, base * [1, 1, 2, 3, 4, 6, 9][i]);
    const cells = facetsOf(relief, Infinity);
    const span = i === 0 ? spanFor(relief, Math.min(Math.max(FACETS_PER_CELL * cells, 2000), Math.max(6000, cells))) : Infinity;
    return { relief, span, count: facetsOf(relief, span) };
  };
  /** @param {number} i @returns {Fineness} */
  const at = (i) => (made[i] ??= make(i));
  return { at, last: 6 };
}

/** Keeps how long facets take, and says which fineness fits a time. */
export class Pace {
  constructor() {
    this.each = GUESS;
  }

  /** @param {number} count @param {number} ms */
  took(count, ms) {
    if (count > 100) this.each = 0.5 * this.each + 0.5 * Math.min(Math.max(ms / count, 2e-4), 0.1);
  }

  /** @param {ReturnType<typeof finenessesOf>} finenesses @param {number} ms */
  fitting(finenesses, ms) {
    for (let i = 0; i < finenesses.last; i++) if (finenesses.at(i).count * this.each <= ms) return i;
    return finenesses.last;
  }
}

/**
 * @typedef {object} Canvas
 * @property {CanvasRenderingContext2D} ctx
 * @property {Relief} relief
 * @property {Scene} scene
 * @property {number} span
 * @property {Float64Array} spots  of the nodes, two numbers each
 * @property {boolean} columnsRise
 * @property {boolean} rowsRise
 */

/** Draws it in pieces: rests wherever `isDue` says so. @param {CanvasRenderingContext2D} ctx @param {Fineness} fineness @param {Scene} scene @param {() => boolean} isDue */
export function* paintRelief(ctx, { relief, span }, scene, isDue) {
  const spots = nodesSeen(relief, scene.sight);
  for (let i = 0; i < spots.length; i += 2) {
    spots[i] = scene.origin[0] + scene.unit * spots[i];
    spots[i + 1] = scene.origin[1] + scene.unit * spots[i + 1];
  }
  const { columnsRise, rowsRise, count, cell } = painterOrder(relief, scene.sight);
  const canvas = { ctx, relief, scene, span, spots, columnsRise, rowsRise };
  ctx.lineWidth = 0.45;
  for (let i = 0; i < count; i++) {
    const node = cell(i);
    if (!isWhole(relief, node)) continue;
    const fromBelow = isFromBelow(spots, node, relief.x.length);
    paintFacets(canvas, node);
    if (relief.hasLines) paintEdges(canvas, node, fromBelow);
    if ((i & 31) === 31 && isDue()) yield;
  }
}

/** @param {Float64Array} spots @param {number} node @param {number} width */
function isFromBelow(spots, node, width) {
  const [a, b, c, d] = [2 * node, 2 * (node + 1), 2 * (node + width + 1), 2 * (node + width)];
  return turning(spots[a], spots[a + 1], spots[b], spots[b + 1], spots[c], spots[c + 1], spots[d], spots[d + 1]) > 0;
}

/** Which way a facet goes round, as the product of its diagonals. @param {number[]} corners */
function turning(...[ax, ay, bx, by, cx, cy, dx, dy]) {
  return (cx - ax) * (dy - by) - (cy - ay) * (dx - bx);
}

/** Between the corners of a cell. @param {ArrayLike<number>} of @param {number} node @param {number} width @param {number} stride @param {number} offset @param {number} s @param {number} t */
function acrossCell(of, node, width, stride, offset, s, t) {
  const [a, b] = [of[stride * node + offset], of[stride * (node + 1) + offset]];
  const [c, d] = [of[stride * (node + width) + offset], of[stride * (node + width + 1) + offset]];
  return (1 - t) * ((1 - s) * a + s * b) + t * ((1 - s) * c + s * d);
}

/** The colour of the surface within a cell. @param {Canvas} canvas @param {number} node @param {number} s @param {number} t @param {boolean} fromBelow */
function colorWithin({ relief, scene }, node, s, t, fromBelow) {
  const width = relief.x.length;
  const [x, y, z] = [0, 1, 2].map((i) => acrossCell(relief.normals, node, width, 3, i, s, t));
  return facetColor(relief, acrossCell(relief.heights, node, width, 1, 0, s, t), lightOn(scene.sight, x, y, z, fromBelow), fromBelow);
}

/** The facets of a cell, the farthest first. @param {Canvas} canvas @param {number} node */
function paintFacets(canvas, node) {
  const { ctx, relief, span, spots, columnsRise, rowsRise } = canvas;
  const width = relief.x.length;
  const [across, along] = cutsOf(relief, node, span);
  for (let k = 0; k < along; k++) {
    const j = rowsRise ? k : along - 1 - k;
    for (let l = 0; l < across; l++) {
      const i = columnsRise ? l : across - 1 - l;
      const [s0, s1, t0, t1] = [i / across, (i + 1) / across, j / along, (j + 1) / along];
      const corners = [[s0, t0], [s1, t0], [s1, t1], [s0, t1]];
      const quad = corners.flatMap(([s, t]) => [acrossCell(spots, node, width, 2, 0, s, t), acrossCell(spots, node, width, 2, 1, s, t)]);
      const turn = turning(...quad);
      ctx.fillStyle = cssOf(colorWithin(canvas, node, (s0 + s1) / 2, (t0 + t1) / 2, turn > 0));
      fillGrown(ctx, quad, turn > 0 ? 1 : -1);
    }
  }
}

/** Fills four corners with their sides moved outwards a little; less at sharp corners. @param {CanvasRenderingContext2D} ctx @param {number[]} quad @param {number} turn */
function fillGrown(ctx, quad, turn) {
  ctx.beginPath();
  for (let i = 0; i < 4; i++) {
    const [x, y] = [quad[2 * i], quad[2 * i + 1]];
    const [px, py, nx, ny] = [quad[(2 * i + 6) % 8], quad[(2 * i + 7) % 8], quad[(2 * i + 2) % 8], quad[(2 * i + 3) % 8]];
    const [before, after] = [Math.hypot(x - px, y - py) || 1, Math.hypot(nx - x, ny - y) || 1];
    // Outwards from the side before and from the one after.
    const [ax, ay] = [(turn * (y - py)) / before, (turn * (px - x)) / before];
    const [bx, by] = [(turn * (ny - y)) / after, (turn * (x - nx)) / after];
    const reach = OVERLAP / Math.max(1 + ax * bx + ay * by, 0.5);
    ctx.lineTo(x + reach * (ax + bx), y + reach * (ay + by));
  }
  ctx.fill();
}

/** Lines on the edges of a cell: one between two cells belongs to the nearer, which would cover half of it. @param {Canvas} canvas @param {number} node @param {boolean} fromBelow */
function paintEdges(canvas, node, fromBelow) {
  const { ctx, relief, columnsRise, rowsRise } = canvas;
  const width = relief.x.length;
  const [farColumn, farRow] = [columnsRise ? 0 : 1, rowsRise ? 0 : 1];
  const edges = [[farColumn, 0, farColumn, 1], [0, farRow, 1, farRow]];
  const column = node % width;
  const isLast = columnsRise ? column + 2 >= width : column === 0;
  if (isLast || !isWhole(relief, node + (columnsRise ? 1 : -1))) edges.push([1 - farColumn, 0, 1 - farColumn, 1]);
  if (!isWhole(relief, node + (rowsRise ? width : -width))) edges.push([0, 1 - farRow, 1, 1 - farRow]);
  const heights = [0, 1, width, width + 1].map((k) => relief.heights[node + k]);
  if (Math.max(...heights) - Math.min(...heights) > PIECE) return edges.forEach((edge) => paintPieces(canvas, node, edge, fromBelow));
  ctx.strokeStyle = cssOf(mixed(colorWithin(canvas, node, 0.5, 0.5, fromBelow), [0, 0, 0], 0.28));
  ctx.beginPath();
  edges.forEach((edge) => traceEdge(canvas, node, edge));
  ctx.stroke();
}

/** @param {Canvas} canvas @param {number} node @param {number[]} edge */
function traceEdge({ ctx, relief, spots }, node, [s0, t0, s1, t1]) {
  const at = (/** @type {number} */ offset, /** @type {number} */ s, /** @type {number} */ t) => acrossCell(spots, node, relief.x.length, 2, offset, s, t);
  ctx.moveTo(at(0, s0, t0), at(1, s0, t0));
  ctx.lineTo(at(0, s1, t1), at(1, s1, t1));
}

/** A steep line, in pieces of the colours along it. @param {Canvas} canvas @param {number} node @param {number[]} edge @param {boolean} fromBelow */
function paintPieces(canvas, node, [s0, t0, s1, t1], fromBelow) {
  const { ctx, relief } = canvas;
  const height = (/** @type {number} */ s, /** @type {number} */ t) => acrossCell(relief.heights, node, relief.x.length, 1, 0, s, t);
  const pieces = Math.max(Math.ceil(Math.abs(height(s1, t1) - height(s0, t0)) / PIECE), 1);
  const on = (/** @type {number} */ k) => [s0 + ((s1 - s0) * k) / pieces, t0 + ((t1 - t0) * k) / pieces];
  for (let k = 0; k < pieces; k++) {
    const [s, t] = on(k + 0.5);
    ctx.strokeStyle = cssOf(mixed(colorWithin(canvas, node, s, t, fromBelow), [0, 0, 0], 0.28));
    ctx.beginPath();
    traceEdge(canvas, node, [...on(k), ...on(k + 1)]);
    ctx.stroke();
  }
}
