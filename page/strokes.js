// Draws the curves of a plot in its area: lines, points, bands, bars and paths as in the static figures
// (src/plot/canvas.rs), with no more of them than pixels can show.
import { firstFrom, isShown } from "./curves.js";
import { colorIn } from "./theme.js";
/** @import { Theme } from "./types.js" */
/** @import { Curve } from "./curves.js" */
/** @import { Frame } from "./frame.js" */

/**
 * From the axes' coordinates to pixels: x = bx + kx · t.
 * @typedef {{ kx: number, bx: number, ky: number, by: number, x: (t: number) => number, y: (t: number) => number, base: number }} Map2
 */

const DISC = 2.35;
export const PATH_DISCS = [1.4, 2.9]; // of a path: the first, and the last
const MOST_DISCS = 5000;
const FAR = 1e5; // beyond this, canvases lose precision

/** @param {Curve} curve @param {Frame} frame @returns {Map2} */
export function mapOf(curve, frame) {
  const x = frame.x.range;
  const y = frame.y[curve.side].range;
  const [kx, ky] = [(frame.x1 - frame.x0) / (x.hi - x.lo), (frame.y1 - frame.y0) / (y.hi - y.lo)];
  const near = (/** @type {number} */ p) => (p > FAR ? FAR : p < -FAR ? -FAR : p);
  const zero = frame.y[curve.side].to(0);
  const [bx, by] = [frame.x0 - x.lo * kx, frame.y1 + y.lo * ky];
  return {
    kx, bx, ky: -ky, by,
    x: (t) => near(frame.x0 + (t - x.lo) * kx),
    y: (t) => near(frame.y1 - (t - y.lo) * ky),
    base: near(Number.isNaN(zero) ? frame.y1 : frame.y1 - zero * (frame.y1 - frame.y0)),
  };
}

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {Curve} curve
 * @param {Frame} frame
 * @param {Theme} theme
 * @param {number} until  of a path, the last point that is reached
 */
export function drawCurve(ctx, curve, frame, theme, until = Infinity) {
  const map = mapOf(curve, frame);
  const color = colorIn(theme, curve.color);
  ctx.strokeStyle = color;
  ctx.fillStyle = color;
  ctx.lineWidth = 1.5;
  ctx.lineJoin = "round";
  switch (curve.mark) {
    case "band": return drawBand(ctx, curve, frame, map);
    case "bars": return drawBars(ctx, curve, map);
    case "path": case "open_path": return drawPath(ctx, curve, map, theme, until);
    case "points": case "crosses": case "circles": return drawPoints(ctx, curve, frame, map, theme);
    default: return drawLineOf(ctx, curve, frame, map, theme);
  }
}

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {Curve} curve
 * @param {Frame} frame
 * @param {Map2} map
 * @param {Theme} theme
 */
function drawLineOf(ctx, curve, frame, map, theme) {
  const thin = curve.mark === "thin";
  ctx.lineWidth = thin ? 1 : 1.5;
  ctx.globalAlpha = thin ? 0.5 : 1;
  if (curve.mark === "dashed") ctx.setLineDash([5.3, 2.7]);
  ctx.beginPath();
  const lone = traceLine(ctx, curve, frame, map);
  ctx.stroke();
  ctx.setLineDash([]);
  discs(ctx, lone, DISC);
  if (curve.mark === "line_points") drawPoints(ctx, curve, frame, map, theme);
  ctx.globalAlpha = 1;
}

/**
 * Which points can be seen, with one more at either end.
 * @param {Curve} curve
 * @param {Frame} frame
 * @returns {[number, number]}
 */
export function seen(curve, frame) {
  if (!curve.rising) return [0, curve.count];
  const from = firstFrom(curve.x, curve.count, frame.x.from(0)) - 1;
  const to = firstFrom(curve.x, curve.count, frame.x.from(1)) + 2;
  return [Math.max(from, 0), Math.min(to, curve.count)];
}

/**
 * Of the points that follow each other within a column of pixels, the first, the lowest, the highest and the last.
 * Gives points alone between those that cannot be shown: a line of no length has no ink.
 * @param {CanvasRenderingContext2D} ctx @param {Curve} curve @param {Frame} frame @param {Map2} map
 */
function traceLine(ctx, curve, frame, map) {
  const [from, to] = seen(curve, frame);
  /** @type {[number, number][]} */
  const lone = [];
  let length = 0;
  let column = NaN;
  let [first, low, high, last] = [-1, -1, -1, -1];
  const { tx, ty } = curve;
  const { kx, bx } = map;
  const put = (/** @type {number} */ i) => {
    if (length++ === 0) ctx.moveTo(map.x(tx[i]), map.y(ty[i]));
    else ctx.lineTo(map.x(tx[i]), map.y(ty[i]));
  };
  const flush = () => {
    if (first < 0) return;
    put(first);
    const [a, b] = low < high ? [low, high] : [high, low];
    if (a !== first) put(a);
    if (b !== a && b !== first) put(b);
    if (last !== b && last !== a && last !== first) put(last);
    first = -1;
  };
  for (let i = from; i <= to; i++) {
    if (i === to || tx[i] !== tx[i] || ty[i] !== ty[i]) {
      flush();
      if (length === 1 && last >= 0) lone.push([map.x(tx[last]), map.y(ty[last])]);
      length = 0;
      column = NaN;
      last = -1;
      continue;
    }
    const at = Math.floor(bx + kx * tx[i]);
    if (at !== column) {
      flush();
      column = at;
      first = low = high = i;
    } else if (ty[i] < ty[low]) low = i;
    else if (ty[i] > ty[high]) high = i;
    last = i;
  }
  return lone;
}

