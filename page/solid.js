// What a surface is to its View: a grid, paths and points, with their places in the box; from a Surface, or from a plot's
// level lines with its paths laid on them. Knows neither canvas nor reader.
/** @import { Axis, Plot, Read, Series, Surface } from "./types.js" */
/** @import { Range } from "./scale.js" */
/** @import { Box } from "./scene.js" */
/** @import { Place } from "./relief.js" */
import { defaultRange, paddedRange, transformed } from "./scale.js";
import { extremes } from "./curves.js";
import { valueBetween } from "./contour.js";
import { finenessesOf } from "./facets.js";

/**
 * A path or points on the surface.
 * @typedef {object} Marked
 * @property {string} label
 * @property {number} [color]  of the cycle; none: ink
 * @property {"path" | "open_path" | "disc" | "circle" | "cross"} shape
 * @property {Place[]} points  in data units
 * @property {(Place | null)[]} places  in the box; null where it has none
 */

/**
 * @typedef {object} Solid
 * @property {Box} box
 * @property {ArrayLike<number>} x  the grid, in data units
 * @property {ArrayLike<number>} y
 * @property {ArrayLike<number>} z
 * @property {ReturnType<typeof finenessesOf>} finenesses
 * @property {Marked[]} marks
 */

// Below the surface and above, by its height.
const BOX_PADDING = 0.04;

/** @param {Surface} surface @param {Read} read @returns {Solid} */
export function solidOf(surface, read) {
  const [path, point] = [placesIn(read(surface.path)), placesIn(read(surface.point))];
  /** @type {Marked[]} */
  const marks = [];
  if (path.length > 0) marks.push({ label: "path", color: 1, shape: "path", points: path, places: [] });
  if (point.length > 0) marks.push({ label: "the marked point", color: 1, shape: "disc", points: point, places: [] });
  return inBox([surface.x, surface.y, surface.z], read(surface.at_x), read(surface.at_y), read(surface.values), marks);
}

/** Three numbers each. @param {ArrayLike<number>} flat @returns {Place[]} */
function placesIn(flat) {
  return Array.from({ length: Math.floor(flat.length / 3) }, (_, i) => [flat[3 * i], flat[3 * i + 1], flat[3 * i + 2]]);
}

/**
 * Level lines as the surface they are of.
 * @param {Plot} plot
 * @param {Read} read
 * @param {string} heights  what they are
 * @returns {Solid}
 */
export function solidOfPlot(plot, read, heights) {
  const { contours } = plot;
  const grid = { x: read(contours?.x), y: read(contours?.y), z: read(contours?.z) };
  const [low, high] = extremes([grid.z]);
  // As src/plot/contour.rs chooses levels: by ratios if all are positive and far from each other.
  const scale = low > 0 && high / 3 > low ? "log" : "linear";
  /** @type {Marked[]} */
  const marks = plot.series.flatMap((series) => {
    const shape = markShape(series.mark);
    if (!shape) return [];
    const [x, y] = [read(series.x), read(series.y)];
    const points = Array.from(x, (at, i) => /** @type {Place} */ ([at, y[i], valueBetween(grid, at, y[i])]));
    const label = [series.label, series.name].filter(Boolean).join(", ") || "points";
    return [{ label, color: series.color, shape, points, places: [] }];
  });
  return inBox([plot.x, plot.y, { label: heights, scale, levels: [] }], grid.x, grid.y, grid.z, marks);
}

/** @param {Series["mark"]} mark @returns {Marked["shape"] | null} */
function markShape(mark) {
  if (mark === "path" || mark === "open_path") return mark;
  if (mark === "crosses") return "cross";
  if (mark === "circles") return "circle";
  return mark === "bars" || mark === "band" ? null : "disc";
}

/** @param {ArrayLike<number>} values @param {(v: number) => number} of */
function eachOf(values, of) {
  const out = new Float64Array(values.length);
  for (let i = 0; i < out.length; i++) out[i] = of(values[i]);
  return out;
}

/**
 * @param {[Axis, Axis, Axis]} axes
 * @param {ArrayLike<number>} x
 * @param {ArrayLike<number>} y
 * @param {ArrayLike<number>} z
 * @param {Marked[]} marks
 * @returns {Solid}
 */
function inBox(axes, x, y, z, marks) {
  const points = marks.map((mark) => mark.points.map((at) => axes.map((axis, i) => transformed(axis, at[i]))));
  const shown = points.flat().filter((at) => at.every(Number.isFinite));
  const grid = [x, y, z].map((values, i) => eachOf(values, (v) => transformed(axes[i], v)));
  const ranges = /** @type {Box["ranges"]} */ (grid.map((values, i) => {
    return boxRange(axes[i], extremes([values, shown.map((at) => at[i])]), i === 2 ? BOX_PADDING : 0);
  }));
  const share = (/** @type {number} */ t, /** @type {number} */ i) => (t - ranges[i].lo) / (ranges[i].hi - ranges[i].lo);
  marks.forEach((mark, k) => {
    mark.places = points[k].map((at) => (at.every(Number.isFinite) ? /** @type {Place} */ (at.map(share)) : null));
  });
  const [u, v, w] = grid.map((values, i) => eachOf(values, (t) => share(t, i)));
  return { box: { axes, ranges }, x, y, z, finenesses: finenessesOf(u, v, w), marks };
}

/** @param {Axis} axis @param {[number, number]} extent @param {number} padding @returns {Range} */
function boxRange(axis, [lo, hi], padding) {
  return lo <= hi ? paddedRange(axis, { lo, hi }, padding) : defaultRange(axis);
}
