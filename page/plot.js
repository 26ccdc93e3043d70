// Curves on axes: draws them, reads the nearest point, zooms, switches scales and what is shown. The host sends it what
// hands and keys do; how points are found, worded and drawn is in the modules it imports.
import { Brush } from "./brush.js";
import { contoursOf } from "./contour.js";
import { curvesOf, extremes, isPath, isShown, nearestInX, place } from "./curves.js";
import { drawPlotAxes, drawGrid, frameOf, insetsFor } from "./frame.js";
import { drawBackdrop, drawCursor, drawRules } from "./layers.js";
import { drawCurve, mapOf } from "./strokes.js";
import { nearest, stepped } from "./nearest.js";
import { formatted, trimmed } from "./scale.js";
import { alphaSlider, pathSlider } from "./sliders.js";
import { moveSide, otherScale, sidesOf, zoomSide } from "./sides.js";
import { isFunction, isNear, othersAt, pointWords, rangeWords, summaryWords, tableOf, titleOf, xName, yName } from "./reading.js";
/** @import { Control, Plot, Read, Reading, Theme } from "./types.js" */
/** @import { Curve } from "./curves.js" */
/** @import { Frame, Insets, Side } from "./frame.js" */
/** @import { Range } from "./scale.js" */
/** @import { Study } from "./study.js" */

/** Farther from any curve than this, level lines are read. */
const REACH = 14;

/** @typedef {{ curve: Curve, i: number }} Point */

export class PlotView {
  /** @param {Plot} plot @param {Read} read @param {Study} study  what it switches on and off */
  constructor(plot, read, study) {
    // A number that JSON does not know stands there as null.
    this.plot = { ...plot, rules: plot.rules.filter((rule) => Number.isFinite(rule.x)) };
    this.read = read;
    this.study = study;
    this.curves = curvesOf(plot, read);
    this.contours = plot.contours ? contoursOf(plot.contours, read) : null;
    /** @type {import("./types.js").Axis[]} x, left, right */
    this.axes = [plot.x, plot.y, ...(plot.right ? [plot.right.axis] : [])];
    /** @type {Point | null} */
    this.current = null;
    /** @type {[number, number] | null} a place between level lines, in values */
    this.spot = null;
    /** @type {number | null} a value of x that other panels point to too */
    this.cursor = null;
    /** @type {{ from: [number, number], to: [number, number] } | null} being dragged */
    this.box = null;
    /** @type {Insets | null} given by the host, so that panels in a column line up */
    this.insets = null;
    this.snapshot = Infinity;
    /** @type {[number, number][]} of the values along each axis, once known */
    this.ranges = [];
    this.words = "";
    this.brush = this.countsAlong() ? new Brush(this.countsAlong() ?? "x") : null;
    this.hadSeeds = false;
    const [x, ...y] = this.fit();
    /** @type {Side} */
    this.x = x;
    /** @type {Side[]} */
    this.y = y;
    /** @type {Frame} */
    this.frame = frameOf(this.x, this.y, { left: 50, right: 5, top: 9, bottom: 40 }, 400, 300);
  }

  /** Axes and places anew, of all that is shown or can be switched on. */
  fit() {
    for (const curve of this.curves) place(curve, this.axes[0], this.axes[1 + curve.side]);
    return this.fitSides();
  }

  /** Axes over what is shown, once more with or without seeds. */
  fitSides() {
    this.hadSeeds = this.study.seeds;
    const used = this.curves.filter((curve) => !curve.member || this.study.seeds);
    const sides = sidesOf(this.plot, this.axes, used, this.read);
    [this.x, ...this.y] = sides;
    return sides;
  }

  /** Along which axis its eigenvalues are counted, if it has them. @returns {"x" | "y" | null} */
  countsAlong() {
    if (this.curves.length > 0 && this.curves.every((curve) => curve.mark === "bars")) return "x";
    return /\brank\b/.test(this.plot.x.label) && this.curves.length > 0 ? "y" : null;
  }

  /** Curves that are switched on, the last on top. */
  shown() {
    return this.curves.filter((curve) => (!curve.member || this.study.seeds) && this.study.shows(curve.label, curve.name));
  }

  hasMembers() {
    return this.curves.some((curve) => curve.member);
  }

  // Drawing.

  /** @param {CanvasRenderingContext2D} ctx @param {number} width @param {number} height */
  wanted(ctx, width, height) {
    if (this.hadSeeds !== this.study.seeds) this.fitKeepingZoom();
    return insetsFor(ctx, this.x, this.y, width, height);
  }

