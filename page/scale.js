// How values map to places along an axis, where its ticks stand, and how numbers are written: as in the static figures
// (src/plot/scale.rs), so that a figure looks the same when it comes alive. Knows neither panels nor drawing.
/** @import { Axis } from "./types.js" */

/**
 * Both ends of an axis, in the scale's own coordinate: of a log axis the exponent of ten; of a symlog one ±1 where the
 * linear part ends and ±1 for each decade from there.
 * @typedef {{ lo: number, hi: number }} Range
 */

/** @typedef {{ at: number, label: string }} Tick  at: 0 at the low end and 1 at the high one */
/** @typedef {{ major: Tick[], minor: number[] }} Ticks */
/** @typedef {[number, number]} Digit  digit · 10^e */

/**
 * An axis between two ends, so many pixels long.
 * @typedef {object} Placed
 * @property {Range} range
 * @property {number} pixels
 * @property {(value: number) => number} to  0 at the low end, 1 at the high one; NaN where the axis cannot show it
 * @property {(fraction: number) => number} from
 * @property {(most: number) => Tick[]} ticks  at most so many (a few more where the scale has no coarser choice)
 * @property {number[]} minor  beside as many ticks as the length has room for
 * @property {(extent: (label: string) => number, most: number) => Ticks} fitting  whose labels keep clear of each other
 */

const DIGITS = [1, 2, 3, 4, 5, 6, 7, 8, 9];
const SYMLOG_STRIDES = [1, 2, 3, 4, 5, 10, 20, 50, 100];
const LOG_STRIDES = [1, 2, 3, 5, 10, 20, 50, 100];

/** @param {number} e */
function powerOfTen(e) {
  return "10" + [...String(e)].map((c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(c)])).join("");
}

/** With a comma before every three digits. @param {string} whole */
export function grouped(whole) {
  return whole.replace(/\B(?=(\d{3})+$)/g, ",");
}

/**
 * Up to so many significant digits, whole numbers whole, with a real minus sign: as the page's tables have them.
 * @param {number} value
 * @param {number} [digits]
 */
export function formatted(value, digits = 4) {
  if (!Number.isFinite(value)) return "not finite";
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return (value < 0 ? "−" : "") + String(Math.abs(value));
  const scientific = value.toExponential(digits - 1);
  const e = Number(scientific.slice(scientific.indexOf("e") + 1));
  if (e < -5 || e >= 6) return scientific.replace("e+", "e").replace(/-/g, "−");
  return value.toFixed(Math.max(digits - 1 - e, 0)).replace("-", "−");
}

/**
 * The same without zeros at its end: for places, which are round more often than measurements.
 * @param {number} value
 * @param {number} [digits]
 */
export function trimmed(value, digits = 4) {
  return formatted(value, digits).replace(/(\.\d*?)0+(?=e|$)/, "$1").replace(/\.(?=e|$)/, "");
}

/** The scale's own coordinate of a value; NaN where the axis cannot show it. @param {Axis} axis @param {number} v */
export function transformed(axis, v) {
  if (axis.scale === "linear") return Math.abs(v) <= 1e300 ? v : NaN;
  if (axis.scale === "log") return v > 0 && v < Infinity ? Math.log10(v) : NaN;
  if (!Number.isFinite(v)) return NaN;
  const beyond = Math.log10(Math.abs(v)) - linearPower(axis);
  const size = beyond < 0 ? 10 ** beyond : 1 + beyond;
  return v < 0 ? -size : size;
}

/** The value at a place in the scale's own coordinate. @param {Axis} axis @param {number} t */
export function untransformed(axis, t) {
  if (axis.scale === "linear") return t;
  if (axis.scale === "log") return 10 ** t;
  const size = Math.abs(t);
  const value = size < 1 ? size * scaled(1, linearPower(axis)) : 10 ** (size - 1 + linearPower(axis));
  return t < 0 ? -value : value;
}

/** The exponent of ten where a symlog axis becomes linear. @param {Axis} axis */
function linearPower(axis) {
  return Math.min(Math.max(axis.linear ?? 0, -280), 280);
}

/** What an axis without data shows. @param {Axis} axis @returns {Range} */
export function defaultRange(axis) {
  return axis.scale === "linear" ? { lo: 0, hi: 1 } : { lo: -1, hi: 1 };
}

/**
 * A range that shows the data with some padding, also where all values agree.
 * @param {Axis} axis
 * @param {Range} data
 * @param {number} padding
 * @returns {Range}
 */
