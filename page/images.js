// The View of small images with captions, in a grid as src/plot/images.rs has them; hover, tap or arrows read a caption
// in full and enlarge its image. Does not know what they show.
/** @import { Control, Images, Read, Reading, Theme, View } from "./types.js" */
import { heldWithin } from "./bounds.js";
import { FONT } from "./theme.js";
import { rgbOf } from "./shades.js";
import { linesWithin, writeLines } from "./texts.js";

/**
 * Where the images are on the canvas.
 * @typedef {{ pitchX: number, pitchY: number, wide: number, high: number, captionHeight: number, top: number, lines: string[][] }} ImagePlaces
 */

const CAPTION_FONT = `11.5px ${FONT}`;
const CAPTION_LINE = 14;
const IMAGE_GAP = 6;
const LONGEST_SIDE = 115;
// At which width the aspect is that of the figure: one panel's.
const USUAL_WIDTH = 560;
const ENLARGED = 2.4;
const ENLARGED_SIDE = 190;

/** @param {Images} images @param {Read} read @returns {View} */
export function imagesView(images, read) {
  return new ImagesView(images, read(images.bytes));
}

/**
 * Of one pixel as its bytes say it, in these colours.
 * @param {Images} images
 * @param {ArrayLike<number>} bytes
 * @param {number} pixel
 * @param {Theme} theme
 * @returns {[number, number, number]}
 */
export function pixelColor({ pixels }, bytes, pixel, theme) {
  if (pixels === "rgb") return [bytes[3 * pixel], bytes[3 * pixel + 1], bytes[3 * pixel + 2]];
  // Ink on paper: black on white, and the other way round in the dark.
  const [paper, ink] = theme.dark ? [rgbOf(theme.paper), rgbOf(theme.ink)] : [[255, 255, 255], [0, 0, 0]];
  const [r, g, b] = [0, 1, 2].map((i) => paper[i] + (bytes[pixel] / 255) * (ink[i] - paper[i]));
  return [r, g, b];
}

/** @implements {View} */
class ImagesView {
  /** @param {Images} images @param {ArrayLike<number>} bytes */
  constructor(images, bytes) {
    this.images = images;
    this.bytes = bytes;
    const channels = images.pixels === "rgb" ? 3 : 1;
    const held = Math.floor(bytes.length / Math.max(images.width * images.height * channels, 1));
    this.count = Math.min(images.captions.length, held);
    this.columns = heldWithin(images.columns, 1, this.count);
    this.rows = Math.max(Math.ceil(this.count / this.columns), 1);
    this.aspect = this.usualAspect();
    /** @type {number | null} */
    this.current = null;
    this.width = USUAL_WIDTH;
    /** @type {ImagePlaces | null} */
    this.places = null;
    /** @type {{ theme: string, canvas: HTMLCanvasElement } | null} */
    this.sheet = null;
  }

  usualAspect() {
    const { width, height, captions } = this.images;
    const wide = Math.min(USUAL_WIDTH / this.columns - IMAGE_GAP, LONGEST_SIDE);
    const lines = Math.max(...captions.map((caption) => caption.split("\n").length), 1);
    const pitch = Math.min((wide * height) / Math.max(width, 1), LONGEST_SIDE) + CAPTION_LINE * Math.min(lines, 3) + 2 * IMAGE_GAP;
    return (this.rows * pitch) / USUAL_WIDTH;
  }

  /** @param {CanvasRenderingContext2D} ctx @param {number} width @param {number} height @param {Theme} theme */
  draw(ctx, width, height, theme) {
    this.width = width;
    const places = this.layOut(ctx, width, height);
    this.places = places;
    if (this.count === 0) return this.drawEmpty(ctx, width, height, theme);
    const sheet = this.sheetIn(theme);
    ctx.save();
    for (let i = 0; i < this.count; i++) {
      const [x, y] = this.cornerOf(places, i);
      this.drawImage(ctx, sheet, i, x, y, places.wide, places.high);
      this.frame(ctx, x, y, places.wide, places.high, i === this.current ? theme.ink : theme.line, 1);
      ctx.font = CAPTION_FONT;
      ctx.fillStyle = i === this.current ? theme.ink : theme.soft;
      const lines = places.lines[i];
      writeLines(ctx, lines, x + places.wide / 2, y - 3 - (lines.length * CAPTION_LINE) / 2, CAPTION_LINE, false);
    }
    if (this.current !== null) this.drawEnlarged(ctx, sheet, this.current, width, height, theme);
    ctx.restore();
  }

