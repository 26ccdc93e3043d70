// What lies behind and above the curves of a plot: level lines, vertical lines with their names, and what follows the
// pointer. The curves themselves are drawn elsewhere.
import { isPath, nearestInX } from "./curves.js";
import { crisp } from "./frame.js";
import { barEdges, mapOf } from "./strokes.js";
import { transformed } from "./scale.js";
import { shortenedTo } from "./texts.js";
import { colorIn, FONT } from "./theme.js";
import { isFunction, isNear } from "./reading.js";
/** @import { Axis, Rule, Theme } from "./types.js" */
/** @import { ContourShapes } from "./contour.js" */
/** @import { Frame } from "./frame.js" */
/** @import { PlotView } from "./plot.js" */

/** @typedef {{ x: number, y: number, width: number, height: number }} Area */

/**
 * Level lines and the areas between them.
 * @param {CanvasRenderingContext2D} ctx
 * @param {Frame} frame
 * @param {ContourShapes} contours
 * @param {Axis[]} axes
 * @param {Theme} theme
 */
export function drawBackdrop(ctx, frame, contours, axes, theme) {
  ctx.save();
  ctx.beginPath();
  ctx.rect(frame.x0, frame.y0, frame.x1 - frame.x0, frame.y1 - frame.y0);
  ctx.clip();
  const trace = tracer(ctx, frame, axes);
  for (const area of contours.areas) {
    ctx.fillStyle = contours.colors(area.level, theme)[1];
    ctx.beginPath();
    area.rings.forEach(trace);
    ctx.fill("evenodd");
  }
  ctx.lineWidth = 0.8;
  for (const line of contours.lines) {
    ctx.strokeStyle = contours.colors(line.level, theme)[0];
    ctx.beginPath();
    trace(line.points);
    ctx.stroke();
  }
  drawLevelNames(ctx, frame, contours, axes, theme);
  ctx.restore();
}

/** @param {CanvasRenderingContext2D} ctx @param {Frame} frame @param {Axis[]} axes */
function tracer(ctx, frame, axes) {
  const place = placer(frame, axes);
  return (/** @type {[number, number][]} */ points) => points.forEach((point, i) => {
    const [x, y] = place(point);
    if (i === 0) ctx.moveTo(x, y);
    else ctx.lineTo(x, y);
  });
}

/** @param {Frame} frame @param {Axis[]} axes @returns {(point: [number, number]) => [number, number]} */
function placer(frame, axes) {
  const [x, y] = [frame.x.range, frame.y[0].range];
  const [kx, ky] = [(frame.x1 - frame.x0) / (x.hi - x.lo), (frame.y1 - frame.y0) / (y.hi - y.lo)];
  return ([a, b]) => [frame.x0 + (transformed(axes[0], a) - x.lo) * kx, frame.y1 - (transformed(axes[1], b) - y.lo) * ky];
}

/**
 * Each once, on its longest line, clear of the others.
 * @param {CanvasRenderingContext2D} ctx
 * @param {Frame} frame
 * @param {ContourShapes} contours
 * @param {Axis[]} axes
 * @param {Theme} theme
 */
function drawLevelNames(ctx, frame, contours, axes, theme) {
  const place = placer(frame, axes);
  ctx.font = `10.5px ${FONT}`;
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  /** @type {Area[]} */
  const taken = [];
  const levels = new Map();
  for (const line of contours.lines) {
    if (!(levels.get(line.level)?.points.length >= line.points.length)) levels.set(line.level, line);
  }
  for (const { label, points } of levels.values()) {
    if (!label) continue;
    const size = { width: ctx.measureText(label).width + 4, height: 13 };
    const start = Math.floor(points.length / 3);
    for (let k = 0; k < points.length; k += Math.ceil(points.length / 32)) {
      const [x, y] = place(points[(start + k) % points.length]);
      const area = { x: x - size.width / 2, y: y - size.height / 2, ...size };
      if (!within(area, frame) || taken.some((other) => overlap(area, other))) continue;
      taken.push(area);
      ctx.globalAlpha = 0.85;
      ctx.fillStyle = theme.paper;
      ctx.fillRect(area.x, area.y, area.width, area.height);
      ctx.globalAlpha = 1;
      ctx.fillStyle = theme.soft;
      ctx.fillText(label, x, y + 0.5);
      break;
    }
  }
}

/** @param {Area} area @param {Frame} frame */
function within(area, frame) {
  return area.x >= frame.x0 && area.y >= frame.y0 && area.x + area.width <= frame.x1 && area.y + area.height <= frame.y1;
}