export function paddedRange(axis, data, padding) {
  const span = data.hi - data.lo;
  const reach = Math.max(Math.abs(data.lo), Math.abs(data.hi));
  const middle = data.lo / 2 + data.hi / 2;
  const half = halfAround(axis, span, reach, middle);
  if (half === null) return { lo: data.lo - span * padding, hi: data.hi + span * padding };
  return { lo: middle - half, hi: middle + half };
}

/** @param {Axis} axis @param {number} span @param {number} reach @param {number} middle */
function halfAround(axis, span, reach, middle) {
  if (axis.scale !== "linear") return span > 1e-9 ? null : axis.scale === "log" ? 0.5 : 1;
  // Below this, ticks would need more digits than a label can hold.
  if (span > 1e-9 * reach && span > 1e-305) return null;
  return Math.abs(middle) > 1e-300 ? 0.1 * Math.abs(middle) : 1;
}

/**
 * An axis between two values.
 * @param {Axis} axis
 * @param {number} low
 * @param {number} high
 * @param {number} pixels
 * @returns {Placed}
 */
export function axisOf(axis, low, high, pixels) {
  return axisOver(axis, { lo: transformed(axis, low), hi: transformed(axis, high) }, pixels);
}

/**
 * An axis over a range in the scale's own coordinate.
 * @param {Axis} axis
 * @param {Range} range
 * @param {number} pixels
 * @returns {Placed}
 */
export function axisOver(axis, range, pixels) {
  const usable = range.hi - range.lo > 0 && range.hi - range.lo < Infinity ? range : paddedRange(axis, mended(axis, range), 0);
  const span = usable.hi - usable.lo;
  return {
    range: usable,
    pixels,
    to: (value) => (transformed(axis, value) - usable.lo) / span,
    from: (fraction) => untransformed(axis, usable.lo + fraction * span),
    ticks: (most) => ticksOf(axis, usable, most).major,
    get minor() {
      return ticksOf(axis, usable, Math.min(Math.max(Math.floor(pixels / 50), 2), 8)).minor;
    },
    fitting: (extent, most) => fittingTicks(axis, usable, pixels, extent, most),
  };
}

/** Without ends that are no numbers. @param {Axis} axis @param {Range} range */
function mended(axis, range) {
  return Number.isFinite(range.lo) && Number.isFinite(range.hi) && range.hi >= range.lo ? range : defaultRange(axis);
}

/**
 * The densest ticks whose labels keep clear of each other.
 * @param {Axis} axis
 * @param {Range} range
 * @param {number} length
 * @param {(label: string) => number} extent  what a label takes along the axis
 * @param {number} most
 * @returns {Ticks}
 */
function fittingTicks(axis, range, length, extent, most) {
  const levels = levelTicks(axis, range);
  if (levels.length > 0 && levels.length <= most && clear(levels, length, extent)) return { major: levels, minor: [] };
  for (let n = most; n >= 2; n--) {
    const ticks = ticksOf(axis, range, n);
    if (clear(ticks.major, length, extent)) return ticks;
  }
  return ticksOf(axis, range, 1);
}

/** Where there are only a few values, the ticks stand at these. @param {Axis} axis @param {Range} range */
function levelTicks(axis, range) {
  const span = range.hi - range.lo;
  const ticks = (axis.levels ?? []).map((v) => ({ at: (transformed(axis, v) - range.lo) / span, label: shortest(v) }));
  return ticks.filter((tick) => tick.at >= -1e-9 && tick.at <= 1 + 1e-9);
}

/** @param {number} v */
function shortest(v) {
  const plain = String(v);
  const short = plain.length <= 7 && !plain.includes("e") ? plain.replace("-", "−") : formatted(v);
  return Math.abs(v) >= 1e4 && Number.isInteger(v) ? short.replace(/\d+/, grouped) : short;
}

/** @param {Tick[]} ticks @param {number} length @param {(label: string) => number} extent */
function clear(ticks, length, extent) {
  return ticks.every((tick, i) => {
    const next = ticks[i + 1];
    return !next || Math.abs(next.at - tick.at) * length >= (extent(tick.label) + extent(next.label)) / 2;
  });
}

/** @param {Axis} axis @param {Range} range @param {number} most @returns {Ticks} */
function ticksOf(axis, range, most) {
  if (axis.scale === "linear") return linearTicks(range, range, (v) => v, most);
  return axis.scale === "log" ? logTicks(range, most) : symlogTicks(axis, range, most);
}

