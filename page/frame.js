// Where the area of a plot lies on its canvas, and what stands around it: grid, axes, ticks and their names. Knows no
// curves.
import { axisOver } from "./scale.js";
import { linesWithin, shortenedTo } from "./texts.js";
import { NAME_FONT, TICK_FONT } from "./theme.js";
/** @import { Axis, Theme } from "./types.js" */
/** @import { Placed, Range, Ticks } from "./scale.js" */

/** @typedef {{ left: number, right: number, top: number, bottom: number }} Insets */

/**
 * @typedef {object} Side
 * @property {Axis} axis
 * @property {Range} full  what is shown without zooming, in the scale's own coordinate
 * @property {Range} shown
 */

/**
 * The area of a plot, in CSS pixels, with its axes.
 * @typedef {object} Frame
 * @property {number} x0
 * @property {number} y0
 * @property {number} x1
 * @property {number} y1
 * @property {Placed} x
 * @property {Placed[]} y  left, and right where there is one
 */

const TICK = 5;
const MINOR_TICK = 3;
const LINE = 15;

/**
 * What the axes need around the plot.
 * @param {CanvasRenderingContext2D} ctx
 * @param {Side} x
 * @param {Side[]} y
 * @param {number} width
 * @param {number} height
 * @returns {Insets}
 */
export function insetsFor(ctx, x, y, width, height) {
  const top = 9;
  const bottom = TICK + 3 + 12 + 2 + (x.axis.label ? LINE + 3 : 0);
  const depths = y.map((side) => {
    const { major } = yTicks(side, height - top - bottom);
    return widest(ctx, major.map((tick) => tick.label)) + TICK + 6 + LINE * nameLines(ctx, side.axis, height - top - bottom).length;
  });
  const left = Math.ceil(depths[0]);
  const right = Math.ceil(depths[1] ?? 4);
  const { major } = xTicks(ctx, x, width - left - right);
  const last = major[major.length - 1];
  const over = last ? ctx.measureText(last.label).width / 2 - (1 - last.at) * (width - left - right) + 3 : 0;
  return { left, right: Math.max(right, Math.ceil(over)), top, bottom };
}

/**
 * @param {Side} x
 * @param {Side[]} y
 * @param {Insets} insets
 * @param {number} width
 * @param {number} height
 * @returns {Frame}
 */
export function frameOf(x, y, insets, width, height) {
  const [x0, x1] = [insets.left, Math.max(width - insets.right, insets.left + 20)];
  const [y0, y1] = [insets.top, Math.max(height - insets.bottom, insets.top + 20)];
  const place = (/** @type {Side} */ side, /** @type {number} */ pixels) => axisOver(side.axis, side.shown, pixels);
  return { x0, x1, y0, y1, x: place(x, x1 - x0), y: y.map((side) => place(side, y1 - y0)) };
}

/** @param {CanvasRenderingContext2D} ctx @param {string[]} texts */
function widest(ctx, texts) {
  ctx.font = TICK_FONT;
  return texts.reduce((most, text) => Math.max(most, ctx.measureText(text).width), 0);
}

/** @param {CanvasRenderingContext2D} ctx @param {Side} side @param {number} width */
function xTicks(ctx, side, width) {
  ctx.font = TICK_FONT;
  const extent = (/** @type {string} */ label) => ctx.measureText(label).width + 16;
  return axisOver(side.axis, side.shown, width).fitting(extent, 8);
}

/** @param {Side} side @param {number} height */
function yTicks(side, height) {
  return axisOver(side.axis, side.shown, height).fitting(() => 24, 7);
}

/** @param {CanvasRenderingContext2D} ctx @param {Axis} axis @param {number} height */
function nameLines(ctx, axis, height) {
  ctx.font = NAME_FONT;
  return linesWithin(ctx, axis.label, height, 2);
}

/**
 * Faint lines at the ticks.
 * @param {CanvasRenderingContext2D} ctx
 * @param {Frame} frame
 * @param {Side} x
 * @param {Side[]} y
 * @param {Theme} theme
 */
export function drawGrid(ctx, frame, x, y, theme) {
  ctx.strokeStyle = theme.line;
  ctx.globalAlpha = 0.75;
  ctx.lineWidth = 1;
  ctx.beginPath();
  for (const tick of xTicks(ctx, x, frame.x1 - frame.x0).major) {
    const at = crisp(frame.x0 + tick.at * (frame.x1 - frame.x0));
    ctx.moveTo(at, frame.y0);
    ctx.lineTo(at, frame.y1);
  }
  for (const tick of yTicks(y[0], frame.y1 - frame.y0).major) {
    const at = crisp(frame.y1 - tick.at * (frame.y1 - frame.y0));
    ctx.moveTo(frame.x0, at);
    ctx.lineTo(frame.x1, at);
  }
  ctx.stroke();
  ctx.globalAlpha = 1;
}

