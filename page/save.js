// What a reader takes along: a figure's data as CSV, the static figure as SVG, and what is seen now as PNG.
import { drawSample, entriesOf } from "./legend.js";
import { linesWithin } from "./texts.js";
import { FONT, paperTheme } from "./theme.js";
/** @import { Panel } from "./panel.js" */
/** @import { Host } from "./host.js" */

const SHARP = 2; // pixels of a PNG for one of the page
const LINE_HEIGHT = 18;

/** @param {string[][]} rows */
export function csvOf(rows) {
  const cell = (/** @type {string} */ text) => (/[",\n\r]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text);
  return rows.map((row) => row.map(cell).join(",") + "\n").join("");
}

/** Of several panels, tables of one kind become one, with the panel's name in front. @param {Panel[]} panels */
export function tableOfAll(panels) {
  const tables = panels.map((panel) => ({ name: panel.title || `panel ${panel.index + 1}`, rows: panel.view.table() }));
  if (tables.length === 1) return tables[0].rows;
  /** @type {string[][]} */
  const out = [];
  let head = "";
  for (const { name, rows } of tables) {
    const [first, ...rest] = rows;
    if (first && first.join("\n") !== head) {
      if (out.length > 0) out.push([]);
      out.push(["panel", ...first]);
      head = first.join("\n");
    }
    out.push(...rest.map((row) => (row.length > 0 ? [name, ...row] : row)));
  }
  return out;
}

/** Into the clipboard; where that is not allowed, false. @param {string} text */
export async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copiedByHand(text);
  }
}

/** @param {string} text */
function copiedByHand(text) {
  const area = document.createElement("textarea");
  const before = document.activeElement;
  area.value = text;
  area.setAttribute("aria-hidden", "true");
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (before instanceof HTMLElement) before.focus();
  return done;
}

/** @param {string} href @param {string} name */
export function saveAs(href, name) {
  const link = document.createElement("a");
  [link.href, link.download] = [href, name];
  document.body.append(link);
  link.click();
  link.remove();
}

/** What is seen now, on white paper, with title and legend. @param {Host} host */
export function savePng(host) {
  const canvas = picture(host);
  canvas?.toBlob((blob) => {
    if (!blob) return;
    const url = URL.createObjectURL(blob);
    saveAs(url, `${host.figure.name || "figure"}.png`);
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  });
}

/** @param {Host} host */
export function picture(host) {
  const area = host.grid.getBoundingClientRect();
  const theme = paperTheme();
  const canvas = document.createElement("canvas");
  const ctx = canvas.getContext("2d");
  if (!ctx) return null;
  const bold = `600 14px ${FONT}`;
  ctx.font = bold;
  const title = host.title ? linesWithin(ctx, host.title.textContent ?? "", area.width, 3) : [];
  ctx.font = `13px ${FONT}`;
  const plots = host.panels.flatMap((panel) => (panel.plot ? [panel.plot] : []));
  const entries = entriesOf(plots, host.study.seeds).filter((entry) => host.study.shows(entry.name));
  const places = flowed(entries.map((entry) => 32 + ctx.measureText(entry.text).width + 16), area.width);
  const top = 8 + title.length * LINE_HEIGHT;
  const rows = places.length > 0 ? places[places.length - 1][1] + 1 : 0;
  [canvas.width, canvas.height] = [SHARP * (area.width + 16), SHARP * (top + area.height + rows * LINE_HEIGHT + 16)];
  ctx.setTransform(SHARP, 0, 0, SHARP, 0, 0);
  ctx.fillStyle = theme.paper;
  ctx.fillRect(0, 0, canvas.width, canvas.height);
  ctx.translate(8, 0);
  heading(ctx, title, area.width / 2, 8, bold, theme.ink);
  for (const panel of host.all()) drawPanel(ctx, panel, area, top, theme);
  ctx.font = `13px ${FONT}`;
  entries.forEach((entry, i) => {
    const [x, row] = places[i];
    const y = top + area.height + 8 + row * LINE_HEIGHT;
    drawSample(ctx, entry, theme, x, y);
    ctx.fillStyle = theme.ink;
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    ctx.fillText(entry.text, x + 32, y + 6);
  });
  return canvas;
}

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {string[]} lines
 * @param {number} x
 * @param {number} y
 * @param {string} font
 * @param {string} ink
 */
function heading(ctx, lines, x, y, font, ink) {
  ctx.font = font;
  ctx.fillStyle = ink;
  ctx.textAlign = "center";
  ctx.textBaseline = "top";
  lines.forEach((line, i) => ctx.fillText(line, x, y + i * LINE_HEIGHT));
}

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {Panel} panel
 * @param {DOMRect} area
 * @param {number} top
 * @param {import("./types.js").Theme} theme
 */
function drawPanel(ctx, panel, area, top, theme) {
  const at = panel.stage.getBoundingClientRect();
  const own = document.createElement("canvas");
  [own.width, own.height] = [SHARP * panel.width, SHARP * panel.height];
  const on = own.getContext("2d");
  if (!on) return;
  on.scale(SHARP, SHARP);
  panel.view.draw(on, panel.width, panel.height, theme);
  if (panel.plot) panel.plot.over(on, theme);
  const [x, y] = [at.left - area.left, top + at.top - area.top];
  ctx.drawImage(own, x, y, panel.width, panel.height);
  if (panel.title) heading(ctx, [panel.title], x + panel.width / 2, y - LINE_HEIGHT, `600 13px ${FONT}`, theme.ink);
}

/**
 * Where things of these widths stand, row by row.
 * @param {number[]} widths
 * @param {number} most
 * @returns {[number, number][]}
 */
function flowed(widths, most) {
  let [x, row] = [0, 0];
  return widths.map((width) => {
    if (x > 0 && x + width > most) [x, row] = [0, row + 1];
    const place = /** @type {[number, number]} */ ([x, row]);
    x += width;
    return place;
  });
}
