// The View of a heat map: coloured cells with names along two sides, as src/plot/draw.rs has them; hover, tap or arrows
// name a cell and light its row and column. Knows no experiment.
/** @import { Control, HeatMap, Read, Reading, Theme, View } from "./types.js" */
import { heldWithin } from "./bounds.js";
import { formatted, grouped } from "./scale.js";
import { FONT, NAME_FONT, TICK_FONT } from "./theme.js";
import { blueShade, cssOf, inkOn, mixed, rgbOf } from "./shades.js";
import { linesWithin, shortenedTo, writeLines } from "./texts.js";

/**
 * Which part of the map is shown: its first column and row, and how many, not whole numbers.
 * @typedef {{ x: number, y: number, columns: number, rows: number }} Window
 */

/**
 * Where the cells are on the canvas, and how the columns' names are written.
 * @typedef {{ x0: number, y0: number, x1: number, y1: number, upright: boolean, longest: number }} CellPlot
 */

const MAP_ASPECT = 0.86;
const MAP_TOP = 8;
const LIT_FONT = `bold ${TICK_FONT}`;
const MAP_RIGHT = 10;
const MAP_GAP = 5;
const MAP_LINE = 15.5;
const LONGEST_NAME = 0.25;
const NAMES_ACROSS = 26;
const NAMES_DOWN = 15;
const COUNT_SIZE = 13;
// Smaller digits could not be read.
const SMALLEST_COUNT = 5.3;
const FEWEST_CELLS = 2;

/** @param {HeatMap} map @param {Read} read @returns {View} */
export function heatMapView(map, read) {
  return new MapView(map, read(map.counts), read(map.shades));
}

/**
 * What two names do not end in alike: of "true digit" and "predicted digit", "true" and "predicted".
 * @param {string} a
 * @param {string} b
 * @returns {[string, string]}
 */
export function withoutSameEnd(a, b) {
  const [left, right] = [a.split(" "), b.split(" ")];
  while (left.length > 1 && right.length > 1 && left[left.length - 1] === right[right.length - 1]) [left.pop(), right.pop()];
  return [left.join(" "), right.join(" ")];
}

/** How much of a whole, in percent; "" of nothing. @param {number} part @param {number} whole */
export function percentOf(part, whole) {
  if (!(whole > 0)) return "";
  const share = (100 * part) / whole;
  return `${share >= 10 ? share.toFixed(1).replace(".0", "") : formatted(share, 2)} %`;
}

/** @implements {View} */
class MapView {
  /** @param {HeatMap} map @param {ArrayLike<number>} counts @param {ArrayLike<number>} shades */
  constructor(map, counts, shades) {
    this.map = map;
    this.counts = counts;
    this.shades = shades;
    this.aspect = MAP_ASPECT;
    this.columns = map.columns.length;
    this.rows = map.rows.length;
    const finite = Array.from(shades).filter(Number.isFinite);
    this.low = Math.min(0, ...finite);
    this.high = Math.max(0, ...finite);
    this.totals = map.rows.map((_, row) => map.columns.reduce((sum, _, column) => sum + this.countAt(column, row), 0));
    const texts = Array.from(counts, (count) => grouped(String(count)));
    this.longestText = texts.reduce((a, b) => (b.length > a.length ? b : a), "");
    /** @type {Window} */
    this.shown = { x: 0, y: 0, columns: this.columns, rows: this.rows };
    /** @type {{ column: number, row: number } | null} */
    this.current = null;
    /** @type {number[] | null} the widest name of a row and of a column */
    this.widest = null;
    /** @type {{ theme: string, canvas: HTMLCanvasElement } | null} */
    this.sheet = null;
    /** @type {CellPlot} */
    this.plot = { x0: 0, y0: 0, x1: 1, y1: 1, upright: false, longest: 0 };
  }

  /** @param {number} column @param {number} row */
  countAt(column, row) {
    return this.counts[row * this.columns + column] ?? 0;
  }