/** @param {Area} a @param {Area} b */
function overlap(a, b) {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

/**
 * Vertical lines, behind the curves, or their names, above them.
 * @param {CanvasRenderingContext2D} ctx
 * @param {Frame} frame
 * @param {Rule[]} rules
 * @param {Theme} theme
 * @param {boolean} names
 */
export function drawRules(ctx, frame, rules, theme, names) {
  const at = (/** @type {Rule} */ rule) => crisp(frame.x0 + frame.x.to(rule.x) * (frame.x1 - frame.x0));
  const shown = rules.filter((rule) => at(rule) >= frame.x0 - 1 && at(rule) <= frame.x1 + 1);
  ctx.strokeStyle = theme.soft;
  ctx.fillStyle = theme.soft;
  if (names) return drawRuleNames(ctx, frame, shown.map((rule) => [at(rule), rule.label.trim()]));
  ctx.lineWidth = 0.8;
  ctx.setLineDash([3, 2]);
  ctx.beginPath();
  for (const rule of shown) {
    ctx.moveTo(at(rule), frame.y0);
    ctx.lineTo(at(rule), frame.y1);
  }
  ctx.stroke();
  ctx.setLineDash([]);
}

/**
 * Beside the lines, each in the highest row where it is clear.
 * @param {CanvasRenderingContext2D} ctx
 * @param {Frame} frame
 * @param {[number, string][]} rules
 */
function drawRuleNames(ctx, frame, rules) {
  ctx.font = `11px ${FONT}`;
  ctx.textAlign = "left";
  ctx.textBaseline = "top";
  /** @type {Area[]} */
  const taken = [];
  for (const [x, name] of rules) {
    if (!name) continue;
    const text = shortenedTo(ctx, name, 0.45 * (frame.x1 - frame.x0));
    const width = ctx.measureText(text).width;
    const rows = Array.from({ length: 8 }, (_, row) => frame.y0 + 3 + 14 * row);
    const places = rows.flatMap((y) => [x + 4, x - 4 - width].map((left) => ({ x: left, y, width, height: 12 })));
    const free = places.find((area) => within(area, frame) && !taken.some((other) => overlap(area, other)));
    if (!free) continue;
    taken.push(free);
    ctx.fillText(text, free.x, free.y);
  }
}

/**
 * What follows the pointer: a line at its x, rings around points, the range that counts, the box that is dragged.
 * @param {CanvasRenderingContext2D} ctx
 * @param {PlotView} view
 * @param {Theme} theme
 */
export function drawCursor(ctx, view, theme) {
  if (view.cursor !== null) drawAtX(ctx, view, view.cursor, theme);
  if (view.current) drawCurrent(ctx, view, view.current, theme);
  if (view.spot) ring(ctx, view.placeOf(...view.spot, 0), theme.ink, theme, 4);
  if (view.snapshot < Infinity) drawSnapshots(ctx, view, theme);
  if (view.brush?.isSet) drawBrush(ctx, view, theme);
  if (!view.box) return;
  const { from, to } = view.box;
  shadeArea(ctx, from[0], from[1], to[0] - from[0], to[1] - from[1], theme);
}

/** @param {CanvasRenderingContext2D} ctx @param {PlotView} view @param {number} cursor @param {Theme} theme */
function drawAtX(ctx, view, cursor, theme) {
  const { frame } = view;
  const x = crisp(view.placeOf(cursor, NaN, 0)[0]);
  if (!(x >= frame.x0 - 1 && x <= frame.x1 + 1)) return;
  ctx.strokeStyle = theme.soft;
  ctx.lineWidth = 1;
  ctx.globalAlpha = 0.6;
  ctx.beginPath();
  ctx.moveTo(x, frame.y0);
  ctx.lineTo(x, frame.y1);
  ctx.stroke();
  ctx.globalAlpha = 1;
  for (const curve of view.shown().filter((curve) => isFunction(curve) && !curve.member)) {
    const i = nearestInX(curve, cursor);
    if (i < 0 || !isNear(curve, i, cursor)) continue;
    const map = mapOf(curve, frame);
    const [px, py] = [map.x(curve.tx[i]), map.y(curve.ty[i])];
    if (inside(frame, px, py)) ring(ctx, [px, py], colorIn(theme, curve.color), theme, 3);
  }
}

/** @param {Frame} frame @param {number} px @param {number} py */
function inside(frame, px, py) {
  return px >= frame.x0 - 2 && px <= frame.x1 + 2 && py >= frame.y0 - 2 && py <= frame.y1 + 2;
}

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {PlotView} view
 * @param {import("./plot.js").Point} point
 * @param {Theme} theme
 */
function drawCurrent(ctx, view, { curve, i }, theme) {
  const map = mapOf(curve, view.frame);
  const color = colorIn(theme, curve.color);
  const edges = curve.mark === "bars" ? barEdges(curve, i, map) : null;
  if (edges) {
    const end = map.y(curve.ty[i]);
    const [x0, x1] = [Math.max(edges[0], view.frame.x0), Math.min(edges[1], view.frame.x1)];
    ctx.strokeStyle = theme.ink;
    ctx.lineWidth = 1.5;
    ctx.strokeRect(x0, Math.min(end, map.base), Math.max(x1 - x0, 1), Math.abs(map.base - end));
    return;
  }
  if (curve.member) emphasise(ctx, view, curve, color);
  const [px, py] = [map.x(curve.tx[i]), map.y(curve.mark === "band" ? curve.tto[i] : curve.ty[i])];
  if (inside(view.frame, px, py)) ring(ctx, [px, py], color, theme, 5);
}

/**
 * One seed among many, thick.
 * @param {CanvasRenderingContext2D} ctx
 * @param {PlotView} view
 * @param {import("./curves.js").Curve} curve
 * @param {string} color
 */
function emphasise(ctx, view, curve, color) {
  const { frame } = view;
  const map = mapOf(curve, frame);
  ctx.save();
  ctx.beginPath();
  ctx.rect(frame.x0, frame.y0, frame.x1 - frame.x0, frame.y1 - frame.y0);
  ctx.clip();
  ctx.strokeStyle = color;
  ctx.lineWidth = 2;
  ctx.beginPath();
  let joined = false;
  for (let i = 0; i < curve.count; i++) {
    const shown = curve.tx[i] === curve.tx[i] && curve.ty[i] === curve.ty[i];
    if (shown && joined) ctx.lineTo(map.x(curve.tx[i]), map.y(curve.ty[i]));
    else if (shown) ctx.moveTo(map.x(curve.tx[i]), map.y(curve.ty[i]));
    joined = shown;
  }
  ctx.stroke();
  ctx.restore();
}

/**
 * Where paths are at the snapshot.
 * @param {CanvasRenderingContext2D} ctx
 * @param {PlotView} view
 * @param {Theme} theme
 */
function drawSnapshots(ctx, view, theme) {
  for (const curve of view.shown().filter((curve) => isPath(curve.mark))) {
    const i = Math.min(view.snapshot, curve.count - 1);
    const map = mapOf(curve, view.frame);
    const [px, py] = [map.x(curve.tx[i]), map.y(curve.ty[i])];
    if (inside(view.frame, px, py)) ring(ctx, [px, py], colorIn(theme, curve.color), theme, 5);
  }
}

/** @param {CanvasRenderingContext2D} ctx @param {PlotView} view @param {Theme} theme */
function drawBrush(ctx, view, theme) {
  const { frame, brush } = view;
  if (!brush) return;
  const clamp = (/** @type {number} */ at, /** @type {number} */ missing) => (Number.isNaN(at) ? missing : Math.min(Math.max(at, 0), 1));
  const placed = brush.along === "x" ? frame.x : frame.y[0];
  const end = (/** @type {number} */ v, /** @type {number} */ missing) => {
    return Number.isFinite(v) ? clamp(placed.to(v), missing) : v > 0 ? 1 : 0;
  };
  const [low, high] = [end(brush.low, 0), end(brush.high, 1)];
  const [wide, tall] = [frame.x1 - frame.x0, frame.y1 - frame.y0];
  if (brush.along === "x") shadeArea(ctx, frame.x0 + low * wide, frame.y0, (high - low) * wide, tall, theme);
  else shadeArea(ctx, frame.x0, frame.y1 - high * tall, wide, (high - low) * tall, theme);
}

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {number} x
 * @param {number} y
 * @param {number} width
 * @param {number} height
 * @param {Theme} theme
 */
function shadeArea(ctx, x, y, width, height, theme) {
  ctx.fillStyle = theme.ink;
  ctx.globalAlpha = 0.1;
  ctx.fillRect(x, y, width, height);
  ctx.globalAlpha = 0.7;
  ctx.strokeStyle = theme.ink;
  ctx.lineWidth = 1;
  ctx.strokeRect(crisp(x), crisp(y), Math.round(width), Math.round(height));
  ctx.globalAlpha = 1;
}

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {[number, number]} at
 * @param {string} color
 * @param {Theme} theme
 * @param {number} radius
 */
function ring(ctx, [x, y], color, theme, radius) {
  ctx.beginPath();
  ctx.arc(x, y, radius, 0, 2 * Math.PI);
  ctx.lineWidth = 4;
  ctx.strokeStyle = theme.paper;
  ctx.stroke();
  ctx.lineWidth = 2;
  ctx.strokeStyle = color;
  ctx.stroke();
}
