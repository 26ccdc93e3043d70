// The box around a surface, seen from anywhere above: its walls, ticks and names, as src/plot/scene.rs has them. Knows
// axes and the canvas; what stands in the box is drawn by others.
/** @import { Axis, Theme } from "./types.js" */
/** @import { Range, Ticks } from "./scale.js" */
/** @import { Place, Sight } from "./relief.js" */
import { axisOver } from "./scale.js";
import { NAME_FONT, TICK_FONT } from "./theme.js";
import { HEIGHT, seenFrom, sightFrom } from "./relief.js";
import { cssOf, mixed, rgbOf } from "./shades.js";
import { linesWithin, writeLines } from "./texts.js";

/** @typedef {[number, number]} Spot  on the canvas */
/** @typedef {{ x0: number, y0: number, x1: number, y1: number }} Area */

/**
 * From where one looks at the box, and how closely.
 * @typedef {object} Stand
 * @property {number} azimuth
 * @property {number} elevation
 * @property {number} zoom
 * @property {Spot} moved  off the middle, by the box's width at a zoom of one
 */

/**
 * What the axes are and show.
 * @typedef {object} Box
 * @property {[Axis, Axis, Axis]} axes
 * @property {[Range, Range, Range]} ranges
 */

/**
 * A box where it stands on the canvas.
 * @typedef {object} Scene
 * @property {Sight} sight
 * @property {number} unit  pixels the box is wide
 * @property {Spot} origin  where the middle of the box is
 * @property {number} width  of the canvas
 * @property {number} height
 * @property {[Place, Place][]} edges  where x, y and z are: along the front of the floor, and upwards on the left
 * @property {Place[][]} walls  the floor and the walls behind
 * @property {Spot} back  the corner of the floor that is farthest away
 */

/** @typedef {{ area: Area, lines: string[], isName: boolean, upwards: boolean }} Written */

// Beside the box at any angle: room for ticks and names.
const BOX_ROOM = { left: 64, right: 34, top: 8, bottom: 42 };
const BOX_TICK = 3.4;
const BOX_GAP = 4.5;
const BOX_TICK_SIZE = 12;
const BOX_NAME_LINE = 15.5;
// How a name may stand: its width by the canvas's, its lines, and where along its axis; the first that has room.
const NAME_PLACES = [[0.42, 2], [0.3, 2], [0.2, 3]].flatMap((size) => [0.5, 0.35, 0.65].map((along) => [...size, along]));

/** @param {Stand} stand @param {number} width @param {number} height */
export function unitOf({ elevation }, width, height) {
  // Wide enough for any azimuth: turned, the box keeps its size.
  const e = (elevation * Math.PI) / 180;
  const high = Math.SQRT2 * Math.sin(e) + HEIGHT * Math.cos(e);
  const [across, down] = [width - BOX_ROOM.left - BOX_ROOM.right, height - BOX_ROOM.top - BOX_ROOM.bottom];
  return Math.max(Math.min(across / Math.SQRT2, down / high), 20);
}

/** @param {Stand} stand @param {number} width @param {number} height @returns {Scene} */
export function sceneFrom(stand, width, height) {
  const sight = sightFrom(stand.azimuth, stand.elevation);
  const unit = unitOf(stand, width, height);
  const middle = [(width + BOX_ROOM.left - BOX_ROOM.right) / 2, (height + BOX_ROOM.top - BOX_ROOM.bottom) / 2];
  const origin = /** @type {Spot} */ ([0, 1].map((i) => middle[i] + unit * stand.moved[i]));
  const [fx, fy] = [sight.back[0] > 0 ? 1 : 0, sight.back[1] > 0 ? 1 : 0];
  const [bx, by] = [1 - fx, 1 - fy];
  const isLeft = seenFrom(sight, [fx, by, 0])[0] < seenFrom(sight, [bx, fy, 0])[0];
  const [lx, ly] = isLeft ? [fx, by] : [bx, fy];
  return {
    sight, unit: unit * stand.zoom, origin, width, height, back: [bx, by],
    edges: [[[0, fy, 0], [1, fy, 0]], [[fx, 0, 0], [fx, 1, 0]], [[lx, ly, 0], [lx, ly, 1]]],
    walls: [
      [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]],
      [[bx, 0, 0], [bx, 1, 0], [bx, 1, 1], [bx, 0, 1]],
      [[0, by, 0], [1, by, 0], [1, by, 1], [0, by, 1]],
    ],
  };
}

