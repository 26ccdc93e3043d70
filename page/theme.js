// Colours, light and dark: those of the page and the cycle of the static figures (src/plot/style.rs), a little lighter on
// a dark page; and how texts are written on a canvas.
/** @import { Theme } from "./types.js" */

// Okabe and Ito without black (that is ink) and yellow (too pale on white).
const LIGHT_CYCLE = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"];
const DARK_CYCLE = ["#3d9bdc", "#ee7733", "#22b98c", "#d993ba", "#8accf2", "#f0b440"];

export const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Helvetica Neue", Arial, sans-serif';
export const TICK_FONT = `12px ${FONT}`;
export const NAME_FONT = `12.5px ${FONT}`;

/** @type {Theme | null} */
let lastTheme = null;
let lastRatio = 0;

/** The page's colours as they are now; the same object as long as nothing changes. @returns {Theme} */
export function themeNow() {
  const dark = matchMedia("screen and (prefers-color-scheme: dark)").matches;
  if (lastTheme?.dark !== dark || lastRatio !== devicePixelRatio) lastTheme = pageTheme(dark);
  lastRatio = devicePixelRatio;
  return lastTheme;
}

/** @param {boolean} dark @returns {Theme} */
function pageTheme(dark) {
  const style = getComputedStyle(document.documentElement);
  const of = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  if (!of("--ink")) return paperTheme();
  const cycle = dark ? DARK_CYCLE : LIGHT_CYCLE;
  return { dark, ink: of("--ink"), soft: of("--soft"), line: of("--line"), paper: of("--page"), cycle };
}

/** Colours on white paper, for what is saved. @returns {Theme} */
export function paperTheme() {
  return { dark: false, ink: "#1b1d21", soft: "#5a6069", line: "#d9dce1", paper: "#ffffff", cycle: LIGHT_CYCLE };
}

/** The colour of a series. @param {Theme} theme @param {number | undefined} color */
export function colorIn(theme, color) {
  return color === undefined || color === null ? theme.ink : theme.cycle[color % theme.cycle.length];
}
