// A range that counts what is in it: bars between two edges, or points between two values. Knows no pixels.
import { formatted } from "./scale.js";
import { rangeWords } from "./reading.js";
/** @import { Curve } from "./curves.js" */

export class Brush {
  /** @param {"x" | "y"} along  bars are counted along x, points over their rank along y */
  constructor(along) {
    this.along = along;
    this.on = false;
    this.low = NaN;
    this.high = NaN;
  }

  clear() {
    [this.low, this.high] = [NaN, NaN];
  }

  get isSet() {
    return this.low <= this.high;
  }

  /** Where the range can end, rising. @param {Curve[]} curves */
  stops(curves) {
    const ends = (/** @type {Curve} */ curve) => (this.along === "x" ? [curve.x, curve.to] : [curve.y]);
    const values = curves.flatMap(ends).flatMap((numbers) => Array.from(numbers));
    return [...new Set(values.filter((v) => !Number.isNaN(v)))].sort((a, b) => a - b);
  }

  /** Between two values; bars are taken whole. @param {Curve[]} curves @param {number} a @param {number} b */
  set(curves, a, b) {
    [this.low, this.high] = [Math.min(a, b), Math.max(a, b)];
    if (this.along === "y") return;
    const stops = this.stops(curves);
    this.low = stops.filter((stop) => stop <= this.low).pop() ?? stops[0] ?? NaN;
    this.high = stops.find((stop) => stop >= this.high) ?? stops[stops.length - 1] ?? NaN;
  }

  /**
   * One end to the next stop.
   * @param {Curve[]} curves
   * @param {number} by  ±1, or ±Infinity
   * @param {boolean} lower  the low end instead of the high one
   */
  move(curves, by, lower) {
    const stops = this.stops(curves);
    if (stops.length === 0) return;
    if (!this.isSet) [this.low, this.high] = [stops[0], stops[stops.length - 1]];
    const end = lower ? this.low : this.high;
    const next = by > 0 ? stops.find((stop) => stop > end) : stops.filter((stop) => stop < end).pop();
    const far = by > 0 ? stops[stops.length - 1] : stops[0];
    const moved = Number.isFinite(by) ? next ?? end : far;
    if (lower) this.low = Math.min(moved, this.high);
    else this.high = Math.max(moved, this.low);
  }

  /** How many are in it, and how many there are. @param {Curve[]} curves */
  count(curves) {
    let [inside, all] = [0, 0];
    for (const curve of curves) {
      for (let i = 0; i < curve.count; i++) {
        const weight = this.along === "x" ? curve.y[i] : Number.isNaN(curve.y[i]) ? 0 : 1;
        const [low, high] = this.along === "x" ? [curve.x[i], curve.to[i]] : [curve.y[i], curve.y[i]];
        if (!(weight > 0)) continue;
        all += weight;
        if (low >= this.low && high <= this.high) inside += weight;
      }
    }
    return { inside, all };
  }

  /** @param {Curve[]} curves @param {string} what  such as "eigenvalues" */
  words(curves, what) {
    const range = rangeWords(this.low, this.high);
    // Curve by curve: together they are nobody's spectrum.
    const counted = curves.map((curve) => {
      const { inside, all } = this.count([curve]);
      return { name: curves.length > 1 ? curve.title : "", words: `${formatted(inside)} of ${formatted(all)}` };
    });
    const text = counted.map(({ name, words }) => (name ? `${name}: ${words}` : words)).join(", ");
    /** @type {[string, string][]} */
    const rows = [...counted.map(({ name, words }) => /** @type {[string, string]} */ ([name || what, words])), ["from", range]];
    return { text: `${text} ${what} from ${range}`, rows };
  }
}
