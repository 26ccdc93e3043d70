// The View of a surface: turned, zoomed and read on a canvas, with paths and points on it; of a plot's level lines too.
// Knows what a reader does; how it looks is said in relief, facets, scene and traces.
/** @import { Control, Plot, Read, Reading, Surface, Theme, View } from "./types.js" */
/** @import { Relief } from "./relief.js" */
/** @import { Scene, Spot, Stand } from "./scene.js" */
/** @import { Marked, Solid } from "./solid.js" */
import { heldWithin } from "./bounds.js";
import { formatted } from "./scale.js";
import { NAME_FONT } from "./theme.js";
import { nearestNode, nodesSeen, placeOf } from "./relief.js";
import { drawBoxAxes, drawWalls, sceneFrom, spotOf, ticksAround, unitOf } from "./scene.js";
import { paintRelief } from "./facets.js";
import { SurfaceLayer } from "./picture.js";
import { solidOf, solidOfPlot } from "./solid.js";
import { drawMarks, drawNode, drawPointAt } from "./traces.js";

/**
 * What is read: a node of the grid, or a point of what is marked.
 * @typedef {{ mark: number, index: number }} Current  mark −1: the grid
 */

const FIRST_STAND = { azimuth: -60, elevation: 35 };
/** @type {[number, number]} */
const ELEVATION_ENDS = [5, 85];
/** @type {[number, number]} */
const SURFACE_ZOOMS = [0.6, 12];
const DEGREES_A_PIXEL = 0.5;
const DEGREES_A_STEP = 5;
const SURFACE_ASPECT = 0.75;
const SURFACE_KEYS = "Arrow keys turn it, with shift they read the grid; plus and minus zoom, Escape goes back.";

/**
 * @param {Surface} surface
 * @param {Read} read
 * @param {() => void} redraw  asked for when it rests after a turn
 * @returns {View}
 */
export function surfaceView(surface, read, redraw) {
  return new SolidView(solidOf(surface, read), redraw);
}

/**
 * The level lines of a plot as the surface they are of, with its paths on it.
 * @param {Plot} plot
 * @param {Read} read
 * @param {() => void} redraw
 * @param {string} [label]  what its heights are
 * @returns {View}
 */
export function surfaceOf(plot, read, redraw, label = "value") {
  return new SolidView(solidOfPlot(plot, read, label), redraw);
}

/** @implements {View} */
class SolidView {
  /** @param {Solid} solid @param {() => void} redraw */
  constructor(solid, redraw) {
    this.solid = solid;
    /** @type {Stand} */
    this.stand = { ...FIRST_STAND, zoom: 1, moved: [0, 0] };
    this.aspect = SURFACE_ASPECT;
    this.width = 460;
    this.height = this.width * SURFACE_ASPECT;
    /** @type {Current | null} */
    this.current = null;
    // Up to which point paths are drawn.
    this.last = Math.max(0, ...solid.marks.filter(isPathLike).map((mark) => mark.points.length - 1));
    this.until = this.last;
    /** @type {{ sight: string, spots: Float64Array } | null} */
    this.nodes = null;
    this.layer = new SurfaceLayer(solid.finenesses, redraw);
  }

  /** The grid as it is read: of more cells than are drawn, only these. @returns {Relief} */
  get relief() {
    return this.solid.finenesses.whole().relief;
  }

  /** @param {CanvasRenderingContext2D} ctx @param {number} width @param {number} height @param {Theme} theme */
  draw(ctx, width, height, theme) {
    [this.width, this.height] = [width, height];
    const scene = this.scene();
    const { azimuth, elevation, zoom, moved } = this.stand;
    const key = [azimuth, elevation, zoom, ...moved, theme.ink, theme.paper, theme.soft].join();
    ctx.save();
    ctx.beginPath();
    ctx.rect(0, 0, width, height);
    ctx.clip();
    ctx.lineJoin = ctx.lineCap = "round";
    const { solid } = this;
    this.layer.show(ctx, width, height, key, function* (on, fineness, isDue) {
      const ticks = ticksAround(on, scene, solid.box);
      drawWalls(on, scene, ticks, theme);
      yield* paintRelief(on, solid.finenesses.at(fineness), scene, isDue);
      drawBoxAxes(on, scene, solid.box, ticks, theme);
    });
    this.drawRead(ctx, scene, theme);
    ctx.restore();
  }

  /** @param {CanvasRenderingContext2D} ctx @param {Scene} scene @param {Theme} theme */
  drawRead(ctx, scene, theme) {
    const { solid, current, until } = this;
    drawMarks(ctx, scene, solid.marks, until, theme);
    if (current && current.mark >= 0) {
      const mark = solid.marks[current.mark];
      drawPointAt(ctx, scene, mark.places[current.index], theme);
    } else if (current) {
      drawNode(ctx, scene, placeOf(this.relief, current.index), theme);
    }
    if (!this.isEmpty()) return;
    ctx.font = NAME_FONT;
    ctx.fillStyle = theme.soft;
    ctx.textAlign = "center";
    ctx.fillText("no finite data", this.width / 2, this.height / 2);
  }

