// What the points of a plot are in words and numbers: for the box beside the cursor, a screen reader, and CSV.
import { extremes, isPath, nearestInX } from "./curves.js";
import { formatted, trimmed } from "./scale.js";
/** @import { Contours, Plot, Read } from "./types.js" */
/** @import { Curve } from "./curves.js" */

const MOST_ROWS = 8;

/** @typedef {{ text: string, rows: [string, string][] }} Words */

/** The name of the axis that measures a curve. @param {Plot} plot @param {{ side: number }} curve */
export function yName(plot, curve) {
  const axis = curve.side === 1 && plot.right ? plot.right.axis : plot.y;
  return axis.label || "y";
}

/** @param {Plot} plot */
export function xName(plot) {
  return plot.x.label || "x";
}

/** What a curve is called in words. @param {Plot} plot @param {Curve} curve */
export function titleOf(plot, curve) {
  return curve.title || yName(plot, curve);
}

/** @param {Plot} plot @param {Curve} curve @param {number} i @returns {Words} */
export function pointWords(plot, curve, i) {
  const title = titleOf(plot, curve);
  if (curve.mark === "bars") return barWords(plot, curve, i);
  const [x, y] = [trimmed(curve.x[i]), formatted(curve.y[i])];
  if (curve.mark === "band") {
    const band = rangeWords(curve.y[i], curve.to[i]);
    return { text: `${title}: ${xName(plot)} ${x}, band ${band}`, rows: [[xName(plot), x], [title, band]] };
  }
  const where = isPath(curve.mark) ? `point ${i + 1} of ${curve.count}` : "";
  const band = bandWords(curve.band, curve.x[i]);
  /** @type {[string, string][]} */
  const rows = [[xName(plot), x], [title, y]];
  if (isPath(curve.mark)) rows.splice(0, 2, [title, where], [xName(plot), x], [yName(plot, curve), y]);
  else if (curve.title && !curve.rising) rows.splice(0, 2, [title, ""], [xName(plot), x], [yName(plot, curve), y]);
  if (band) rows.push(["band", band]);
  const name = curve.title ? `${yName(plot, curve)} ` : "";
  const parts = [`${xName(plot)} ${x}`, `${name}${y}`, band && `band ${band}`, where];
  return { text: `${title}: ${parts.filter(Boolean).join(", ")}`, rows };
}

/** Of the band around a curve, at exactly this x. @param {Curve | null} band @param {number} x */
function bandWords(band, x) {
  const i = band ? nearestInX(band, x) : -1;
  return band && i >= 0 && band.x[i] === x ? rangeWords(band.y[i], band.to[i]) : "";
}

/** @param {Plot} plot @param {Curve} curve @param {number} i @returns {Words} */
function barWords(plot, curve, i) {
  const title = titleOf(plot, curve);
  const range = rangeWords(curve.x[i], curve.to[i]);
  const height = formatted(curve.y[i]);
  return { text: `${title}: ${xName(plot)} ${range}, ${height}`, rows: [[xName(plot), range], [title, height]] };
}

/** @param {number} low @param {number} high */
export function rangeWords(low, high) {
  const end = (/** @type {number} */ v) => (v === -Infinity ? "−∞" : v === Infinity ? "∞" : trimmed(v));
  return `${end(low)} to ${end(high)}`;
}

/**
 * What other curves have at the same x.
 * @param {Plot} plot
 * @param {Curve[]} curves
 * @param {Curve | null} but
 * @param {number} x
 * @returns {[string, string][]}
 */
export function othersAt(plot, curves, but, x) {
  const others = curves.filter((curve) => curve !== but && isFunction(curve) && !curve.member && curve.mark !== "thin");
  /** @type {[string, string][]} */
  const rows = [];
  for (const curve of others) {
    const i = nearestInX(curve, x);
    if (i >= 0 && isNear(curve, i, x)) rows.push([titleOf(plot, curve), formatted(curve.y[i])]);
  }
  return rows.length > MOST_ROWS ? [...rows.slice(0, MOST_ROWS - 1), ["…", `${rows.length - MOST_ROWS + 1} more`]] : rows;
}

