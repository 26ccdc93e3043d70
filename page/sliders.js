// The sliders of a plot: over α, where it moves the cursor, and over the snapshots of paths. Knows the plot, not how a
// slider looks.
import { isPath } from "./curves.js";
import { trimmed } from "./scale.js";
import { isFunction } from "./reading.js";
/** @import { Control } from "./types.js" */
/** @import { PlotView } from "./plot.js" */

/** @param {PlotView} view @returns {Control} */
export function alphaSlider(view) {
  const all = view.curves.filter(isFunction).flatMap((curve) => Array.from(curve.x));
  const stops = [...new Set(all.filter(Number.isFinite))].sort((a, b) => a - b);
  const away = (/** @type {number} */ i, /** @type {number} */ x) => Math.abs(stops[i] - x);
  const nearestTo = (/** @type {number} */ x) => stops.reduce((best, _, i) => (away(i, x) < away(best, x) ? i : best), 0);
  return {
    kind: "slider",
    label: "α",
    min: 0,
    max: Math.max(stops.length - 1, 0),
    get: () => nearestTo(view.cursor ?? 0),
    set: (i) => void view.follow(stops[i] ?? null),
    say: (i) => trimmed(stops[i] ?? NaN),
  };
}

/** One for all paths of the plot; none where they do not lead anywhere. @param {PlotView} view @returns {Control[]} */
export function pathSlider(view) {
  const paths = view.curves.filter((curve) => isPath(curve.mark));
  const last = paths.reduce((most, path) => Math.max(most, path.count - 1), 0);
  if (last < 1) return [];
  const set = (/** @type {number} */ i) => void (view.snapshot = i === last ? Infinity : i);
  const say = (/** @type {number} */ i) => `${i + 1} of ${last + 1}`;
  return [{ kind: "slider", label: "Snapshot", min: 0, max: last, get: () => Math.min(view.snapshot, last), set, say }];
}
