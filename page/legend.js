// The legend under a figure that runs: a button for each name, which switches it in all figures of the study.
import { cleared, make, press } from "./dom.js";
import { discs, drawCrosses } from "./strokes.js";
import { colorIn } from "./theme.js";
/** @import { Series, Theme } from "./types.js" */
/** @import { PlotView } from "./plot.js" */
/** @import { Study } from "./study.js" */

/**
 * @typedef {object} Entry
 * @property {string} name  what is switched
 * @property {string} text
 * @property {number} [color]
 * @property {Series["mark"][]} marks
 */

/** @typedef {{ entry: Entry, sample: HTMLCanvasElement, button: HTMLButtonElement }} Row */

const SAMPLE = [26, 12];

/**
 * What the panels' curves are called, each once; seeds after all others.
 * @param {PlotView[]} plots
 * @param {boolean} seeds
 */
export function entriesOf(plots, seeds) {
  /** @type {Map<string, Entry>} */
  const entries = new Map();
  /** @type {Map<string, Entry>} */
  const names = new Map();
  for (const curve of plots.flatMap((plot) => plot.curves)) {
    if (curve.name && (seeds || !curve.member)) names.set(curve.name, { name: curve.name, text: curve.name, marks: ["thin"] });
    if (!curve.label || curve.member || (curve.mark === "band" && !curve.series.label)) continue;
    const text = curve.side === 1 ? `${curve.label} (right)` : curve.label;
    const key = `${text}\n${curve.color}`;
    const entry = entries.get(key) ?? { name: curve.label, text, color: curve.color, marks: [] };
    if (!entry.marks.includes(curve.mark)) entry.marks.push(curve.mark);
    entries.set(key, entry);
  }
  const byNumber = [...names.values()].sort((a, b) => a.text.localeCompare(b.text, "en", { numeric: true }));
  return [...entries.values(), ...byNumber];
}

export class Legend {
  /** @param {PlotView[]} plots @param {Study} study */
  constructor(plots, study) {
    this.plots = plots;
    this.study = study;
    this.root = make("div", "legend");
    this.root.setAttribute("role", "group");
    this.root.setAttribute("aria-label", "Curves of this study, shown or not");
    /** @type {Row[]} */
    this.rows = [];
    this.seeds = false;
    /** @type {Map<string, Row>} each made once */
    this.made = new Map();
    /** @type {Theme | null} of the samples as they are */
    this.theme = null;
    this.fill();
  }

  fill() {
    this.seeds = this.study.seeds;
    const entries = entriesOf(this.plots, this.seeds);
    const all = [...new Set(entries.map((entry) => entry.name))];
    this.theme = null;
    this.rows = entries.map((entry) => {
      const key = `${entry.text}\n${entry.color}`;
      const row = this.made.get(key) ?? this.rowOf(entry, all);
      this.made.set(key, row);
      return row;
    });
    this.root.replaceChildren(...this.rows.map((row) => row.button));
    this.root.hidden = entries.length === 0;
  }

  /** @param {Entry} entry @param {string[]} all @returns {Row} */
  rowOf(entry, all) {
    const button = make("button");
    button.type = "button";
    button.title = "Shows it or not, in all figures of this study; with shift it alone";
    const sample = make("canvas", "sample");
    sample.setAttribute("aria-hidden", "true");
    button.append(sample, make("span", "", entry.text));
    button.addEventListener("click", (event) => {
      if (event.shiftKey) this.study.only(entry.name, all);
      else this.study.toggle(entry.name);
    });
    return { entry, sample, button };
  }

  /** As the study has it now. @param {Theme} theme */
  draw(theme) {
    if (this.seeds !== this.study.seeds) this.fill();
    const isNew = this.theme !== theme;
    this.theme = theme;
    for (const { entry, sample, button } of this.rows) {
      press(button, this.study.shows(entry.name));
      if (!isNew) continue;
      const ctx = cleared(sample, SAMPLE[0], SAMPLE[1]);
      if (ctx) drawSample(ctx, entry, theme, 0, 0);
    }
  }
}

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {Entry} entry
 * @param {Theme} theme
 * @param {number} x
 * @param {number} y
 */
export function drawSample(ctx, entry, theme, x, y) {
  const [width, height] = SAMPLE;
  const [middle, level] = [x + width / 2, y + height / 2];
  ctx.strokeStyle = ctx.fillStyle = entry.marks[0] === "thin" && entry.color === undefined ? theme.soft : colorIn(theme, entry.color);
  const stroke = (/** @type {number} */ thickness, /** @type {number[]} */ dash) => {
    ctx.lineWidth = thickness;
    ctx.setLineDash(dash);
    ctx.beginPath();
    ctx.moveTo(x, level);
    ctx.lineTo(x + width, level);
    ctx.stroke();
    ctx.setLineDash([]);
  };
  ctx.lineWidth = 1.5;
  for (const mark of entry.marks) {
    if (mark === "line" || mark === "line_points") stroke(1.5, []);
    if (mark === "thin" || mark === "path" || mark === "open_path") stroke(1, []);
    if (mark === "dashed") stroke(1.5, [5.3, 2.7]);
    if (mark === "band" || mark === "bars") {
      ctx.globalAlpha = mark === "band" ? 0.22 : 0.45;
      ctx.fillRect(x, y + 1, width, height - 2);
      ctx.globalAlpha = 1;
    }
    if (mark === "crosses") drawCrosses(ctx, [[middle, level]]);
    if (mark === "points" || mark === "line_points" || mark === "circles") discs(ctx, [[middle, level]], 2.5);
    if (mark === "path" || mark === "open_path") [0.15, 0.5, 0.85].forEach((t, i) => discs(ctx, [[x + t * width, level]], 1.6 + 0.6 * i));
    if (mark !== "circles") continue;
    ctx.fillStyle = theme.paper;
    discs(ctx, [[middle, level]], 1.3);
  }
}