/** n · 10^e, exactly rounded where both factors are exact. @param {number} n @param {number} e */
function scaled(n, e) {
  return e < 0 ? n / 10 ** -e : n * 10 ** e;
}

/** The smallest m · 10^e with m in {1, 2, 5} that is not below. @param {number} raw @returns {[number, number]} */
function niceStep(raw) {
  const e = Math.floor(Math.log10(raw));
  const mantissa = scaled(1, -e) * raw;
  const m = [1, 2, 5].find((m) => mantissa <= m * (1 + 1e-9));
  return m === undefined ? [1, e + 1] : [m, e];
}

/**
 * Ticks at equal differences over `values`, at the fractions of `range` that the scale gives them.
 * @param {Range} values
 * @param {Range} range
 * @param {(v: number) => number} transform
 * @param {number} most
 * @returns {Ticks}
 */
function linearTicks(values, range, transform, most) {
  const [m, e] = niceStep((values.hi - values.lo) / Math.max(most, 1));
  const step = scaled(m, e);
  const first = Math.ceil(values.lo / step - 1e-9);
  const last = Math.floor(values.hi / step + 1e-9);
  /** @type {number[]} */
  const counts = [];
  // Zoomed in until differences vanish, whole numbers would no longer grow.
  for (let k = first; k <= last && counts.length < 200; k++) counts.push(k * m);
  const labels = decimalLabels(counts, e);
  const major = counts.map((n, i) => ({ at: fraction(range, transform(scaled(n, e))), label: labels[i] }));
  return { major, minor: [] };
}

/** @param {Range} range @param {number} t */
function fraction(range, t) {
  return (t - range.lo) / (range.hi - range.lo);
}

/** The first and the last whole number in it. @param {Range} range @returns {[number, number]} */
function wholeNumbers(range) {
  return [Math.ceil(range.lo - 1e-9), Math.floor(range.hi + 1e-9)];
}

/** @param {Digit} digit */
function exponentOf([digit, e]) {
  return Math.log10(digit) + e;
}

/** All digit · 10^e within a range of exponents, in order. @param {Range} range @param {number[]} digits */
function digitsWithin(range, digits) {
  /** @type {Digit[]} */
  const all = [];
  for (let e = Math.floor(range.lo); e <= Math.ceil(range.hi); e++) {
    for (const digit of digits) {
      const at = exponentOf([digit, e]);
      if (at >= range.lo - 1e-9 && at <= range.hi + 1e-9) all.push([digit, e]);
    }
  }
  return all;
}

/**
 * Decades where there are enough of them, otherwise 1-2-5 in plain numbers, otherwise equal differences.
 * @param {Range} range
 * @param {number} most
 * @returns {Ticks}
 */
function logTicks(range, most) {
  const [first, last] = wholeNumbers(range);
  if (last - first >= 2) {
    const within = () => digitsWithin(range, DIGITS.slice(1)).map((d) => fraction(range, exponentOf(d)));
    return decadeTicks(range, most, LOG_STRIDES, (e, stride) => e % stride === 0, powerOfTen, within);
  }
  const dense = digitsWithin(range, [1, 2, 5]);
  const values = { lo: 10 ** range.lo, hi: 10 ** range.hi };
  // Beyond the floating-point range there is nothing to subdivide.
  if (dense.length < 3 && values.lo > 1e-290 && values.hi < 1e290) return linearTicks(values, range, Math.log10, most);
  const chosen = [dense, digitsWithin(range, [1, 3])].find((c) => c.length <= most) ?? digitsWithin(range, [1]);
  const plain = chosen.every(([, e]) => e >= -4 && e <= 5);
  const major = chosen.map((d) => ({ at: fraction(range, exponentOf(d)), label: plain ? fixed(...d) : `${d[0]}×${powerOfTen(d[1])}` }));
  const rest = digitsWithin(range, DIGITS).filter(([n, e]) => !chosen.some((c) => c[0] === n && c[1] === e));
  return { major, minor: rest.map((d) => fraction(range, exponentOf(d))) };
}

/**
 * Zero and decades on both sides of it, or what another scale has where the axis shows little more than one part.
 * @param {Axis} axis
 * @param {Range} range
 * @param {number} most
 * @returns {Ticks}
 */
