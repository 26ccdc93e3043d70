// Paths and points on a surface, and what is read of it, drawn on top of everything with white around them on whatever
// colour, as src/plot/scene.rs has them.
/** @import { Theme } from "./types.js" */
/** @import { Place } from "./relief.js" */
/** @import { Scene, Spot } from "./scene.js" */
/** @import { Marked } from "./solid.js" */
import { colorIn } from "./theme.js";
import { spotOf, tracePath } from "./scene.js";
import { PATH_DISCS } from "./strokes.js";

const MARK_LINE = 1.5;
const MARK_HALO = 0.6;
const MARK_DISC = 2.4;

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {Scene} scene
 * @param {Marked[]} marks
 * @param {number} until  the point up to which paths are drawn, the rest faintly
 * @param {Theme} theme
 */
export function drawMarks(ctx, scene, marks, until, theme) {
  marks.forEach((mark) => {
    const spots = mark.places.map((place) => place && spotOf(scene, place));
    const color = colorIn(theme, mark.color);
    if (mark.shape !== "path" && mark.shape !== "open_path") {
      return spots.forEach((spot) => spot && drawShape(ctx, mark.shape, spot, MARK_DISC, color));
    }
    const end = Math.min(until, spots.length - 1);
    ctx.globalAlpha = 0.35;
    if (end < spots.length - 1) drawGrowing(ctx, spots, end, spots.length - 1, mark.shape, color);
    ctx.globalAlpha = 1;
    drawGrowing(ctx, spots, 0, end, mark.shape, color);
  });
}

/**
 * From one point of a path to another: its line, and discs that grow to the last of all.
 * @param {CanvasRenderingContext2D} ctx
 * @param {(Spot | null)[]} spots
 * @param {number} from
 * @param {number} to
 * @param {Marked["shape"]} shape
 * @param {string} color
 */
function drawGrowing(ctx, spots, from, to, shape, color) {
  ctx.setLineDash([]);
  for (const [style, width] of /** @type {[string, number][]} */ ([["#fff", MARK_LINE + 2 * MARK_HALO], [color, MARK_LINE]])) {
    [ctx.strokeStyle, ctx.lineWidth] = [style, width];
    ctx.beginPath();
    for (let i = from; i <= to; i++) {
      const [spot, before] = [spots[i], i > from ? spots[i - 1] : null];
      if (spot && before) ctx.lineTo(...spot);
      else if (spot) ctx.moveTo(...spot);
    }
    ctx.stroke();
  }
  /** @type {Spot | null} */
  let last = null;
  // Where points share a place, the last one shows: those that follow each other closely are one disc.
  for (let i = from; i <= to; i++) {
    const [spot, next] = [spots[i], i < to ? spots[i + 1] : null];
    if (!spot || (next && apart(next, spot) < 0.6 && (!last || apart(last, spot) < 3))) continue;
    last = spot;
    const age = i / Math.max(spots.length - 1, 1);
    drawShape(ctx, shape, spot, PATH_DISCS[0] + (PATH_DISCS[1] - PATH_DISCS[0]) * age, color);
  }
}

/** @param {Spot} a @param {Spot} b */
function apart(a, b) {
  return Math.hypot(a[0] - b[0], a[1] - b[1]);
}

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {Marked["shape"]} shape
 * @param {Spot} spot
 * @param {number} radius
 * @param {string} color
 */
function drawShape(ctx, shape, [x, y], radius, color) {
  const isHollow = shape === "open_path" || shape === "circle";
  if (shape === "cross") {
    for (const [style, width] of /** @type {[string, number][]} */ ([["#fff", 3.2], [color, 1.6]])) {
      [ctx.strokeStyle, ctx.lineWidth] = [style, width];
      ctx.beginPath();
      [[-1, -1], [-1, 1]].forEach(([u, v]) => (ctx.moveTo(x + 2.6 * u, y + 2.6 * v), ctx.lineTo(x - 2.6 * u, y - 2.6 * v)));
      ctx.stroke();
    }
    return;
  }
  if (shape === "disc" || shape === "circle") fillDisc(ctx, x, y, radius + MARK_HALO, "#fff");
  fillDisc(ctx, x, y, radius, color);
  if (isHollow) fillDisc(ctx, x, y, radius - 1.1, "#fff");
}

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {number} x
 * @param {number} y
 * @param {number} radius
 * @param {string} color
 */
function fillDisc(ctx, x, y, radius, color) {
  ctx.fillStyle = color;
  ctx.beginPath();
  ctx.arc(x, y, Math.max(radius, 0.3), 0, 2 * Math.PI);
  ctx.fill();
}

/**
 * A ring around what is read.
 * @param {CanvasRenderingContext2D} ctx
 * @param {Scene} scene
 * @param {Place | null} place
 * @param {Theme} theme
 */
export function drawPointAt(ctx, scene, place, theme) {
  if (!place) return;
  const [x, y] = spotOf(scene, place);
  for (const [style, width] of /** @type {[string, number][]} */ ([[theme.paper, 3.6], [theme.ink, 1.6]])) {
    [ctx.strokeStyle, ctx.lineWidth] = [style, width];
    ctx.beginPath();
    ctx.arc(x, y, 6, 0, 2 * Math.PI);
    ctx.stroke();
  }
}

/**
 * A node that is read, with lines to the floor and on it to both axes.
 * @param {CanvasRenderingContext2D} ctx
 * @param {Scene} scene
 * @param {Place} place
 * @param {Theme} theme
 */
export function drawNode(ctx, scene, place, theme) {
  const [u, v] = place;
  const [fx, fy] = [1 - scene.back[0], 1 - scene.back[1]];
  [ctx.strokeStyle, ctx.lineWidth] = [theme.ink, 1];
  ctx.globalAlpha = 0.6;
  ctx.setLineDash([3, 3]);
  /** @type {Place[][]} */
  const lines = [[place, [u, v, 0]], [[u, fy, 0], [u, v, 0], [fx, v, 0]]];
  lines.forEach((line) => (tracePath(ctx, line.map((at) => spotOf(scene, at))), ctx.stroke()));
  ctx.setLineDash([]);
  ctx.globalAlpha = 1;
  drawPointAt(ctx, scene, place, theme);
  const [x, y] = spotOf(scene, place);
  fillDisc(ctx, x, y, 1.6, theme.ink);
}