  /** @param {CanvasRenderingContext2D} ctx @param {number} width @param {number} height @param {Theme} theme */
  draw(ctx, width, height, theme) {
    this.plot = this.layOut(ctx, width, height);
    const { x0, y0, x1, y1 } = this.plot;
    const pixel = 1 / (ctx.getTransform().a || 1);
    const snapped = (/** @type {number} */ v) => Math.round(v / pixel) * pixel;
    const size = this.countSize(ctx);
    ctx.save();
    ctx.beginPath();
    ctx.rect(x0 - 1, y0 - 1, x1 - x0 + 2, y1 - y0 + 2);
    ctx.clip();
    this.drawCells(ctx, theme);
    this.drawGrid(ctx, theme, snapped, size >= SMALLEST_COUNT);
    if (size >= SMALLEST_COUNT) this.drawCounts(ctx, theme, size);
    this.drawCurrent(ctx, theme);
    ctx.restore();
    this.drawNames(ctx, theme, height);
    if (size < SMALLEST_COUNT) this.drawKey(ctx, theme, height);
  }

  /** @param {CanvasRenderingContext2D} ctx @param {number} width @param {number} height @returns {CellPlot} */
  layOut(ctx, width, height) {
    // As wide as when they are lit.
    ctx.font = LIT_FONT;
    const widest = (/** @type {string[]} */ names) => names.reduce((most, name) => Math.max(most, ctx.measureText(name).width), 0);
    this.widest ??= [widest(this.map.rows), widest(this.map.columns)];
    const [left, longest] = this.widest.map((of) => Math.min(of, LONGEST_NAME * width));
    const x0 = Math.ceil(MAP_LINE + 2 * MAP_GAP + left + MAP_GAP);
    const x1 = width - MAP_RIGHT;
    // As all of it stands: zoomed in, the names keep their way.
    const pitch = (x1 - x0) / Math.max(this.columns, 1);
    const upright = longest > pitch * Math.max(Math.ceil(NAMES_ACROSS / pitch), 1) - 6;
    const y1 = height - (2 * MAP_GAP + MAP_LINE + MAP_GAP + (upright ? longest : 12));
    return { x0, y0: MAP_TOP, x1, y1: Math.max(Math.floor(y1), MAP_TOP + 20), upright, longest };
  }

  /** Where a column or a row begins. @param {number} column */
  xAt(column) {
    return this.plot.x0 + ((column - this.shown.x) / this.shown.columns) * (this.plot.x1 - this.plot.x0);
  }

  /** @param {number} row */
  yAt(row) {
    return this.plot.y0 + ((row - this.shown.y) / this.shown.rows) * (this.plot.y1 - this.plot.y0);
  }

  /** The columns and rows that are seen, the last ones not counted. */
  seen() {
    const { x, y, columns, rows } = this.shown;
    const end = (/** @type {number} */ v, /** @type {number} */ all) => heldWithin(Math.ceil(v - 1e-9), 0, all);
    return [Math.floor(x + 1e-9), end(x + columns, this.columns), Math.floor(y + 1e-9), end(y + rows, this.rows)];
  }

  /** @param {(column: number, row: number) => void} visit */
  eachSeen(visit) {
    const [c0, c1, r0, r1] = this.seen();
    for (let row = r0; row < r1; row++) for (let column = c0; column < c1; column++) visit(column, row);
  }

  /** @param {number} column @param {number} row @param {Theme} theme */
  shadeAt(column, row, theme) {
    const shade = this.shades[row * this.columns + column];
    if (Number.isFinite(shade)) return blueShade((shade - this.low) / (this.high - this.low), theme);
    return mixed(rgbOf(theme.paper), rgbOf(theme.ink), theme.dark ? 0.16 : 0.1);
  }

  /** All cells at once, since there may be ten thousand. @param {CanvasRenderingContext2D} ctx @param {Theme} theme */
  drawCells(ctx, theme) {
    const { x, y, columns, rows } = this.shown;
    const { x0, y0, x1, y1 } = this.plot;
    if (!this.columns || !this.rows) return;
    ctx.imageSmoothingEnabled = false;
    ctx.drawImage(this.sheetIn(theme), x, y, columns, rows, x0, y0, x1 - x0, y1 - y0);
  }

  /** A pixel a cell. @param {Theme} theme */
  sheetIn(theme) {
    const key = [theme.dark, theme.paper, theme.ink].join();
    if (this.sheet?.theme === key) return this.sheet.canvas;
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [this.columns, this.rows];
    const ctx = canvas.getContext("2d");
    const cells = ctx?.createImageData(this.columns, this.rows);
    for (let i = 0; cells && i < this.columns * this.rows; i++) {
      cells.data.set([...this.shadeAt(i % this.columns, Math.floor(i / this.columns), theme), 255], 4 * i);
    }
    if (cells) ctx?.putImageData(cells, 0, 0);
    this.sheet = { theme: key, canvas };
    return canvas;
  }