/** Whether it has one y for an x. @param {Curve} curve */
export function isFunction(curve) {
  return curve.rising && curve.mark !== "band" && curve.mark !== "bars" && !isPath(curve.mark);
}

/**
 * Not farther than to the next point: beyond the end of a curve there is no value.
 * @param {Curve} curve
 * @param {number} i
 * @param {number} x
 */
export function isNear(curve, i, x) {
  const gap = Math.max(i > 0 ? curve.x[i] - curve.x[i - 1] : 0, i + 1 < curve.count ? curve.x[i + 1] - curve.x[i] : 0);
  return Math.abs(curve.x[i] - x) <= gap || curve.x[i] === x;
}

/** What a screen reader hears first. @param {Plot} plot @param {Curve[]} curves */
export function summaryWords(plot, curves) {
  const main = curves.filter((curve) => !curve.member && !(curve.mark === "band" && curve.line));
  const names = [...new Set(main.map((curve) => titleOf(plot, curve)))];
  const what = `${plot.y.label || "y"}${plot.right ? ` and ${plot.right.axis.label}` : ""} over ${xName(plot)}`;
  const [bounds, lost] = [ends(main), leftOut(curves)];
  if (!bounds && !plot.contours) return [`${what}: no finite data.`, lost].filter(Boolean).join(" ");
  const listed = names.length > 12 ? [...names.slice(0, 11), `${names.length - 11} more`] : names;
  const scale = plot.y.scale === "linear" ? "" : ", logarithmic";
  const parts = [`${what}${scale}. ${main.length} series: ${listed.join("; ")}.`];
  if (plot.contours) parts.push(`Level lines of a ${plot.contours.x.count} by ${plot.contours.y.count} grid.`);
  return [...parts, bounds, lost].filter(Boolean).join(" ");
}

/** @param {Curve[]} curves */
function ends(curves) {
  const [low, high] = extremes(curves.map((curve) => curve.y));
  return low <= high ? `Values from ${formatted(low)} to ${formatted(high)}.` : "";
}

/** How many points are missing since they are not finite. @param {Curve[]} curves */
function leftOut(curves) {
  const lost = curves.reduce((sum, { series, member }) => sum + (member ? 0 : series.left_out), 0);
  return lost > 0 ? `${lost} ${lost === 1 ? "point is" : "points are"} not finite.` : "";
}

/**
 * All numbers of a plot, one point a row.
 * @param {Plot} plot
 * @param {Curve[]} curves
 * @param {Read} read
 * @returns {string[][]}
 */
export function tableOf(plot, curves, read) {
  const cell = (/** @type {number | undefined} */ v) => (v === undefined || Number.isNaN(v) ? "" : String(v));
  const measures = [xName(plot), yName(plot, { side: 0 }), "to"];
  const rows = [["series", "mark", ...measures, ...(plot.right ? ["axis"] : [])]];
  for (const curve of curves) {
    const right = plot.right ? [curve.side === 1 ? yName(plot, curve) : yName(plot, { side: 0 })] : [];
    for (let i = 0; i < curve.count; i++) {
      const to = curve.mark === "bars" || curve.mark === "band" ? cell(curve.to[i]) : "";
      rows.push([titleOf(plot, curve), curve.mark, cell(curve.x[i]), cell(curve.y[i]), to, ...right]);
    }
  }
  if (plot.contours) rows.push([], ...gridTable(plot, plot.contours, read));
  return rows;
}

/**
 * The grid behind level lines, with the value at each node.
 * @param {Plot} plot
 * @param {Contours} contours
 * @param {Read} read
 */
function gridTable(plot, contours, read) {
  const [x, y, z] = [contours.x, contours.y, contours.z].map(read);
  const rows = [["grid", "", xName(plot), plot.y.label || "y", "value"]];
  for (let i = 0; i < z.length; i++) {
    rows.push(["grid", "", String(x[i % x.length]), String(y[Math.floor(i / x.length)]), Number.isNaN(z[i]) ? "" : String(z[i])]);
  }
  return rows;
}