/** Where a line of one pixel fills whole pixels. @param {number} at */
export function crisp(at) {
  return Math.round(at - 0.5) + 0.5;
}

/**
 * Axes with ticks and names.
 * @param {CanvasRenderingContext2D} ctx
 * @param {Frame} frame
 * @param {Side} x
 * @param {Side[]} y
 * @param {Theme} theme
 */
export function drawPlotAxes(ctx, frame, x, y, theme) {
  const { x0, x1, y0, y1 } = frame;
  ctx.strokeStyle = theme.soft;
  ctx.fillStyle = theme.soft;
  ctx.lineWidth = 1;
  ctx.beginPath();
  ctx.moveTo(crisp(x0), y0);
  ctx.lineTo(crisp(x0), crisp(y1));
  ctx.lineTo(x1, crisp(y1));
  if (y.length > 1) ctx.lineTo(x1, y0);
  ctx.stroke();
  drawXTicks(ctx, frame, xTicks(ctx, x, x1 - x0));
  y.forEach((side, i) => drawYTicks(ctx, frame, yTicks(side, y1 - y0), i === 1));
  ctx.fillStyle = theme.ink;
  ctx.font = NAME_FONT;
  ctx.textAlign = "center";
  ctx.textBaseline = "alphabetic";
  ctx.fillText(shortenedTo(ctx, x.axis.label, x1 + Math.min(x0, 40) - x0), (x0 + x1) / 2, y1 + TICK + 3 + 12 + LINE);
  y.forEach((side, i) => drawYName(ctx, frame, side, i === 1));
}

/** @param {CanvasRenderingContext2D} ctx @param {Frame} frame @param {Ticks} ticks */
function drawXTicks(ctx, frame, ticks) {
  const { x0, x1, y1 } = frame;
  ctx.textAlign = "center";
  ctx.textBaseline = "alphabetic";
  ctx.font = TICK_FONT;
  ctx.beginPath();
  const mark = (/** @type {number} */ at, /** @type {number} */ length) => {
    const x = crisp(x0 + at * (x1 - x0));
    ctx.moveTo(x, y1);
    ctx.lineTo(x, y1 + length);
  };
  ticks.minor.forEach((at) => mark(at, MINOR_TICK));
  ticks.major.forEach((tick) => mark(tick.at, TICK));
  ctx.stroke();
  ticks.major.forEach(({ at, label }) => ctx.fillText(label, x0 + at * (x1 - x0), y1 + TICK + 3 + 10));
}

/** @param {CanvasRenderingContext2D} ctx @param {Frame} frame @param {Ticks} ticks @param {boolean} right */
function drawYTicks(ctx, frame, ticks, right) {
  const { x0, x1, y0, y1 } = frame;
  const [edge, outwards] = right ? [x1, 1] : [x0, -1];
  ctx.textAlign = right ? "left" : "right";
  ctx.textBaseline = "middle";
  ctx.font = TICK_FONT;
  ctx.beginPath();
  const mark = (/** @type {number} */ at, /** @type {number} */ length) => {
    const y = crisp(y1 - at * (y1 - y0));
    ctx.moveTo(edge, y);
    ctx.lineTo(edge + outwards * length, y);
  };
  ticks.minor.forEach((at) => mark(at, MINOR_TICK));
  ticks.major.forEach((tick) => mark(tick.at, TICK));
  ctx.stroke();
  ticks.major.forEach(({ at, label }) => ctx.fillText(label, edge + outwards * (TICK + 3), y1 - at * (y1 - y0)));
}

/**
 * The name of a vertical axis reads upwards beside its ticks.
 * @param {CanvasRenderingContext2D} ctx
 * @param {Frame} frame
 * @param {Side} side
 * @param {boolean} right
 */
function drawYName(ctx, frame, side, right) {
  const { x0, x1, y0, y1 } = frame;
  const ticks = widest(ctx, yTicks(side, y1 - y0).major.map((tick) => tick.label)) + TICK + 6;
  const lines = nameLines(ctx, side.axis, y1 - y0);
  ctx.font = NAME_FONT;
  ctx.textAlign = "center";
  ctx.textBaseline = "alphabetic";
  lines.forEach((line, i) => {
    ctx.save();
    ctx.translate(right ? x1 + ticks + 11 + i * LINE : x0 - ticks - 1 - (lines.length - 1 - i) * LINE, (y0 + y1) / 2);
    ctx.rotate(-Math.PI / 2);
    ctx.fillText(line, 0, 0);
    ctx.restore();
  });
}