  /** @param {CanvasRenderingContext2D} ctx @param {number} width @param {number} height @param {Theme} theme */
  drawEmpty(ctx, width, height, theme) {
    [ctx.font, ctx.fillStyle, ctx.textAlign] = [CAPTION_FONT, theme.soft, "center"];
    ctx.fillText("no images", width / 2, height / 2);
  }

  /** @param {CanvasRenderingContext2D} ctx @param {number} width @param {number} height @returns {ImagePlaces} */
  layOut(ctx, width, height) {
    const { images } = this;
    const pitchX = width / this.columns;
    ctx.font = CAPTION_FONT;
    const lines = images.captions.slice(0, this.count).map((caption) => {
      const broken = caption.split("\n").slice(0, 3).flatMap((line) => linesWithin(ctx, line, pitchX - IMAGE_GAP, 2));
      return broken.slice(0, 3);
    });
    const captionHeight = Math.max(0, ...lines.map((of) => of.length)) * CAPTION_LINE;
    const around = captionHeight + 2 * IMAGE_GAP;
    const across = Math.min(pitchX - IMAGE_GAP, LONGEST_SIDE);
    const down = Math.min(height / this.rows - around, LONGEST_SIDE);
    const scale = Math.max(Math.min(across / images.width, down / images.height), 1 / Math.max(images.width, images.height));
    const pixel = 1 / (ctx.getTransform().a || 1);
    // A whole number of the screen's pixels each, where they are that large.
    const side = scale >= pixel ? Math.floor(scale / pixel) * pixel : scale;
    const [wide, high] = [side * images.width, side * images.height];
    const pitchY = Math.min(height / this.rows, high + around);
    return { pitchX, pitchY, wide, high, captionHeight, top: Math.max((height - pitchY * this.rows) / 2, 0), lines };
  }

  /** @param {ImagePlaces} places @param {number} i @returns {[number, number]} */
  cornerOf(places, i) {
    const [column, row] = [i % this.columns, Math.floor(i / this.columns)];
    const top = places.top + row * places.pitchY + places.captionHeight + IMAGE_GAP;
    return [Math.round((column + 0.5) * places.pitchX - places.wide / 2), Math.round(top)];
  }

  /** All images beside each other, each pixel once. @param {Theme} theme */
  sheetIn(theme) {
    const { images, bytes } = this;
    const key = images.pixels === "rgb" ? "" : [theme.dark, theme.ink, theme.paper].join();
    if (this.sheet?.theme === key) return this.sheet.canvas;
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [images.width * this.columns, images.height * this.rows];
    const ctx = canvas.getContext("2d");
    for (let i = 0; ctx && i < this.count; i++) {
      const one = ctx.createImageData(images.width, images.height);
      const pixels = images.width * images.height;
      for (let k = 0; k < pixels; k++) one.data.set([...pixelColor(images, bytes, i * pixels + k, theme), 255], 4 * k);
      ctx.putImageData(one, (i % this.columns) * images.width, Math.floor(i / this.columns) * images.height);
    }
    this.sheet = { theme: key, canvas };
    return canvas;
  }

  /**
   * @param {CanvasRenderingContext2D} ctx
   * @param {HTMLCanvasElement} sheet
   * @param {number} i
   * @param {number} x
   * @param {number} y
   * @param {number} wide
   * @param {number} high
   */
  drawImage(ctx, sheet, i, x, y, wide, high) {
    const { width, height } = this.images;
    // Enlarged, pixels stay squares; made smaller, they are averaged.
    ctx.imageSmoothingEnabled = wide * (ctx.getTransform().a || 1) < width;
    ctx.imageSmoothingQuality = "high";
    const [left, top] = [(i % this.columns) * width, Math.floor(i / this.columns) * height];
    ctx.drawImage(sheet, left, top, width, height, x, y, wide, high);
  }