  /**
   * Lines between cells; on small ones only around all.
   * @param {CanvasRenderingContext2D} ctx
   * @param {Theme} theme
   * @param {(v: number) => number} snapped
   * @param {boolean} isLarge
   */
  drawGrid(ctx, theme, snapped, isLarge) {
    const { x0, y0, x1, y1 } = this.plot;
    ctx.fillStyle = cssOf(mixed(rgbOf(theme.paper), rgbOf(theme.ink), 0.22));
    const [c0, c1, r0, r1] = this.seen();
    const line = 0.75;
    const [across, down] = isLarge ? [1, 1] : [Math.max(c1 - c0, 1), Math.max(r1 - r0, 1)];
    for (let i = c0; i <= c1; i += across) ctx.fillRect(snapped(this.xAt(i)) - line / 2, y0, line, y1 - y0);
    for (let i = r0; i <= r1; i += down) ctx.fillRect(x0, snapped(this.yAt(i)) - line / 2, x1 - x0, line);
  }

  /** @param {CanvasRenderingContext2D} ctx */
  countSize(ctx) {
    ctx.font = `${COUNT_SIZE}px ${FONT}`;
    const [width, height] = [this.xAt(1) - this.xAt(0), this.yAt(1) - this.yAt(0)];
    const longest = ctx.measureText(this.longestText || "0").width;
    return COUNT_SIZE * Math.min((0.85 * width) / longest, (0.6 * height) / (0.73 * COUNT_SIZE), 1);
  }

  /** @param {CanvasRenderingContext2D} ctx @param {Theme} theme @param {number} size */
  drawCounts(ctx, theme, size) {
    ctx.font = `${size}px ${FONT}`;
    ctx.textAlign = "center";
    ctx.textBaseline = "alphabetic";
    this.eachSeen((column, row) => {
      const [count, shade] = [this.countAt(column, row), this.shadeAt(column, row, theme)];
      ctx.fillStyle = cssOf(count === 0 ? mixed(shade, inkOn(shade), 0.38) : inkOn(shade));
      ctx.fillText(grouped(String(count)), this.xAt(column + 0.5), this.yAt(row + 0.5) + 0.36 * size);
    });
  }

  /** The current cell, its row and its column. @param {CanvasRenderingContext2D} ctx @param {Theme} theme */
  drawCurrent(ctx, theme) {
    if (!this.current) return;
    const { column, row } = this.current;
    const [x0, x1, y0, y1] = [this.xAt(column), this.xAt(column + 1), this.yAt(row), this.yAt(row + 1)];
    const { plot } = this;
    // All else steps back a little.
    ctx.fillStyle = theme.paper;
    ctx.globalAlpha = 0.45;
    for (const [left, right] of [[plot.x0, x0], [x1, plot.x1]]) {
      for (const [top, bottom] of [[plot.y0, y0], [y1, plot.y1]]) ctx.fillRect(left, top, right - left, bottom - top);
    }
    ctx.globalAlpha = 1;
    [ctx.strokeStyle, ctx.lineWidth] = [theme.paper, 3.5];
    ctx.strokeRect(x0 - 1, y0 - 1, x1 - x0 + 2, y1 - y0 + 2);
    [ctx.strokeStyle, ctx.lineWidth] = [theme.ink, 1.75];
    ctx.strokeRect(x0, y0, x1 - x0, y1 - y0);
  }

  /** @param {CanvasRenderingContext2D} ctx @param {Theme} theme @param {number} height */
  drawNames(ctx, theme, height) {
    const { plot } = this;
    this.drawColumnNames(ctx, theme);
    this.drawRowNames(ctx, theme);
    ctx.font = NAME_FONT;
    ctx.fillStyle = theme.ink;
    const across = linesWithin(ctx, this.map.x, plot.x1 - plot.x0, 1);
    writeLines(ctx, across, (plot.x0 + plot.x1) / 2, height - MAP_GAP - MAP_LINE / 2, MAP_LINE, false);
    writeLines(ctx, linesWithin(ctx, this.map.y, plot.y1 - plot.y0, 1), MAP_LINE / 2 + 1, (plot.y0 + plot.y1) / 2, MAP_LINE, true);
  }

