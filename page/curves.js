// The series of a plot as arrays that are quick to draw and to search: values, and the same in the axes' coordinates.
// Knows no pixels.
import { transformed } from "./scale.js";
/** @import { Axis, Plot, Read, Series } from "./types.js" */

/**
 * @typedef {object} Curve
 * @property {Series} series
 * @property {Series["mark"]} mark
 * @property {number} side  0 left, 1 right
 * @property {string} label  as the legend has it, without the side
 * @property {string} name  of one of several, such as "seed 3"; else empty
 * @property {string} title  what tells it apart in words
 * @property {boolean} member  one of those a mean is of
 * @property {number} [color]
 * @property {ArrayLike<number>} x
 * @property {ArrayLike<number>} y
 * @property {ArrayLike<number>} to
 * @property {number} count
 * @property {boolean} rising  x rises, so that it is searched by halving
 * @property {Float64Array} tx  in the axes' coordinates, NaN where they cannot show it
 * @property {Float64Array} ty
 * @property {Float64Array} tto
 * @property {Curve | null} band  of a line, the band around it
 * @property {Curve | null} line  of a band, its line
 */

/** All curves of a plot, members before what they are of. @param {Plot} plot @param {Read} read */
export function curvesOf(plot, read) {
  const sides = [plot.series, plot.right?.series ?? []];
  const curves = sides.flatMap((series, side) => series.flatMap((of) => {
    const members = (of.members ?? []).map((member) => curveOf(member, side, read, of));
    return [...members, curveOf(of, side, read, null)];
  }));
  pairBands(curves);
  return curves;
}

/** @param {Series} series @param {number} side @param {Read} read @param {Series | null} mean @returns {Curve} */
function curveOf(series, side, read, mean) {
  const x = read(series.x);
  const y = read(series.y);
  const to = read(series.to);
  const count = Math.min(x.length, y.length);
  const label = series.label || mean?.label || "";
  return {
    series, mark: mean ? "thin" : series.mark, side, label, name: series.name ?? "",
    title: [label, series.name].filter(Boolean).join(", "),
    member: mean !== null, color: series.color ?? mean?.color, x, y, to, count, rising: rises(x, count),
    tx: new Float64Array(0), ty: new Float64Array(0), tto: new Float64Array(0), band: null, line: null,
  };
}

/** @param {ArrayLike<number>} x @param {number} count */
function rises(x, count) {
  for (let i = 1; i < count; i++) if (!(x[i] >= x[i - 1])) return false;
  return true;
}

/** Bands belong to a line of their colour, and of their label if they have one; they are switched with it. @param {Curve[]} curves */
function pairBands(curves) {
  for (const band of curves.filter((curve) => curve.mark === "band")) {
    const lines = curves.filter((line) => isLine(line.mark) && !line.member && !line.band && line.side === band.side
      && line.color === band.color && (band.label === "" || line.label === band.label) && line.name === band.name);
    const line = lines.find((line) => isWithin(line, band)) ?? (band.label === "" ? undefined : lines[0]);
    if (!line) continue;
    [line.band, band.line] = [band, line];
    [band.label, band.title] = [line.label, line.title];
  }
}

/** Whether a line runs through a band, by what a few of its points say. @param {Curve} line @param {Curve} band */
function isWithin(line, band) {
  for (let i = 0; i < line.count; i += Math.ceil(line.count / 9)) {
    const at = firstFrom(band.x, band.count, line.x[i]);
    const slack = 1e-6 * Math.abs(line.y[i]);
    // Each was thinned by itself: not all points of one are points of the other.
    if (band.x[at] === line.x[i] && (line.y[i] < band.y[at] - slack || line.y[i] > band.to[at] + slack)) return false;
  }
  return line.count > 0;
}

/** @param {Series["mark"]} mark */
export function isLine(mark) {
  return mark === "line" || mark === "dashed" || mark === "line_points" || mark === "thin";
}

/** @param {Series["mark"]} mark */
export function isPath(mark) {
  return mark === "path" || mark === "open_path";
}

/** Anew for axes of this kind. @param {Curve} curve @param {Axis} x @param {Axis} y */
export function place(curve, x, y) {
  curve.tx = onAxis(x, curve.x, curve.count);
  curve.ty = onAxis(y, curve.y, curve.count);
  curve.tto = onAxis(curve.mark === "bars" ? x : y, curve.to, curve.to.length);
}

/** @param {Axis} axis @param {ArrayLike<number>} values @param {number} count */
function onAxis(axis, values, count) {
  const out = new Float64Array(count);
  for (let i = 0; i < count; i++) out[i] = transformed(axis, values[i]);
  return out;
}

/** The lowest and the highest finite number. @param {ArrayLike<number>[]} all @returns {[number, number]} */
export function extremes(all) {
  let [low, high] = [Infinity, -Infinity];
  for (const values of all) {
    for (let i = 0; i < values.length; i++) {
      if (values[i] < low && values[i] > -Infinity) low = values[i];
      if (values[i] > high && values[i] < Infinity) high = values[i];
    }
  }
  return [low, high];
}

/**
 * The first of rising numbers that is not below.
 * @param {ArrayLike<number>} sorted
 * @param {number} count
 * @param {number} value
 */
export function firstFrom(sorted, count, value) {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The point nearest in x that both axes can show, or -1. @param {Curve} curve @param {number} x  a value */
export function nearestInX(curve, x) {
  const middle = curve.rising ? firstFrom(curve.x, curve.count, x) : 0;
  let [after, before] = [middle, middle - 1];
  if (!curve.rising) {
    for (let i = 0; i < curve.count; i++) {
      if (isShown(curve, i) && !(Math.abs(curve.x[i] - x) >= Math.abs(curve.x[before] - x))) before = i;
    }
    return before;
  }
  while (after < curve.count && !isShown(curve, after)) after++;
  while (before >= 0 && !isShown(curve, before)) before--;
  if (after >= curve.count) return before;
  return before >= 0 && x - curve.x[before] <= curve.x[after] - x ? before : after;
}

/** @param {Curve} curve @param {number} i */
export function isShown(curve, i) {
  return i >= 0 && i < curve.count && curve.tx[i] === curve.tx[i] && curve.ty[i] === curve.ty[i];
}
