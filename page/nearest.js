// Which point of which curve is nearest to a place on the canvas. Knows pixels, not words.
import { firstFrom, isLine, isShown, nearestInX } from "./curves.js";
import { barEdges, bandAt, mapOf } from "./strokes.js";
/** @import { Curve } from "./curves.js" */
/** @import { Frame } from "./frame.js" */
/** @import { Map2 } from "./strokes.js" */

/** @typedef {{ curve: Curve, i: number, away: number }} Near */

const AROUND = 12; // pixels in which the nearest point is looked for first

/** @param {Curve[]} curves @param {Frame} frame @param {number} px @param {number} py @returns {Near | null} */
export function nearest(curves, frame, px, py) {
  /** @type {Near | null} */
  let best = null;
  for (const curve of curves) {
    const found = nearestOn(curve, frame, px, py);
    // Of curves on each other, the one on top.
    if (found && (!best || found.away <= best.away)) best = found;
  }
  return best;
}

/** @param {Curve} curve @param {Frame} frame @param {number} px @param {number} py @returns {Near | null} */
function nearestOn(curve, frame, px, py) {
  const map = mapOf(curve, frame);
  if (curve.mark === "bars") return nearestBar(curve, map, px, py);
  if (curve.mark === "band") return curve.line ? null : nearestInBand(curve, frame, map, px, py);
  const value = (/** @type {number} */ p) => frame.x.from((p - frame.x0) / (frame.x1 - frame.x0));
  const rising = curve.rising;
  const from = rising ? firstFrom(curve.x, curve.count, value(px - AROUND)) : 0;
  const to = rising ? firstFrom(curve.x, curve.count, value(px + AROUND)) : curve.count;
  let [i, away] = closest(curve, map, px, py, from, to);
  if (i < 0) {
    i = nearestInX(curve, value(px));
    if (i < 0) return null;
    away = Math.hypot(map.x(curve.tx[i]) - px, map.y(curve.ty[i]) - py);
  }
  if (isLine(curve.mark) && rising) away = Math.min(away, toLine(curve, map, px, py, from - 1, to));
  return { curve, i, away };
}

/**
 * @param {Curve} curve
 * @param {Map2} map
 * @param {number} px
 * @param {number} py
 * @param {number} from
 * @param {number} to
 * @returns {[number, number]}
 */
function closest(curve, map, px, py, from, to) {
  let best = -1;
  let least = Infinity;
  const { tx, ty } = curve;
  // Plain numbers: this runs over all points of a cloud.
  for (let i = from; i < to; i++) {
    const dx = map.bx + map.kx * tx[i] - px;
    const dy = map.by + map.ky * ty[i] - py;
    const square = dx * dx + dy * dy;
    // Not so where the axes cannot show it.
    if (!(square <= least)) continue;
    best = i;
    least = square;
  }
  return [best, Math.sqrt(least)];
}

/**
 * How far a place is from the lines between points.
 * @param {Curve} curve
 * @param {Map2} map
 * @param {number} px
 * @param {number} py
 * @param {number} from
 * @param {number} to
 */
function toLine(curve, map, px, py, from, to) {
  let least = Infinity; // squared
  const { tx, ty } = curve;
  for (let i = Math.max(from, 0); i < to && i + 1 < curve.count; i++) {
    const ax = map.bx + map.kx * tx[i] - px;
    const ay = map.by + map.ky * ty[i] - py;
    const dx = map.kx * (tx[i + 1] - tx[i]);
    const dy = map.ky * (ty[i + 1] - ty[i]);
    const t = Math.min(Math.max(-(ax * dx + ay * dy) / (dx * dx + dy * dy || 1), 0), 1);
    const square = (ax + t * dx) * (ax + t * dx) + (ay + t * dy) * (ay + t * dy);
    if (square < least) least = square;
  }
  return Math.sqrt(least);
}

/** @param {Curve} curve @param {Map2} map @param {number} px @param {number} py @returns {Near | null} */
function nearestBar(curve, map, px, py) {
  let [best, least] = [-1, Infinity];
  for (let i = 0; i < curve.count; i++) {
    const edges = barEdges(curve, i, map);
    if (!edges) continue;
    const away = Math.max(edges[0] - px, px - edges[1], 0);
    if (away < least) [best, least] = [i, away];
  }
  if (best < 0) return null;
  const top = map.y(curve.ty[best]);
  const beyond = Math.max(Math.min(top, map.base) - py, py - Math.max(top, map.base), 0);
  return { curve, i: best, away: Math.hypot(least, beyond / 4) };
}

/**
 * @param {Curve} curve
 * @param {Frame} frame
 * @param {Map2} map
 * @param {number} px
 * @param {number} py
 * @returns {Near | null}
 */
function nearestInBand(curve, frame, map, px, py) {
  const i = nearestInX(curve, frame.x.from((px - frame.x0) / (frame.x1 - frame.x0)));
  if (i < 0) return null;
  const { low, high } = bandAt(curve, i);
  const away = Math.max(map.y(high) - py, py - map.y(low), 0);
  return { curve, i, away: away + AROUND / 2 };
}

/**
 * The next point from here that both axes can show, or the same.
 * @param {Curve} curve
 * @param {number} i
 * @param {number} by ±n, or ±Infinity for an end
 */
export function stepped(curve, i, by) {
  const direction = Math.sign(by);
  let found = i;
  let left = Math.abs(by);
  for (let at = i + direction; at >= 0 && at < curve.count && left > 0; at += direction) {
    if (!isShown(curve, at) && curve.mark !== "bars") continue;
    found = at;
    left--;
  }
  return found;
}