  fitKeepingZoom() {
    const [x, y] = [this.x, this.y];
    const wasZoomed = this.isZoomed();
    this.fitSides();
    if (wasZoomed) [this.x, ...this.y].forEach((side, i) => (side.shown = [x, ...y][i].shown));
  }

  /** @param {CanvasRenderingContext2D} ctx @param {number} width @param {number} height @param {Theme} theme */
  draw(ctx, width, height, theme) {
    const insets = this.insets ?? this.wanted(ctx, width, height);
    this.frame = frameOf(this.x, this.y, insets, width, height);
    const { x0, x1, y0, y1 } = this.frame;
    if (!this.contours) drawGrid(ctx, this.frame, this.x, this.y, theme);
    ctx.save();
    ctx.beginPath();
    ctx.rect(x0 - 3, y0 - 3, x1 - x0 + 6, y1 - y0 + 6);
    ctx.clip();
    if (this.contours) drawBackdrop(ctx, this.frame, this.contours, this.axes, theme);
    drawRules(ctx, this.frame, this.plot.rules, theme, false);
    const shown = this.shown();
    shown.filter((curve) => curve.member).forEach((curve) => drawCurve(ctx, curve, this.frame, theme));
    shown.filter((curve) => !curve.member).forEach((curve) => drawCurve(ctx, curve, this.frame, theme, this.snapshot));
    drawRules(ctx, this.frame, this.plot.rules, theme, true);
    ctx.restore();
    drawPlotAxes(ctx, this.frame, this.x, this.y, theme);
    if (!this.contours && !this.curves.some((curve) => curve.count > 0 && hasPoint(curve))) this.drawNote(ctx, theme);
  }

  /** @param {CanvasRenderingContext2D} ctx @param {Theme} theme */
  drawNote(ctx, theme) {
    ctx.fillStyle = theme.soft;
    ctx.textAlign = "center";
    ctx.fillText("no finite data", (this.frame.x0 + this.frame.x1) / 2, (this.frame.y0 + this.frame.y1) / 2);
  }

  /** What lies on top and changes with the pointer. @param {CanvasRenderingContext2D} ctx @param {Theme} theme */
  over(ctx, theme) {
    drawCursor(ctx, this, theme);
  }

  // Reading.

  /** @param {number} px @param {number} py @returns {Reading | null} */
  at(px, py) {
    // What was counted stays to be read.
    if (this.brush?.on && this.brush.isSet) return this.brushReading();
    this.spot = null;
    const near = nearest(this.shown(), this.frame, px, py);
    const [x, y] = this.valuesAt(px, py);
    if (this.contours && !(near && near.away <= REACH) && Number.isFinite(this.contours.valueAt(x, y))) {
      this.current = null;
      this.spot = [x, y];
    } else this.current = near;
    return this.reading();
  }

  /** The values at a place of the canvas. @param {number} px @param {number} py @returns {[number, number]} */
  valuesAt(px, py) {
    const { frame } = this;
    return [frame.x.from((px - frame.x0) / (frame.x1 - frame.x0)), frame.y[0].from((frame.y1 - py) / (frame.y1 - frame.y0))];
  }

  /** @param {number} x @param {number} y @param {number} side @returns {[number, number]} */
  placeOf(x, y, side) {
    const { frame } = this;
    return [frame.x0 + frame.x.to(x) * (frame.x1 - frame.x0), frame.y1 - frame.y[side].to(y) * (frame.y1 - frame.y0)];
  }

  /** @returns {Reading | null} */
  reading() {
    if (this.spot) return this.spotReading(this.spot);
    if (!this.current) return null;
    const { curve, i } = this.current;
    this.cursor = curve.mark === "bars" ? null : curve.x[i];
    const { text, rows } = pointWords(this.plot, curve, i);
    if (isFunction(curve)) rows.push(...othersAt(this.plot, this.shown(), curve, curve.x[i]));
    const map = mapOf(curve, this.frame);
    const px = curve.mark === "bars" ? (map.x(curve.tx[i]) + map.x(curve.tto[i])) / 2 : map.x(curve.tx[i]);
    rows.push(...this.ruleRows(px));
    return { text, rows, px, py: map.y(curve.mark === "band" ? curve.tto[i] : curve.ty[i]) };
  }

  /** The lines that stand here. @param {number} px @returns {[string, string][]} */
  ruleRows(px) {
    const near = (this.plot.rules).filter((rule) => rule.label && Math.abs(this.placeOf(rule.x, NaN, 0)[0] - px) < 4);
    return near.map((rule) => ["line", rule.label]);
  }