/** @param {CanvasRenderingContext2D} ctx @param {[number, number][]} points @param {number} radius */
export function discs(ctx, points, radius) {
  // Paths of many discs take long to fill.
  for (let from = 0; from < points.length; from += 64) {
    ctx.beginPath();
    for (const [x, y] of points.slice(from, from + 64)) {
      ctx.moveTo(x + radius, y);
      ctx.arc(x, y, radius, 0, 2 * Math.PI);
    }
    ctx.fill();
  }
}

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {Curve} curve
 * @param {Frame} frame
 * @param {Map2} map
 * @param {Theme} theme
 */
function drawPoints(ctx, curve, frame, map, theme) {
  const points = sparse(curve, frame, map);
  if (curve.mark === "crosses") return drawCrosses(ctx, points);
  discs(ctx, points, DISC);
  if (curve.mark !== "circles") return;
  ctx.fillStyle = theme.paper;
  discs(ctx, points, DISC - 1.1);
}

/** @param {CanvasRenderingContext2D} ctx @param {[number, number][]} points */
export function drawCrosses(ctx, points) {
  ctx.beginPath();
  for (const [x, y] of points) {
    ctx.moveTo(x - 2, y - 2);
    ctx.lineTo(x + 2, y + 2);
    ctx.moveTo(x - 2, y + 2);
    ctx.lineTo(x + 2, y - 2);
  }
  ctx.stroke();
}

/**
 * The first point in each cell of a grid, the finest that leaves few enough to draw quickly.
 * @param {Curve} curve @param {Frame} frame @param {Map2} map
 */
function sparse(curve, frame, map) {
  const [from, to] = seen(curve, frame);
  const { tx, ty } = curve;
  const [left, top] = [frame.x0 - 4, frame.y0 - 4];
  const [wide, high] = [frame.x1 + 4 - left, frame.y1 + 4 - top];
  const [xs, ys] = [new Float32Array(to - from), new Float32Array(to - from)];
  let count = 0;
  for (let i = from; i < to; i++) {
    const x = map.bx + map.kx * tx[i] - left;
    const y = map.by + map.ky * ty[i] - top;
    // Not so for what is no number either.
    if (!(x >= 0 && x < wide && y >= 0 && y < high)) continue;
    xs[count] = x;
    ys[count++] = y;
  }
  for (let cell = 1; count > MOST_DISCS && cell < 50; cell *= 1.4) count = oneACell(xs, ys, count, cell, wide, high);
  return Array.from({ length: count }, (_, i) => /** @type {[number, number]} */ ([xs[i] + left, ys[i] + top]));
}

/**
 * Keeps the first point of each cell, in front.
 * @param {Float32Array} xs
 * @param {Float32Array} ys
 * @param {number} count
 * @param {number} cell
 * @param {number} wide
 * @param {number} high
 */
function oneACell(xs, ys, count, cell, wide, high) {
  const columns = Math.ceil(wide / cell) + 1;
  const taken = new Uint8Array(columns * (Math.ceil(high / cell) + 1));
  let kept = 0;
  for (let i = 0; i < count; i++) {
    const at = Math.floor(xs[i] / cell) + columns * Math.floor(ys[i] / cell);
    if (taken[at]) continue;
    taken[at] = 1;
    xs[kept] = xs[i];
    ys[kept++] = ys[i];
  }
  return kept;
}

/**
 * Where the lower edge cannot be shown since it is not positive, a band runs off the bottom.
 * @param {Curve} curve
 * @param {number} i
 */
export function bandAt(curve, i) {
  const low = curve.ty[i] === curve.ty[i] ? curve.ty[i] : curve.y[i] <= 0 ? -Infinity : NaN;
  return { low, high: curve.tto[i] };
}

/** @param {CanvasRenderingContext2D} ctx @param {Curve} curve @param {Frame} frame @param {Map2} map */
function drawBand(ctx, curve, frame, map) {
  const [from, to] = seen(curve, frame);
  /** @type {[number, number, number][]} */
  let run = [];
  ctx.globalAlpha = 0.22;
  for (let i = from; i <= to; i++) {
    const { low, high } = i < to ? bandAt(curve, i) : { low: NaN, high: NaN };
    if (!(low <= high) || curve.tx[i] !== curve.tx[i]) {
      fillBand(ctx, run);
      run = [];
      continue;
    }
    const [x, bottom, top] = [map.x(curve.tx[i]), Math.min(map.y(low), frame.y1 + FAR), map.y(high)];
    const last = run[run.length - 1];
    if (last && run.length > 1 && Math.floor(last[0]) === Math.floor(x) && i + 1 < to) {
      last[1] = Math.max(last[1], bottom);
      last[2] = Math.min(last[2], top);
    } else run.push([x, bottom, top]);
  }
  ctx.globalAlpha = 1;
}