  /** @param {CanvasRenderingContext2D} ctx @param {Theme} theme */
  drawColumnNames(ctx, theme) {
    const { y1, upright, longest } = this.plot;
    const pitch = this.xAt(1) - this.xAt(0);
    const stride = Math.max(Math.ceil((upright ? NAMES_DOWN : NAMES_ACROSS) / pitch), 1);
    const [c0, c1] = this.seen();
    for (let column = c0; column < c1; column++) {
      if (!this.isNamed(column, stride, this.current?.column)) continue;
      const x = this.xAt(column + 0.5);
      if (x < this.plot.x0 - 1 || x > this.plot.x1 + 1) continue;
      this.styleName(ctx, theme, column === this.current?.column);
      const name = shortenedTo(ctx, this.map.columns[column], upright ? longest + 1 : stride * pitch - 4);
      if (stride > 1) ctx.fillRect(x - 0.4, y1, 0.8, 4);
      if (upright) writeLines(ctx, [name], x, y1 + MAP_GAP + ctx.measureText(name).width / 2, MAP_LINE, true);
      else writeLines(ctx, [name], x, y1 + MAP_GAP + 6, MAP_LINE, false);
    }
  }

  /** @param {CanvasRenderingContext2D} ctx @param {Theme} theme */
  drawRowNames(ctx, theme) {
    const { x0 } = this.plot;
    const stride = Math.max(Math.ceil(NAMES_DOWN / (this.yAt(1) - this.yAt(0))), 1);
    const [, , r0, r1] = this.seen();
    for (let row = r0; row < r1; row++) {
      if (!this.isNamed(row, stride, this.current?.row)) continue;
      const y = this.yAt(row + 0.5);
      if (y < this.plot.y0 - 1 || y > this.plot.y1 + 1) continue;
      this.styleName(ctx, theme, row === this.current?.row);
      ctx.textAlign = "right";
      ctx.textBaseline = "middle";
      if (stride > 1) ctx.fillRect(x0 - 4, y - 0.4, 4, 0.8);
      ctx.fillText(shortenedTo(ctx, this.map.rows[row], x0 - MAP_LINE - 3 * MAP_GAP + 1), x0 - MAP_GAP - 1, y);
    }
  }

  /**
   * Where not all have room, the current one has a name, and those far enough from it.
   * @param {number} i
   * @param {number} stride
   * @param {number} [current]
   */
  isNamed(i, stride, current) {
    if (i === current || stride === 1) return true;
    return i % stride === 0 && (current === undefined || Math.abs(i - current) >= stride);
  }

  /** @param {CanvasRenderingContext2D} ctx @param {Theme} theme @param {boolean} isCurrent */
  styleName(ctx, theme, isCurrent) {
    ctx.font = isCurrent ? LIT_FONT : TICK_FONT;
    ctx.fillStyle = isCurrent ? theme.ink : theme.soft;
  }

  /**
   * The lowest and the highest value with the shades between, left below.
   * @param {CanvasRenderingContext2D} ctx
   * @param {Theme} theme
   * @param {number} height
   */
  drawKey(ctx, theme, height) {
    ctx.font = TICK_FONT;
    const [low, high] = [this.low, this.high].map((v) => formatted(v));
    const [side, y, left] = [9, height - MAP_GAP - MAP_LINE / 2, ctx.measureText(low).width + 6];
    const end = left + 9 * side + 4 + ctx.measureText(high).width;
    const free = (this.plot.x0 + this.plot.x1 - ctx.measureText(this.map.x).width) / 2 - 8;
    if (!(this.high > this.low) || end > free) return;
    for (let i = 0; i < 9; i++) {
      ctx.fillStyle = cssOf(blueShade(i / 8, theme));
      ctx.fillRect(left + i * side, y - side / 2, side + 0.5, side);
    }
    [ctx.strokeStyle, ctx.fillStyle, ctx.lineWidth] = [theme.line, theme.soft, 1];
    ctx.strokeRect(left, y - side / 2, 9 * side, side);
    [ctx.textBaseline, ctx.textAlign] = ["middle", "right"];
    ctx.fillText(low, left - 4, y);
    ctx.textAlign = "left";
    ctx.fillText(high, left + 9 * side + 4, y);
  }

  /** @param {number} px @param {number} py @returns {Reading | null} */
  at(px, py) {
    const { x0, x1, y0, y1 } = this.plot;
    const column = Math.floor(this.shown.x + ((px - x0) / (x1 - x0)) * this.shown.columns);
    const row = Math.floor(this.shown.y + ((py - y0) / (y1 - y0)) * this.shown.rows);
    const isIn = px >= x0 && px <= x1 && py >= y0 && py <= y1;
    this.current = isIn && column < this.columns && row < this.rows ? { column, row } : null;
    return this.reading();
  }