  /** @param {[number, number]} spot @returns {Reading} */
  spotReading([x, y]) {
    this.cursor = null;
    const value = formatted(this.contours?.valueAt(x, y) ?? NaN);
    const [px, py] = this.placeOf(x, y, 0);
    const [a, b] = [trimmed(x, 3), trimmed(y, 3)];
    const name = yName(this.plot, { side: 0 });
    const text = `${xName(this.plot)} ${a}, ${name} ${b}: value ${value}`;
    return { text, rows: [[xName(this.plot), a], [name, b], ["value", value]], px, py };
  }

  /** @param {number} dx @param {number} dy @param {boolean} far @returns {Reading | null} */
  step(dx, dy, far) {
    if (this.brush?.on) return this.stepBrush(dx, dy, far);
    const curves = this.shown().filter((curve) => hasPoint(curve) && !(curve.mark === "band" && curve.line));
    if (curves.length === 0) return this.contours ? this.stepSpot(dx, dy, far) : null;
    this.spot = null;
    if (!this.current || !curves.includes(this.current.curve)) {
      const curve = curves[curves.length - 1];
      // End leads to the end, also as the first key.
      const first = stepped(curve, -1, Math.max(dx, 1));
      this.current = { curve, i: this.cursor === null || dx === Infinity ? first : nearestInX(curve, this.cursor) };
    } else if (dy !== 0) this.stepCurve(curves, -Math.sign(dy));
    else this.current = { curve: this.current.curve, i: stepped(this.current.curve, this.current.i, far ? 10 * dx : dx) };
    this.intoView();
    return this.reading();
  }

  /** To the next curve, at about the same x. @param {Curve[]} curves @param {number} by */
  stepCurve(curves, by) {
    if (!this.current) return;
    const { curve, i } = this.current;
    const next = curves[(curves.indexOf(curve) + by + curves.length) % curves.length];
    const at = isPath(next.mark) ? Math.min(i, next.count - 1) : nearestInX(next, curve.x[i]);
    this.current = { curve: next, i: isShown(next, at) ? at : stepped(next, -1, 1) };
  }

  /**
   * From place to place between level lines.
   * @param {number} dx
   * @param {number} dy
   * @param {boolean} far
   * @returns {Reading | null}
   */
  stepSpot(dx, dy, far) {
    const { frame } = this;
    const by = (far ? 10 : 1) / 50;
    const clamp = (/** @type {number} */ t) => Math.min(Math.max(t, 0), 1);
    const [x, y] = this.spot ?? [frame.x.from(0.5), frame.y[0].from(0.5)];
    const moved = this.spot ? 1 : 0;
    this.spot = [frame.x.from(clamp(frame.x.to(x) + moved * by * dx)), frame.y[0].from(clamp(frame.y[0].to(y) - moved * by * dy))];
    return this.reading();
  }

  /** Moves what is shown where the current point would be outside. */
  intoView() {
    if (!this.current) return;
    const { curve, i } = this.current;
    const into = (/** @type {Side} */ side, /** @type {number} */ t) => {
      const span = side.shown.hi - side.shown.lo;
      if (t < side.shown.lo || t > side.shown.hi) moveSide(side, t - span / 2, span);
    };
    into(this.x, curve.tx[i]);
    into(this.y[curve.side], curve.ty[i]);
    this.reframe();
  }

  leave() {
    this.current = null;
    this.spot = null;
    this.cursor = null;
  }

  /** Where another panel points to. @param {number | null} x @returns {Reading | null} */
  follow(x) {
    this.current = null;
    this.spot = null;
    this.cursor = x;
    if (x === null) return null;
    const rows = othersAt(this.plot, this.shown(), null, x);
    const px = this.placeOf(x, NaN, 0)[0];
    const inside = px >= this.frame.x0 - 1 && px <= this.frame.x1 + 1;
    return rows.length > 0 && inside ? { text: "", rows: [[xName(this.plot), trimmed(x)], ...rows], px, py: this.frame.y0 } : null;
  }

  /**
   * What each curve has at the cursor, for a table under the figure.
   * @returns {[string, string, string][]}  curve, quantity, value
   */
  valuesAtCursor() {
    const x = this.cursor;
    if (x === null) return [];
    const functions = this.shown().filter((curve) => isFunction(curve) && !curve.member);
    return functions.map((curve) => {
      const i = nearestInX(curve, x);
      return [titleOf(this.plot, curve), yName(this.plot, curve), i >= 0 && isNear(curve, i, x) ? formatted(curve.y[i]) : "—"];
    });
  }