function symlogTicks(axis, range, most) {
  const linear = linearPower(axis);
  const exponent = (/** @type {number} */ t) => t - 1 + linear;
  if (range.lo >= 1) return logTicks({ lo: exponent(range.lo), hi: exponent(range.hi) }, most);
  if (range.hi <= -1) return mirrored(logTicks({ lo: exponent(-range.hi), hi: exponent(-range.lo) }, most));
  const [first, last] = wholeNumbers(range);
  if (last - first < 2) {
    const values = { lo: untransformed(axis, range.lo), hi: untransformed(axis, range.hi) };
    return linearTicks(values, range, (v) => transformed(axis, v), most);
  }
  // Places are whole numbers: zero, and n for the n-th power of ten from the linear part on.
  const power = (/** @type {number} */ n) => linear + Math.abs(n) - 1;
  const labelled = (/** @type {number} */ n, /** @type {number} */ stride) => n === 0 || (Math.abs(n) >= stride && power(n) % stride === 0);
  const label = (/** @type {number} */ n) => (n === 0 ? "0" : (n < 0 ? "−" : "") + powerOfTen(power(n)));
  return decadeTicks(range, most, SYMLOG_STRIDES, labelled, label, () => symlogWithin(axis, range));
}

/** @param {Ticks} ticks @returns {Ticks} */
function mirrored(ticks) {
  const major = ticks.major.map(({ at, label }) => ({ at: 1 - at, label: "−" + label }));
  return { major: major.reverse(), minor: ticks.minor.map((at) => 1 - at).reverse() };
}

/** The small ticks between decades on both sides of zero. @param {Axis} axis @param {Range} range */
function symlogWithin(axis, range) {
  const linear = linearPower(axis);
  const [first, last] = wholeNumbers(range);
  const longest = Math.max(Math.abs(first), Math.abs(last)) + 1;
  const sizes = digitsWithin({ lo: linear - 1, hi: linear - 1 + longest }, DIGITS);
  const between = sizes.filter(([digit, e]) => digit > 1 || e < linear);
  const places = between.flatMap(([digit, e]) => [-1, 1].map((sign) => transformed(axis, scaled(sign * digit, e))));
  return places.filter((t) => t >= range.lo && t <= range.hi).map((t) => fraction(range, t));
}

/**
 * Ticks at whole numbers, labels on those that are `labelled(n, stride)` with the first stride that leaves few enough;
 * between them the others, or, between a few decades in a row, the ticks `within`.
 * @param {Range} range
 * @param {number} most
 * @param {number[]} strides
 * @param {(n: number, stride: number) => boolean} labelled
 * @param {(n: number) => string} label
 * @param {() => number[]} within
 * @returns {Ticks}
 */
function decadeTicks(range, most, strides, labelled, label, within) {
  const [first, last] = wholeNumbers(range);
  const all = Array.from({ length: last - first + 1 }, (_, i) => first + i);
  const stride = strides.find((s) => all.filter((n) => labelled(n, s)).length <= most) ?? 200;
  const major = all.filter((n) => labelled(n, stride)).map((n) => ({ at: fraction(range, n), label: label(n) }));
  const between = all.filter((n) => !labelled(n, stride)).map((n) => fraction(range, n));
  if (last - first <= 10 && stride === 1) return { major, minor: within() };
  return { major, minor: last - first <= 40 ? between : [] };
}

/**
 * Labels of n · 10^e with as many decimals as the step needs; a power of ten is split off where digits would be long.
 * @param {number[]} counts
 * @param {number} e
 */
function decimalLabels(counts, e) {
  const largest = counts.reduce((most, n) => Math.max(most, Math.abs(n)), 0);
  const top = e + (largest > 0 ? String(largest).length - 1 : 0);
  if (top >= -3 && top < 7 && e >= -9) return counts.map((n) => fixed(n, e));
  return counts.map((n) => (n === 0 ? "0" : `${fixed(n, e - top)}×${powerOfTen(top)}`));
}

/** n · 10^e in plain digits: real minus sign, commas from 10,000 on. @param {number} n @param {number} e */
function fixed(n, e) {
  const decimals = Math.max(-e, 0);
  const digits = String(Math.abs(n)) + "0".repeat(n === 0 ? 0 : Math.max(e, 0));
  const padded = digits.padStart(decimals + 1, "0");
  const whole = padded.slice(0, padded.length - decimals);
  const point = decimals > 0 ? "." + padded.slice(padded.length - decimals) : "";
  return (n < 0 ? "−" : "") + (whole.length < 5 ? whole : grouped(whole)) + point;
}
