// Which part of its axes a plot shows: ranges that hold the data, as in the static figures (src/plot/layout.rs), and
// those after zooming; and which other scale an axis can have.
import { defaultRange, paddedRange, transformed } from "./scale.js";
/** @import { Axis, Contours, Plot, Read } from "./types.js" */
/** @import { Curve } from "./curves.js" */
/** @import { Side } from "./frame.js" */
/** @import { Range } from "./scale.js" */

const NOTHING = { lo: Infinity, hi: -Infinity };

/**
 * The axes of a plot, x first, over all that these curves have.
 * @param {Plot} plot
 * @param {Axis[]} axes
 * @param {Curve[]} curves
 * @param {Read} read
 * @returns {Side[]}
 */
export function sidesOf(plot, axes, curves, read) {
  const [x, ...y] = axes;
  const grid = plot.contours ? gridRanges(plot.contours, x, y[0], read) : null;
  const data = y.map((axis, side) => boundsOf(curves.filter((curve) => curve.side === side), transformed(axis, 0)));
  const marked = reachOf({ ...x, reach: plot.rules.map((rule) => rule.x) });
  const across = [...data.map((ranges) => ranges[0]), ...(grid ? [grid[0]] : []), ...marked, ...reachOf(x)].reduce(united, NOTHING);
  // Level lines reach to the axes, unless something lies beyond their grid.
  /** @type {(range: Range, of: Range | undefined, usual: number) => number} */
  const padding = (range, of, usual) => (of && same(range, of) ? 0 : usual);
  const headroom = plot.rules.some((rule) => rule.label.trim() !== "") ? 0.06 : 0;
  const vertical = y.map((axis, side) => {
    const of = side === 0 && grid ? grid[1] : undefined;
    const range = [data[side][1], ...(of ? [of] : []), ...reachOf(axis)].reduce(united, NOTHING);
    const full = shownRange(axis, range, padding(range, of, 0.05));
    const bars = curves.filter((curve) => curve.side === side && curve.mark === "bars").length > 0;
    if (bars) onZero(axis, full, range);
    full.hi += headroom * (full.hi - full.lo);
    return { axis, full, shown: { ...full } };
  });
  const full = shownRange(x, across, padding(across, grid?.[0], 0.025));
  return [{ axis: x, full, shown: { ...full } }, ...vertical];
}

/** What it shows in any case. @param {Axis} axis */
function reachOf(axis) {
  const shown = (axis.reach ?? []).map((value) => transformed(axis, value)).filter((t) => !Number.isNaN(t));
  return shown.map((t) => ({ lo: t, hi: t }));
}

/** @param {Axis} axis @param {Range} range @param {number} padding */
function shownRange(axis, range, padding) {
  return range.lo <= range.hi ? paddedRange(axis, range, padding) : { ...defaultRange(axis) };
}

/** Bars stand on the axis, without padding. @param {Axis} axis @param {Range} full @param {Range} data */
function onZero(axis, full, data) {
  const zero = transformed(axis, 0);
  if (data.lo >= zero) full.lo = zero;
  else if (data.hi <= zero) full.hi = zero;
}

/** @param {Range} a @param {Range} b */
function same(a, b) {
  return a.lo === b.lo && a.hi === b.hi;
}

/** @param {Range} a @param {Range} b @returns {Range} */
function united(a, b) {
  return { lo: Math.min(a.lo, b.lo), hi: Math.max(a.hi, b.hi) };
}

/** @param {Contours} contours @param {Axis} x @param {Axis} y @param {Read} read @returns {Range[]} */
function gridRanges(contours, x, y, read) {
  const over = (/** @type {Axis} */ axis, /** @type {ArrayLike<number>} */ values) => {
    const places = Array.from(values, (v) => transformed(axis, v)).filter((t) => !Number.isNaN(t));
    return places.reduce((range, t) => united(range, { lo: t, hi: t }), NOTHING);
  };
  return [over(x, read(contours.x)), over(y, read(contours.y))];
}

/**
 * The ranges of all points that both axes can show, x first.
 * @param {Curve[]} curves
 * @param {number} foot  of bars
 * @returns {Range[]}
 */
function boundsOf(curves, foot) {
  let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
  const take = (/** @type {number} */ tx, /** @type {number} */ ty) => {
    if (tx !== tx || !(ty - ty === 0)) return;
    if (tx < left) left = tx;
    if (tx > right) right = tx;
    if (ty < low) low = ty;
    if (ty > high) high = ty;
  };
  for (const curve of curves) {
    const { mark, tx, ty, tto } = curve;
    for (let i = 0; i < curve.count; i++) {
      take(tx[i], ty[i]);
      if (mark === "band") take(tx[i], tto[i]);
      if (mark !== "bars") continue;
      take(tto[i], ty[i]);
      take(tx[i], foot);
    }
  }
  return [{ lo: left, hi: right }, { lo: low, hi: high }];
}

/**
 * The other scale that an axis can have for values in this range, or null.
 * @param {Axis} axis
 * @param {Axis} now
 * @param {[number, number]} range
 * @returns {Axis | null}
 */
export function otherScale(axis, now, [low, high]) {
  if (now.scale !== "linear") return { ...axis, scale: "linear" };
  if (axis.scale !== "linear") return axis;
  if (!(low < high)) return null;
  if (low >= 0) return { ...axis, scale: "log" };
  const linear = Math.floor(Math.log10(Math.max(-low, high))) - 3;
  return { ...axis, scale: "symlog", linear };
}

/**
 * Around a place in the scale's own coordinate, not wider than all and not narrower than numbers allow.
 * @param {Side} side
 * @param {number} at
 * @param {number} factor
 */
export function zoomSide(side, at, factor) {
  const { full, shown } = side;
  const least = Math.max(1e-7 * (full.hi - full.lo), 1e-12 * Math.max(Math.abs(full.lo), Math.abs(full.hi)));
  const span = Math.max(Math.min((shown.hi - shown.lo) / factor, full.hi - full.lo), least);
  if (span >= full.hi - full.lo) {
    side.shown = { ...full };
    return;
  }
  const share = (at - shown.lo) / (shown.hi - shown.lo);
  moveSide(side, at - share * span, span);
}

/** The shown part, kept within all. @param {Side} side @param {number} lo @param {number} span */
export function moveSide(side, lo, span) {
  const { full } = side;
  const most = Math.max(full.hi, side.shown.hi) - span;
  const least = Math.min(full.lo, side.shown.lo);
  const kept = Math.max(Math.min(lo, most), least);
  side.shown = { lo: kept, hi: kept + span };
}