/** Where a place in the box is on the canvas. @param {Scene} scene @param {Place} place @returns {Spot} */
export function spotOf({ sight, unit, origin }, place) {
  const [x, y] = seenFrom(sight, place);
  return [origin[0] + unit * x, origin[1] + unit * y];
}

/** @param {CanvasRenderingContext2D} ctx @param {Spot[]} spots */
export function tracePath(ctx, spots) {
  ctx.beginPath();
  spots.forEach(([x, y], i) => (i === 0 ? ctx.moveTo(x, y) : ctx.lineTo(x, y)));
}

/**
 * The ticks of each axis, as dense as their labels allow.
 * @param {CanvasRenderingContext2D} ctx
 * @param {Scene} scene
 * @param {Box} box
 * @returns {Ticks[]}
 */
export function ticksAround(ctx, scene, { axes, ranges }) {
  ctx.font = TICK_FONT;
  const wide = (/** @type {string} */ label) => ctx.measureText(label).width + 0.8 * BOX_TICK_SIZE;
  return scene.edges.map(([low, high], i) => {
    const [a, b] = [spotOf(scene, low), spotOf(scene, high)];
    const [dx, dy] = [Math.abs(b[0] - a[0]), Math.abs(b[1] - a[1])];
    if (i === 2) return axisOver(axes[i], ranges[i], dy).fitting(() => 2 * BOX_TICK_SIZE, 7);
    // Labels beside each other are clear by their widths, those under each other by their heights.
    const [across, down] = [axisOver(axes[i], ranges[i], dx), axisOver(axes[i], ranges[i], dy)];
    const choices = [across.fitting(wide, 6), down.fitting(() => 1.5 * BOX_TICK_SIZE, 6)];
    return choices[0].major.length >= choices[1].major.length ? choices[0] : choices[1];
  });
}

/**
 * Walls behind the surface, with a line for each tick on the floor and up a wall, or on both walls.
 * @param {CanvasRenderingContext2D} ctx
 * @param {Scene} scene
 * @param {Ticks[]} ticks
 * @param {Theme} theme
 */
export function drawWalls(ctx, scene, ticks, theme) {
  const [paper, ink] = [rgbOf(theme.paper), rgbOf(theme.ink)];
  ctx.fillStyle = cssOf(mixed(paper, ink, 0.03));
  const outlines = scene.walls.map((wall) => wall.map((corner) => spotOf(scene, corner)));
  outlines.forEach((outline) => (tracePath(ctx, outline), ctx.fill()));
  const [bx, by] = scene.back;
  const [fx, fy] = [1 - bx, 1 - by];
  ctx.lineWidth = 0.75;
  ctx.strokeStyle = cssOf(mixed(paper, ink, 0.12));
  ticks.forEach(({ major }, axis) => {
    for (const { at } of major) {
      /** @type {Place[][]} */
      const lines = [
        [[at, fy, 0], [at, by, 0], [at, by, 1]],
        [[fx, at, 0], [bx, at, 0], [bx, at, 1]],
        [[bx, fy, at], [bx, by, at], [fx, by, at]],
      ];
      tracePath(ctx, lines[axis].map((place) => spotOf(scene, place)));
      ctx.stroke();
    }
  });
  ctx.strokeStyle = cssOf(mixed(paper, ink, 0.24));
  outlines.forEach((outline) => (tracePath(ctx, outline), ctx.closePath(), ctx.stroke()));
}

/**
 * Axes in front of the surface, with all that is written.
 * @param {CanvasRenderingContext2D} ctx
 * @param {Scene} scene
 * @param {Box} box
 * @param {Ticks[]} ticks
 * @param {Theme} theme
 */