  // Zooming.

  isZoomed() {
    return [this.x, ...this.y].some(({ full, shown }) => full.lo !== shown.lo || full.hi !== shown.hi);
  }

  /** What tells one part of the axes from another. */
  shownKey() {
    return [this.x, ...this.y].map(({ shown }) => `${shown.lo} ${shown.hi}`).join();
  }

  /** After a change of what is shown, so that places are right before it is drawn. */
  reframe() {
    const { x0, x1, y0, y1 } = this.frame;
    this.frame = frameOf(this.x, this.y, { left: x0, right: 0, top: y0, bottom: 0 }, x1, y1);
  }

  /** Beside or below the plot only that axis. @param {number} px @param {number} py @param {number} factor */
  zoom(px, py, factor) {
    const { x0, x1, y0, y1 } = this.frame;
    const t = (/** @type {Side} */ side, /** @type {number} */ at) => side.shown.lo + at * (side.shown.hi - side.shown.lo);
    const clamp = (/** @type {number} */ at) => Math.min(Math.max(at, 0), 1);
    if (px >= x0 && px <= x1) zoomSide(this.x, t(this.x, clamp((px - x0) / (x1 - x0))), factor);
    if (py <= y1) this.y.forEach((side) => zoomSide(side, t(side, clamp((y1 - py) / (y1 - y0))), factor));
    this.reframe();
  }

  /** Moves what is shown. @param {[number, number]} from @param {[number, number]} to */
  drag(from, to) {
    const { x0, x1, y0, y1 } = this.frame;
    const move = (/** @type {Side} */ side, /** @type {number} */ by) => {
      const span = side.shown.hi - side.shown.lo;
      moveSide(side, side.shown.lo + by * span, span);
    };
    move(this.x, (from[0] - to[0]) / (x1 - x0));
    this.y.forEach((side) => move(side, (to[1] - from[1]) / (y1 - y0)));
    this.reframe();
  }

  reset() {
    [this.x, ...this.y].forEach((side) => (side.shown = { ...side.full }));
    this.brush?.clear();
    this.box = null;
    this.reframe();
  }

  /**
   * While a box is dragged, and when it is let go.
   * @param {[number, number]} from
   * @param {[number, number]} to
   * @param {boolean} done
   * @returns {Reading | null}
   */
  select(from, to, done) {
    if (this.brush?.on) return this.dragBrush(from, to);
    this.box = done ? null : this.boxOf(from, to);
    if (done) this.zoomInto(this.boxOf(from, to));
    return null;
  }

  /**
   * A flat box is of one axis alone.
   * @param {[number, number]} from
   * @param {[number, number]} to
   * @returns {{ from: [number, number], to: [number, number] }}
   */
  boxOf(from, to) {
    const { x0, x1, y0, y1 } = this.frame;
    const inX = (/** @type {number} */ p) => Math.min(Math.max(p, x0), x1);
    const inY = (/** @type {number} */ p) => Math.min(Math.max(p, y0), y1);
    const [wide, high] = [Math.abs(to[0] - from[0]), Math.abs(to[1] - from[1])];
    const xs = wide < 10 && high > 20 ? [x0, x1] : [inX(Math.min(from[0], to[0])), inX(Math.max(from[0], to[0]))];
    const ys = high < 10 && wide > 20 ? [y0, y1] : [inY(Math.min(from[1], to[1])), inY(Math.max(from[1], to[1]))];
    return { from: [xs[0], ys[0]], to: [xs[1], ys[1]] };
  }

  /** @param {{ from: [number, number], to: [number, number] }} box */
  zoomInto({ from, to }) {
    const { x0, x1, y0, y1 } = this.frame;
    if (to[0] - from[0] < 4 || to[1] - from[1] < 4) return;
    zoomTo(this.x, (from[0] - x0) / (x1 - x0), (to[0] - x0) / (x1 - x0));
    this.y.forEach((side) => zoomTo(side, (y1 - to[1]) / (y1 - y0), (y1 - from[1]) / (y1 - y0)));
    this.reframe();
  }

  /** The same part of x as in a panel beside. @param {Range} range */
  showX(range) {
    this.x.shown = { ...range };
    this.reframe();
  }

  // Counting.

  /** @param {boolean} on */
  setCounting(on) {
    if (!this.brush) return;
    this.brush.on = on;
    if (!on) this.brush.clear();
  }

