// A surface's picture kept between frames: drawn anew only when one looks from elsewhere, coarsely while that goes on if
// all of it would take too long, and finely, in slices of time, once it rests. Knows neither data nor what a reader does.
import { Pace } from "./facets.js";
/** @import { finenessesOf } from "./facets.js" */

/** @typedef {(ctx: CanvasRenderingContext2D, fineness: number, isDue: () => boolean) => Generator<void>} Paint */

const FRAME_MS = 18;
const SLICE_MS = 10;
const REST_MS = 170;
// What one surface tells of the machine holds for all.
const PACE = new Pace();

export class SurfaceLayer {
  /** @param {ReturnType<typeof finenessesOf>} finenesses @param {() => void} again  to be shown once more */
  constructor(finenesses, again) {
    this.finenesses = finenesses;
    this.again = again;
    this.key = "";
    /** @type {HTMLCanvasElement | null} */
    this.canvas = null;
    this.timer = 0;
    // Of what is shown; 0 is the finest.
    this.fineness = 0;
  }

  /**
   * Shows the picture of this key.
   * @param {CanvasRenderingContext2D} ctx
   * @param {number} width
   * @param {number} height
   * @param {string} key
   * @param {Paint} paint
   */
  show(ctx, width, height, key, paint) {
    // What is saved is drawn once, and finely.
    if (!ctx.canvas.isConnected) return void [...paint(ctx, 0, () => false)];
    const { a, b } = ctx.getTransform();
    const scale = Math.min(Math.max(Math.hypot(a, b), 0.5), 4);
    const whole = [key, width, height, scale].join();
    if (whole !== this.key || !this.canvas) this.paintNow(width, height, scale, whole, paint);
    if (this.canvas) ctx.drawImage(this.canvas, 0, 0, this.canvas.width / scale, this.canvas.height / scale);
  }

  /** @param {number} width @param {number} height @param {number} scale @param {string} key @param {Paint} paint */
  paintNow(width, height, scale, key, paint) {
    clearTimeout(this.timer);
    this.key = key;
    this.fineness = PACE.fitting(this.finenesses, FRAME_MS);
    const canvas = this.sized(this.canvas, width, height, scale);
    const ctx = contextOf(canvas, scale);
    const start = performance.now();
    for (const _ of paint(ctx, this.fineness, () => false));
    // What is only noted down is drawn now, so that its time counts.
    ctx.getImageData(0, 0, 1, 1);
    PACE.took(this.finenesses.pieces(this.fineness), performance.now() - start);
    this.canvas = canvas;
    if (this.fineness > 0) this.timer = later(() => this.refine(width, height, scale, paint), REST_MS);
  }

  /**
   * All of it, in slices, beside what is shown.
   * @param {number} width
   * @param {number} height
   * @param {number} scale
   * @param {Paint} paint
   */
  refine(width, height, scale, paint) {
    const canvas = this.sized(null, width, height, scale);
    let end = performance.now() + SLICE_MS;
    const ctx = contextOf(canvas, scale);
    const steps = paint(ctx, 0, () => performance.now() > end);
    const slice = () => {
      end = performance.now() + SLICE_MS;
      const { done } = steps.next();
      ctx.getImageData(0, 0, 1, 1);
      if (!done) return void (this.timer = later(slice, 0));
      this.canvas = canvas;
      this.fineness = 0;
      this.again();
    };
    slice();
  }

  /** @param {HTMLCanvasElement | null} old @param {number} width @param {number} height @param {number} scale */
  sized(old, width, height, scale) {
    const canvas = old ?? document.createElement("canvas");
    [canvas.width, canvas.height] = [Math.max(Math.round(width * scale), 1), Math.max(Math.round(height * scale), 1)];
    return canvas;
  }
}

/** @param {HTMLCanvasElement} canvas @param {number} scale */
function contextOf(canvas, scale) {
  // Thousands of small facets are quicker where they are not sent to another processor.
  const ctx = canvas.getContext("2d", { willReadFrequently: true });
  if (!ctx) throw new Error("no canvas");
  ctx.setTransform(scale, 0, 0, scale, 0, 0);
  ctx.lineJoin = ctx.lineCap = "round";
  return ctx;
}

/** @param {() => void} what @param {number} ms @returns {number} */
function later(what, ms) {
  return /** @type {any} */ (setTimeout(what, ms));
}
