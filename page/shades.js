// Colours of values: the blues of heat maps and level lines, viridis for heights, and what is mixed of them, as in the
// static figures (src/plot/style.rs). In the dark, blues begin at the paper too and end where they are brightest.
/** @import { Theme } from "./types.js" */

/** @typedef {[number, number, number]} Rgb  0 to 255 */

// Low to high (ColorBrewer's Blues, from white).
const BLUES = [0xffffff, 0xc6dbef, 0x6baed6, 0x2171b5, 0x08306b].map(rgbOfHex);
// On dark paper the strongest contrast is bright: a dark blue first, since from the paper's grey all would look washed out.
const DARK_BLUES = [0x15171b, 0x12345c, 0x2068a8, 0x6baed6, 0xd8e8f5].map(rgbOfHex);
// Viridis (Smith and van der Walt, 2015) at equal steps.
const HEIGHTS = [0x440154, 0x482878, 0x3e4a89, 0x31688e, 0x26828e, 0x1f9e89, 0x35b779, 0x6dcd59, 0xb4de2c, 0xfde725].map(rgbOfHex);
const DARK_INK = rgbOfHex(0x222222);
const WHITE_INK = rgbOfHex(0xffffff);

/** @param {number} hex @returns {Rgb} */
function rgbOfHex(hex) {
  return [hex >> 16, (hex >> 8) & 255, hex & 255];
}

/**
 * Of a colour as a style sheet has it: #rgb, #rrggbb or rgb(…).
 * @param {string} css
 * @returns {Rgb}
 */
export function rgbOf(css) {
  const text = css.trim();
  const hex = /^#([0-9a-f]{3}|[0-9a-f]{6})$/i.exec(text);
  if (hex) {
    const digits = hex[1].length === 3 ? hex[1].replace(/./g, "$&$&") : hex[1];
    return rgbOfHex(parseInt(digits, 16));
  }
  const parts = /^rgba?\(([^)]*)\)$/.exec(text)?.[1].split(/[\s,/]+/).filter(Boolean).map(Number) ?? [];
  return parts.length > 2 && parts.every(Number.isFinite) ? [parts[0], parts[1], parts[2]] : [128, 128, 128];
}

/** @param {Rgb} rgb */
export function cssOf([r, g, b]) {
  return `rgb(${Math.round(r)},${Math.round(g)},${Math.round(b)})`;
}

/**
 * So much of the second colour in the first, from 0 to 1.
 * @param {Rgb} a
 * @param {Rgb} b
 * @param {number} share
 * @returns {Rgb}
 */
export function mixed(a, b, share) {
  return [a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]), a[2] + share * (b[2] - a[2])];
}

/** Between colours at equal steps. @param {Rgb[]} colors @param {number} t @returns {Rgb} */
function rampAt(colors, t) {
  const last = colors.length - 1;
  const at = (t > 0 ? Math.min(t, 1) : 0) * last;
  const i = Math.min(Math.floor(at), last - 1);
  return mixed(colors[i], colors[i + 1], at - i);
}

/**
 * Of a cell or a level, from 0 to 1.
 * @param {number} t
 * @param {Theme} [theme]  light if there is none
 * @returns {Rgb}
 */
export function blueShade(t, theme) {
  return rampAt(theme?.dark ? [rgbOf(theme.paper), ...DARK_BLUES.slice(1)] : BLUES, t);
}

/** Of a surface at this height, from 0 to 1. @param {number} t */
export function heightShade(t) {
  return rampAt(HEIGHTS, t);
}

/** Which of ink and white is read more easily on this colour. @param {Rgb} rgb */
export function inkOn([r, g, b]) {
  return 0.299 * r + 0.587 * g + 0.114 * b > 122 ? DARK_INK : WHITE_INK;
}