  /**
   * @param {CanvasRenderingContext2D} ctx
   * @param {number} x
   * @param {number} y
   * @param {number} wide
   * @param {number} high
   * @param {string} color
   * @param {number} line
   */
  frame(ctx, x, y, wide, high, color, line) {
    [ctx.strokeStyle, ctx.lineWidth] = [color, line];
    ctx.strokeRect(x - line / 2, y - line / 2, wide + line, high + line);
  }

  /** How large an image is when it is read. @param {number} width @param {number} height @returns {[number, number]} */
  enlargedSize(width, height) {
    const { places, images } = this;
    const longest = Math.max(images.width, images.height);
    const wanted = Math.max(ENLARGED * Math.max(places?.wide ?? 0, places?.high ?? 0), ENLARGED_SIDE);
    const side = heldWithin(wanted, 16, Math.min(width, height) - 12);
    return [(side * images.width) / longest, (side * images.height) / longest];
  }

  /**
   * Over its place, within the canvas.
   * @param {CanvasRenderingContext2D} ctx
   * @param {HTMLCanvasElement} sheet
   * @param {number} i
   * @param {number} width
   * @param {number} height
   * @param {Theme} theme
   */
  drawEnlarged(ctx, sheet, i, width, height, theme) {
    const [x, y, wide, high] = this.enlargedPlace(i, width, height);
    ctx.fillStyle = theme.paper;
    ctx.fillRect(x - 5, y - 5, wide + 10, high + 10);
    this.drawImage(ctx, sheet, i, x, y, wide, high);
    this.frame(ctx, x - 4, y - 4, wide + 8, high + 8, theme.ink, 1);
  }

  /** @param {number} i @param {number} width @param {number} height @returns {[number, number, number, number]} */
  enlargedPlace(i, width, height) {
    const { places } = this;
    const [wide, high] = this.enlargedSize(width, height);
    if (!places) return [0, 0, wide, high];
    const [x, y] = this.cornerOf(places, i);
    const left = heldWithin(x + (places.wide - wide) / 2, 6, width - wide - 6);
    const top = heldWithin(y + (places.high - high) / 2, 6, height - high - 6);
    return [Math.round(left), Math.round(top), wide, high];
  }

  /** @param {number} px @param {number} py @returns {Reading | null} */
  at(px, py) {
    const { places } = this;
    if (!places) return null;
    const [column, row] = [Math.floor(px / places.pitchX), Math.floor((py - places.top) / places.pitchY)];
    const i = row * this.columns + column;
    const isIn = column >= 0 && column < this.columns && row >= 0 && i < this.count;
    this.current = isIn ? i : null;
    return this.reading();
  }

  /** @returns {Reading | null} */
  reading() {
    if (this.current === null || !this.places) return null;
    const caption = this.captionOf(this.current);
    const height = this.places.top * 2 + this.places.pitchY * this.rows;
    const [x, y, wide, high] = this.enlargedPlace(this.current, this.width, height);
    // Beside the enlarged image, on the side that has more room.
    const px = x + wide / 2 < this.width / 2 ? x + wide + 4 : x - 4;
    return { text: `image ${this.current + 1} of ${this.count}: ${caption}`, rows: [["", caption]], px, py: y + high / 2 };
  }

  /** In one line. @param {number} i */
  captionOf(i) {
    return this.images.captions[i].replace(/\s+/g, " ").trim() || "no caption";
  }

  /** @param {number} dx @param {number} dy  down the rows @param {boolean} far @returns {Reading | null} */
  step(dx, dy, far) {
    if (this.count === 0) return null;
    const by = (dx || 0) + (dy || 0) * this.columns;
    const next = this.current === null ? 0 : this.current + by * (far ? 10 : 1);
    // Down from the last but one row, there may be no image below.
    if (Math.abs(dy) === 1 && !far && this.current !== null && (next < 0 || next >= this.count)) return this.reading();
    this.current = heldWithin(next, 0, this.count - 1);
    return this.reading();
  }

  leave() {
    this.current = null;
  }

  zoom() {}

  drag() {}

  reset() {
    this.current = null;
  }

  /** @returns {string[][]} */
  table() {
    return [["image", "caption"], ...Array.from({ length: this.count }, (_, i) => [String(i + 1), this.captionOf(i)])];
  }

  summary() {
    return `${this.count} images of ${this.images.width} by ${this.images.height} pixels. Arrow keys read their captions.`;
  }

  /** @returns {Control[]} */
  controls() {
    return [];
  }
}