  /** @returns {Reading | null} */
  reading() {
    if (!this.current) return null;
    const { column, row } = this.current;
    const { map } = this;
    const count = grouped(String(this.countAt(column, row)));
    const share = percentOf(this.countAt(column, row), this.totals[row]);
    const [down, across] = withoutSameEnd(map.y, map.x);
    const text = `${down} ${map.rows[row]}, ${across} ${map.columns[column]}: ${count}${share && `, ${share} of its row`}`;
    /** @type {[string, string][]} */
    const rows = [[down, map.rows[row]], [across, map.columns[column]], ["count", count]];
    if (share) rows.push(["of its row", share]);
    return { text, rows, px: this.xAt(column + 0.5), py: this.yAt(row + 0.5) };
  }

  /** @param {number} dx @param {number} dy  down the rows @param {boolean} far @returns {Reading | null} */
  step(dx, dy, far) {
    const by = far ? 10 : 1;
    if (this.columns === 0 || this.rows === 0) return null;
    const from = this.current ?? { column: Math.floor(this.shown.x), row: Math.floor(this.shown.y) };
    const [x, y] = this.current ? [dx * by, dy * by] : [0, 0];
    this.current = {
      column: heldWithin(from.column + (x || 0), 0, this.columns - 1),
      row: heldWithin(from.row + (y || 0), 0, this.rows - 1),
    };
    this.intoView(this.current);
    return this.reading();
  }

  /** @param {{ column: number, row: number }} cell */
  intoView({ column, row }) {
    const { x, y, columns, rows } = this.shown;
    this.shown = { columns, rows, x: heldWithin(x, column + 1 - columns, column), y: heldWithin(y, row + 1 - rows, row) };
  }

  leave() {
    this.current = null;
  }

  /** @param {number} px @param {number} py @param {number} factor */
  zoom(px, py, factor) {
    const { x0, x1, y0, y1 } = this.plot;
    const { x, y, columns, rows } = this.shown;
    const wide = heldWithin(columns / factor, Math.min(FEWEST_CELLS, this.columns), this.columns);
    const high = heldWithin(rows / factor, Math.min(FEWEST_CELLS, this.rows), this.rows);
    const [across, down] = [heldWithin((px - x0) / (x1 - x0), 0, 1), heldWithin((py - y0) / (y1 - y0), 0, 1)];
    this.move(x + (columns - wide) * across, y + (rows - high) * down, wide, high);
  }

  /** Moves what is shown. @param {[number, number]} from @param {[number, number]} to */
  drag(from, to) {
    const { x0, x1, y0, y1 } = this.plot;
    const { x, y, columns, rows } = this.shown;
    this.move(x - ((to[0] - from[0]) / (x1 - x0)) * columns, y - ((to[1] - from[1]) / (y1 - y0)) * rows, columns, rows);
  }

  /** @param {number} x @param {number} y @param {number} columns @param {number} rows */
  move(x, y, columns, rows) {
    this.shown = { x: heldWithin(x, 0, this.columns - columns), y: heldWithin(y, 0, this.rows - rows), columns, rows };
  }

  reset() {
    this.shown = { x: 0, y: 0, columns: this.columns, rows: this.rows };
  }

  /** @returns {string[][]} */
  table() {
    const { map } = this;
    const counts = (/** @type {number} */ row) => map.columns.map((_, column) => String(this.countAt(column, row)));
    return [[`${map.y} \\ ${map.x}`, ...map.columns], ...map.rows.map((name, row) => [name, ...counts(row)])];
  }

  summary() {
    const { map, counts } = this;
    const most = Array.from(counts).reduce((best, count, i) => (count > counts[best] ? i : best), 0);
    const [down, across] = withoutSameEnd(map.y, map.x);
    const [row, column] = [map.rows[Math.floor(most / this.columns)], map.columns[most % this.columns]];
    const of = `Table of counts: ${map.y} down, ${map.x} across, ${this.rows} by ${this.columns} cells.`;
    const highest = `The highest count is ${grouped(String(counts[most]))}, at ${down} ${row}, ${across} ${column}.`;
    return [of, counts.length > 0 ? highest : "", "Arrow keys name the cells."].filter(Boolean).join(" ");
  }

  /** @returns {Control[]} */
  controls() {
    return [];
  }
}