  isEmpty() {
    const { finenesses, marks } = this.solid;
    return finenesses.whole().cells === 0 && marks.every((mark) => mark.places.every((place) => place === null));
  }

  scene() {
    return sceneFrom(this.stand, this.width, this.height);
  }

  /** @param {number} px @param {number} py @returns {Reading | null} */
  at(px, py) {
    const scene = this.scene();
    this.current = this.markAt(scene, px, py) ?? this.nodeAt(scene, px, py);
    return this.reading();
  }

  /**
   * The nearest marked point within reach; of several at one place the last, which lies on top.
   * @param {Scene} scene
   * @param {number} px
   * @param {number} py
   * @returns {Current | null}
   */
  markAt(scene, px, py) {
    let least = 9;
    /** @type {Current | null} */
    let found = null;
    this.solid.marks.forEach((of, mark) => of.places.forEach((place, index) => {
      if (!place || (isPathLike(of) && index > this.until)) return;
      const [x, y] = spotOf(scene, place);
      const distance = Math.hypot(x - px, y - py);
      if (distance <= least) [least, found] = [distance, { mark, index }];
    }));
    return found;
  }

  /** @param {Scene} scene @param {number} px @param {number} py @returns {Current | null} */
  nodeAt(scene, px, py) {
    const sight = [this.stand.azimuth, this.stand.elevation].join();
    if (this.nodes?.sight !== sight) this.nodes = { sight, spots: nodesSeen(this.relief, scene.sight) };
    const [x, y] = [(px - scene.origin[0]) / scene.unit, (py - scene.origin[1]) / scene.unit];
    const index = nearestNode(this.relief, scene.sight, this.nodes.spots, x, y, 24 / scene.unit);
    return index < 0 ? null : { mark: -1, index };
  }

  /** What is current, in words and where. @returns {Reading | null} */
  reading() {
    const { current, solid } = this;
    if (!current) return null;
    const mark = solid.marks[current.mark];
    const place = mark ? mark.places[current.index] : placeOf(this.relief, current.index);
    if (!place) return null;
    const values = mark ? mark.points[current.index] : this.valuesAt(current.index);
    const [px, py] = spotOf(this.scene(), place);
    return this.said(mark ? nameOfPoint(mark, current.index) : "", values, px, py);
  }

  /** x, y and z of a node. @param {number} node @returns {number[]} */
  valuesAt(node) {
    const { solid, relief } = this;
    const [column, row] = [relief.columns[node % relief.x.length], relief.rows[Math.floor(node / relief.x.length)]];
    return [solid.x[column], solid.y[row], solid.z[row * solid.x.length + column]];
  }

  /** @param {string} name @param {number[]} values @param {number} px @param {number} py @returns {Reading} */
  said(name, values, px, py) {
    const rows = values.map((v, i) => /** @type {[string, string]} */ ([this.labels()[i], formatted(v)]));
    const text = rows.map(([label, value]) => `${label} ${value}`).join(", ");
    return { text: name ? `${name}: ${text}` : text, rows: name ? [["", name], ...rows] : rows, px, py };
  }

  labels() {
    return this.solid.box.axes.map(({ label }, i) => label || "xyz"[i]);
  }

  /**
   * Turns by steps; with `far` it reads the grid instead.
   * @param {number} dx
   * @param {number} dy
   * @param {boolean} far
   * @returns {Reading | null}
   */
  step(dx, dy, far) {
    if (far) return this.stepOnGrid(dx, dy);
    if (Number.isFinite(dx) && Number.isFinite(dy)) this.turn(-dx * DEGREES_A_STEP, dy * DEGREES_A_STEP);
    else this.stand = { ...this.stand, ...FIRST_STAND };
    const { azimuth, elevation } = this.stand;
    /** @type {[string, string][]} */
    const rows = [["azimuth", `${formatted(azimuth)}°`], ["elevation", `${formatted(elevation)}°`]];
    return { text: rows.map((row) => row.join(" ")).join(", "), rows, px: 12, py: 12 };
  }

  /**
   * To the next node, in the direction of the grid that looks most like the arrow.
   * @param {number} dx
   * @param {number} dy
   */
  stepOnGrid(dx, dy) {
    const { relief } = this;
    if (!this.current || this.current.mark >= 0) {
      const lowest = relief.heights.indexOf(relief.lowest);
      this.current = lowest < 0 ? null : { mark: -1, index: lowest };
      return this.reading();
    }
    const { right, up } = this.scene().sight;
    // Where x and y lead on the screen, as far as the arrow does.
    const [alongX, alongY] = [0, 1].map((i) => Math.sign(dx) * right[i] - Math.sign(dy) * up[i]);
    const isX = Math.abs(alongX) > Math.abs(alongY);
    const stride = (isX ? 1 : relief.x.length) * Math.sign(isX ? alongX : alongY);
    const isEnd = !Number.isFinite(dx) || !Number.isFinite(dy);
    this.current.index = this.nextNode(this.current.index, stride, isX, isEnd);
    return this.reading();
  }