export function drawBoxAxes(ctx, scene, box, ticks, theme) {
  ctx.strokeStyle = ctx.fillStyle = theme.soft;
  ctx.lineWidth = 1;
  scene.edges.forEach((edge) => (tracePath(ctx, edge.map((end) => spotOf(scene, end))), ctx.stroke()));
  ticks.forEach((of, axis) => {
    ctx.lineWidth = 0.75;
    of.minor.forEach((at) => (tracePath(ctx, boxTick(scene, axis, at, 0.6 * BOX_TICK)), ctx.stroke()));
    ctx.lineWidth = 1;
    of.major.forEach(({ at }) => (tracePath(ctx, boxTick(scene, axis, at, BOX_TICK)), ctx.stroke()));
  });
  for (const { area, lines, isName, upwards } of writtenAround(ctx, scene, box, ticks)) {
    ctx.font = isName ? NAME_FONT : TICK_FONT;
    ctx.fillStyle = isName ? theme.ink : theme.soft;
    writeLines(ctx, lines, (area.x0 + area.x1) / 2, (area.y0 + area.y1) / 2, BOX_NAME_LINE, upwards);
  }
}

/**
 * Outwards from the box, along which an axis has its ticks.
 * @param {Scene} scene
 * @param {number} axis
 * @returns {Spot}
 */
function outwardsOf(scene, axis) {
  if (axis === 2) return [-1, 0];
  const [x, y] = scene.edges[1 - axis];
  const inFront = scene.edges[axis][0][1 - axis] === 1 ? [x, y] : [y, x];
  const [from, to] = inFront.map((end) => spotOf(scene, end));
  return directionOf(from, to);
}

/** From a to b, of length one. @param {Spot} a @param {Spot} b @returns {Spot} */
function directionOf(a, b) {
  const length = Math.hypot(b[0] - a[0], b[1] - a[1]) || 1;
  return [(b[0] - a[0]) / length, (b[1] - a[1]) / length];
}

/** @param {Scene} scene @param {number} axis @param {number} at @param {number} length @returns {[Spot, Spot]} */
function boxTick(scene, axis, at, length) {
  const [low, high] = scene.edges[axis];
  const [x, y] = spotOf(scene, /** @type {Place} */ ([0, 1, 2].map((i) => low[i] + at * (high[i] - low[i]))));
  const [dx, dy] = outwardsOf(scene, axis);
  return [[x, y], [x + length * dx, y + length * dy]];
}

/** @param {CanvasRenderingContext2D} ctx @param {Scene} scene @param {Box} box @param {Ticks[]} ticks */
function writtenAround(ctx, scene, box, ticks) {
  /** @type {Written[]} */
  const written = [];
  ctx.font = TICK_FONT;
  ticks.forEach(({ major }, axis) => {
    const [dx, dy] = outwardsOf(scene, axis);
    for (const { at, label } of major) {
      const [, [x, y]] = boxTick(scene, axis, at, BOX_TICK + BOX_GAP);
      const [rx, ry] = [ctx.measureText(label).width / 2, 0.37 * BOX_TICK_SIZE];
      const area = areaAround(x + dx * rx, y + dy * ry, rx, ry);
      if (written.some((other) => overlapping(grownBy(other.area, BOX_GAP / 2), area))) continue;
      written.push({ area, lines: [label], isName: false, upwards: false });
    }
  });
  ctx.font = NAME_FONT;
  [0, 1].forEach((axis) => nameBeside(ctx, scene, box, axis, written));
  uprightName(ctx, scene, box, written);
  return written;
}

/**
 * The name of x or y beside the middle of its axis, as near as what is written there lets it, in as few lines as find room.
 * @param {CanvasRenderingContext2D} ctx
 * @param {Scene} scene
 * @param {Box} box
 * @param {number} axis
 * @param {Written[]} written
 */