  counted() {
    return this.shown().filter((curve) => !curve.member && curve.mark !== "band" && curve.mark !== "thin");
  }

  /** @param {[number, number]} from @param {[number, number]} to @returns {Reading | null} */
  dragBrush(from, to) {
    const axis = this.brush?.along === "x" ? 0 : 1;
    this.current = null;
    this.brush?.set(this.counted(), this.valuesAt(...from)[axis], this.valuesAt(...to)[axis]);
    return this.brushReading();
  }

  /** @param {number} dx @param {number} dy @param {boolean} lower @returns {Reading | null} */
  stepBrush(dx, dy, lower) {
    this.brush?.move(this.counted(), dx !== 0 ? dx : -dy, lower);
    return this.brushReading();
  }

  /** @returns {Reading | null} */
  brushReading() {
    const { brush, frame } = this;
    if (!brush?.isSet) return null;
    const what = brush.along === "x" ? yName(this.plot, { side: 0 }) : plural(this.plot.y.label);
    const { text, rows } = brush.words(this.counted(), what);
    const end = brush.along === "x" ? this.placeOf(brush.high, NaN, 0)[0] : frame.x1;
    const top = brush.along === "y" ? this.placeOf(NaN, brush.high, 0)[1] : frame.y0;
    return { text, rows, px: Number.isNaN(end) ? frame.x1 : end, py: Number.isNaN(top) ? frame.y0 : top };
  }

  // For the host.

  /**
   * Whether an axis has another scale, and whether it has that now.
   * @param {"x" | "y"} which
   * @returns {{ log: boolean } | null}
   */
  scaleOf(which) {
    const i = which === "x" ? 0 : 1;
    if (this.contours || this.curves.some((curve) => isPath(curve.mark)) || (which === "x" && this.isAlpha())) return null;
    return this.otherAxis(i) ? { log: this.axes[i].scale !== "linear" } : null;
  }

  /** @param {number} i */
  otherAxis(i) {
    const original = i === 0 ? this.plot.x : i === 1 ? this.plot.y : this.plot.right?.axis ?? this.plot.y;
    const measured = this.curves.filter((curve) => i === 0 || curve.side === i - 1);
    this.ranges[i] ??= extremes(measured.map((curve) => (i === 0 ? curve.x : curve.y)));
    return otherScale(original, this.axes[i], this.ranges[i]);
  }

  /** Between linear and logarithmic; it shows all again. @param {"x" | "y"} which */
  switchScale(which) {
    const i = which === "x" ? 0 : 1;
    this.axes[i] = this.otherAxis(i) ?? this.axes[i];
    this.fit();
    this.reframe();
  }

  isAlpha() {
    return this.plot.x.label.trim() === "α";
  }

  /** @returns {Control[]} */
  controls() {
    return [...(this.isAlpha() ? [alphaSlider(this)] : []), ...pathSlider(this)];
  }

  /** @returns {string[][]} */
  table() {
    return tableOf(this.plot, this.curves, this.read);
  }

  zoomWords() {
    if (!this.isZoomed()) return "All of it is shown.";
    return `Zoomed to ${xName(this.plot)} ${rangeWords(this.frame.x.from(0), this.frame.x.from(1))}.`;
  }

  cursorWords() {
    return this.cursor === null ? "" : `${xName(this.plot)} = ${trimmed(this.cursor)}`;
  }

  summary() {
    this.words ||= summaryWords(this.plot, this.curves);
    return [this.words, this.isZoomed() ? this.zoomWords() : ""].filter(Boolean).join(" ");
  }
}

/** @param {Side} side @param {number} from @param {number} to  fractions of what is shown */
function zoomTo(side, from, to) {
  const { lo, hi } = side.shown;
  const [low, high] = [lo + from * (hi - lo), lo + to * (hi - lo)];
  // Around the middle, so that where it cannot be as narrow it is about there.
  zoomSide(side, (low + high) / 2, (hi - lo) / (high - low));
  const span = side.shown.hi - side.shown.lo;
  side.shown = { lo: (low + high) / 2 - span / 2, hi: (low + high) / 2 + span / 2 };
}

/** @param {Curve} curve */
function hasPoint(curve) {
  for (let i = 0; i < curve.count; i++) if (isShown(curve, i)) return true;
  return curve.mark === "band" && curve.count > 0;
}

/** @param {string} label */
function plural(label) {
  return /^eigenvalue\b/.test(label) ? label.replace(/^eigenvalue\b/, "eigenvalues") : `points of ${label}`;
}