/** @param {CanvasRenderingContext2D} ctx @param {[number, number, number][]} run  x, lower and upper edge */
function fillBand(ctx, run) {
  if (run.length === 0) return;
  ctx.beginPath();
  run.forEach(([x, low], i) => (i === 0 ? ctx.moveTo(x, low) : ctx.lineTo(x, low)));
  for (let i = run.length - 1; i >= 0; i--) ctx.lineTo(run[i][0], run[i][2]);
  // A lone interval would have no width.
  if (run.length === 1) {
    ctx.globalAlpha = 0.6;
    ctx.stroke();
    ctx.globalAlpha = 0.22;
  } else ctx.fill();
}

/**
 * Both edges of a bar in pixels, beyond the axis at its ends.
 * @param {Curve} curve
 * @param {number} i
 * @param {Map2} map
 * @returns {[number, number] | null}
 */
export function barEdges(curve, i, map) {
  const [low, high] = [curve.tx[i], curve.tto[i]];
  if (curve.ty[i] !== curve.ty[i] || !(curve.x[i] <= curve.to[i]) || (low !== low && high !== high)) return null;
  return [low === low ? map.x(low) : -FAR, high === high ? map.x(high) : FAR];
}

/**
 * Pale bars with a line where they end; of those within a pixel the highest.
 * @param {CanvasRenderingContext2D} ctx
 * @param {Curve} curve
 * @param {Map2} map
 */
function drawBars(ctx, curve, map) {
  /** @type {[number, number, number][]} */
  const bars = [];
  for (let i = 0; i < curve.count; i++) {
    const edges = barEdges(curve, i, map);
    const end = map.y(curve.ty[i]);
    if (!edges || end === map.base || curve.y[i] === 0) continue;
    const [x0, x1] = edges.map(Math.round);
    const bar = /** @type {[number, number, number]} */ ([x0, Math.max(x1 - (x1 - x0 < 3 ? 0 : 1), x0 + 1), end]);
    const last = bars[bars.length - 1];
    if (!last || last[0] !== x0 || last[1] > x0 + 1) bars.push(bar);
    else if (Math.abs(end - map.base) > Math.abs(last[2] - map.base)) bars[bars.length - 1] = bar;
  }
  ctx.globalAlpha = 0.45;
  bars.forEach(([x0, x1, end]) => ctx.fillRect(x0, Math.min(end, map.base), x1 - x0, Math.abs(map.base - end)));
  ctx.globalAlpha = 1;
  bars.forEach(([x0, x1, end]) => ctx.fillRect(x0, end - 0.5, x1 - x0, 1));
}

/**
 * A thin line with discs that grow; beyond `until` it is faint.
 * @param {CanvasRenderingContext2D} ctx @param {Curve} curve @param {Map2} map @param {Theme} theme @param {number} until
 */
function drawPath(ctx, curve, map, theme, until) {
  const color = String(ctx.fillStyle);
  const stretch = (/** @type {number} */ from, /** @type {number} */ to, /** @type {number} */ alpha) => {
    ctx.globalAlpha = alpha;
    ctx.lineWidth = 1;
    ctx.beginPath();
    let joined = false;
    for (let i = from; i <= to; i++) {
      const shown = isShown(curve, i);
      if (shown && joined) ctx.lineTo(map.x(curve.tx[i]), map.y(curve.ty[i]));
      else if (shown) ctx.moveTo(map.x(curve.tx[i]), map.y(curve.ty[i]));
      joined = shown;
    }
    ctx.stroke();
    for (let i = from; i <= to; i++) if (isShown(curve, i)) pathDisc(ctx, curve, i, map, color, theme);
    ctx.globalAlpha = 1;
  };
  const last = curve.count - 1;
  if (until < last) stretch(until, last, 0.25);
  stretch(0, Math.min(until, last), 1);
}

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {Curve} curve
 * @param {number} i
 * @param {Map2} map
 * @param {string} color
 * @param {Theme} theme
 */
function pathDisc(ctx, curve, i, map, color, theme) {
  const [small, large] = PATH_DISCS;
  const age = curve.count > 1 ? i / (curve.count - 1) : 1;
  const at = /** @type {[number, number]} */ ([map.x(curve.tx[i]), map.y(curve.ty[i])]);
  const radius = small + age * (large - small);
  ctx.fillStyle = color;
  discs(ctx, [at], radius);
  if (curve.mark !== "open_path") return;
  ctx.fillStyle = theme.paper;
  discs(ctx, [at], Math.max(radius - 1.1, 0.3));
}