function nameBeside(ctx, scene, { axes }, axis, written) {
  const [a, b] = scene.edges[axis].map((end) => spotOf(scene, end));
  const [ax, ay] = directionOf(a, b);
  // Away from the box, whichever way the axis runs.
  const side = ((a[0] + b[0]) / 2 - scene.origin[0]) * -ay + ((a[1] + b[1]) / 2 - scene.origin[1]) * ax > 0 ? 1 : -1;
  for (const [share, most, along] of NAME_PLACES) {
    const lines = linesWithin(ctx, axes[axis].label, share * scene.width, most);
    if (lines.length === 0) return;
    if (lines.some((line) => line.endsWith("…")) && share > 0.25) continue;
    const [rx, ry] = [Math.max(...lines.map((line) => ctx.measureText(line).width)) / 2, 0.45 * BOX_NAME_LINE * lines.length];
    for (let far = 0; far < 100; far++) {
      const [x, y] = [a[0] + along * (b[0] - a[0]), a[1] + along * (b[1] - a[1])];
      const area = areaAround(x - side * far * ay, y + side * far * ax, rx, ry);
      const wide = grownBy(area, BOX_GAP);
      if (lineReaches(wide, a, b) || written.some((other) => overlapping(other.area, wide))) continue;
      if (area.x0 < 1 || area.x1 > scene.width - 1 || area.y1 > scene.height - 1) break;
      written.push({ area, lines, isName: true, upwards: false });
      return;
    }
  }
}

/**
 * The name of z, left of what its ticks say.
 * @param {CanvasRenderingContext2D} ctx
 * @param {Scene} scene
 * @param {Box} box
 * @param {Written[]} written
 */
function uprightName(ctx, scene, { axes }, written) {
  const [low, high] = scene.edges[2].map((end) => spotOf(scene, end));
  const lines = linesWithin(ctx, axes[2].label, Math.max(low[1] - high[1], 70), 2);
  if (lines.length === 0) return;
  const longest = Math.max(...lines.map((line) => ctx.measureText(line).width));
  const isBeside = (/** @type {Area} */ area) => area.x1 < low[0] && area.y0 > high[1] - 20 && area.y1 < low[1] + 20;
  const beside = written.filter(({ area, isName }) => !isName && isBeside(area));
  const x1 = Math.min(low[0] - BOX_TICK - BOX_GAP, ...beside.map(({ area }) => area.x0)) - BOX_GAP;
  const depth = 0.45 * BOX_NAME_LINE * lines.length;
  const area = areaAround(Math.max(x1 - depth, depth + 1), (low[1] + high[1]) / 2, depth, longest / 2);
  written.push({ area, lines, isName: true, upwards: true });
}

/** @param {number} x @param {number} y @param {number} rx @param {number} ry @returns {Area} */
function areaAround(x, y, rx, ry) {
  return { x0: x - rx, y0: y - ry, x1: x + rx, y1: y + ry };
}

/** @param {Area} area @param {number} by @returns {Area} */
function grownBy({ x0, y0, x1, y1 }, by) {
  return { x0: x0 - by, y0: y0 - by, x1: x1 + by, y1: y1 + by };
}

/** @param {Area} a @param {Area} b */
function overlapping(a, b) {
  return a.x0 <= b.x1 && b.x0 <= a.x1 && a.y0 <= b.y1 && b.y0 <= a.y1;
}

/** Whether a line reaches into an area. @param {Area} area @param {Spot} a @param {Spot} b */
function lineReaches({ x0, y0, x1, y1 }, a, b) {
  const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
  const sides = [[x0, y0], [x1, y0], [x1, y1], [x0, y1]].map(([x, y]) => Math.sign(dx * (y - a[1]) - dy * (x - a[0])));
  const box = { x0: Math.min(a[0], b[0]), y0: Math.min(a[1], b[1]), x1: Math.max(a[0], b[0]), y1: Math.max(a[1], b[1]) };
  return overlapping(box, { x0, y0, x1, y1 }) && !sides.every((s) => s === sides[0] && s !== 0);
}