  /**
   * The next node that has a value, or the last of these.
   * @param {number} from
   * @param {number} stride
   * @param {boolean} isX
   * @param {boolean} isEnd
   */
  nextNode(from, stride, isX, isEnd) {
    const { x, heights } = this.relief;
    let found = from;
    for (let node = from + stride; node >= 0 && node < heights.length; node += stride) {
      if (isX && Math.floor(node / x.length) !== Math.floor(from / x.length)) break;
      if (!Number.isFinite(heights[node])) continue;
      found = node;
      if (!isEnd) break;
    }
    return found;
  }

  leave() {
    this.current = null;
  }

  /** @param {number} px @param {number} py @param {number} factor */
  zoom(px, py, factor) {
    const zoom = heldWithin(this.stand.zoom * factor, ...SURFACE_ZOOMS);
    const by = zoom / this.stand.zoom;
    const { origin } = this.scene();
    const unit = unitOf(this.stand, this.width, this.height);
    const [mx, my] = this.stand.moved;
    const [dx, dy] = [((px - origin[0]) * (1 - by)) / unit, ((py - origin[1]) * (1 - by)) / unit];
    this.stand = { ...this.stand, zoom, moved: [mx + dx, my + dy] };
  }

  /** Turns, or moves with `far`. @param {Spot} from @param {Spot} to @param {boolean} far */
  drag(from, to, far) {
    const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
    if (!far) return this.turn(-dx * DEGREES_A_PIXEL, dy * DEGREES_A_PIXEL);
    const unit = unitOf(this.stand, this.width, this.height);
    const [mx, my] = this.stand.moved;
    this.stand = { ...this.stand, moved: [mx + dx / unit, my + dy / unit] };
  }

  /** @param {number} azimuth  in degrees @param {number} elevation */
  turn(azimuth, elevation) {
    const { stand } = this;
    // Within half a turn either way.
    const turned = ((((stand.azimuth + azimuth + 180) % 360) + 360) % 360) - 180;
    this.stand = { ...stand, azimuth: turned, elevation: heldWithin(stand.elevation + elevation, ...ELEVATION_ENDS) };
  }

  reset() {
    this.stand = { ...FIRST_STAND, zoom: 1, moved: [0, 0] };
  }

  /** @returns {string[][]} */
  table() {
    const { x, y, z, marks } = this.solid;
    const rows = [["part", ...this.labels()]];
    for (let i = 0; i < z.length; i++) rows.push(["grid", x[i % x.length], y[Math.floor(i / x.length)], z[i]].map(String));
    return [...rows, ...marks.flatMap((mark) => mark.points.map((point) => [mark.label, ...point.map(String)]))];
  }

  summary() {
    const { x, y, z, marks } = this.solid;
    const [lx, ly, lz] = this.labels();
    const { heights, lowest, highest } = this.relief;
    if (this.isEmpty()) return `Surface of ${lz} over ${lx} and ${ly}: no finite data.`;
    const ends = [lowest, highest].map((h) => heights.indexOf(h)).filter((node) => node >= 0).map((node) => this.valuesAt(node));
    const [low, high] = ends.map(([u, v, w]) => `${formatted(w)} at ${formatted(u)}, ${formatted(v)}`);
    let missing = 0;
    for (let i = 0; i < z.length; i++) if (!Number.isFinite(z[i])) missing++;
    return [
      `Surface of ${lz} over ${lx} and ${ly}, ${x.length} by ${y.length} points.`,
      missing ? `${missing} of them are not finite.` : "",
      low ? `Lowest ${low}; highest ${high}.` : "",
      ...marks.map((mark) => `${mark.label}: ${mark.points.length === 1 ? "one point" : `${mark.points.length} points`}.`),
      SURFACE_KEYS,
    ].filter(Boolean).join(" ");
  }

  /** @returns {Control[]} */
  controls() {
    const { marks } = this.solid;
    const path = marks.findIndex((mark) => isPathLike(mark) && mark.points.length === this.last + 1);
    if (path < 0 || this.last === 0) return [];
    const say = (/** @type {number} */ i) => this.said(nameOfPoint(marks[path], i), marks[path].points[i], 0, 0).text;
    const set = (/** @type {number} */ i) => {
      this.until = heldWithin(Math.round(i), 0, this.last);
      this.current = { mark: path, index: this.until };
    };
    return [{ kind: "slider", label: marks[path].label, min: 0, max: this.last, get: () => this.until, set, say }];
  }
}

/** @param {Marked} mark */
function isPathLike({ shape }) {
  return shape === "path" || shape === "open_path";
}

/** @param {Marked} mark @param {number} index */
function nameOfPoint({ label, points }, index) {
  return points.length > 1 ? `${label}, point ${index + 1} of ${points.length}` : label;
}
