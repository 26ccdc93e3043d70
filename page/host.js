// A figure that runs, in the place of its image: panels, legend, buttons and what stands under them. Sends what hands and
// keys do to the views, and what one panel shows to those beside it.
import { make, press } from "./dom.js";
import { heatMapView } from "./heatmap.js";
import { imagesView } from "./images.js";
import { listenToKeys } from "./keys.js";
import { Legend } from "./legend.js";
import { Panel } from "./panel.js";
import { PlotView } from "./plot.js";
import { listenToPointers } from "./pointer.js";
import { surfaceOf, surfaceView } from "./surface.js";
import { themeNow } from "./theme.js";
import { toolsOf } from "./tools.js";
import { elementOf, fillTable, joined } from "./under.js";
/** @import { Control, Figure, Panel as PanelData, Read, Reading, View } from "./types.js" */
/** @import { Study } from "./study.js" */

const GAP_BETWEEN = 8;
const NARROWEST = 250; // a panel, before those of a row go under each other
const LEAST_HEIGHT = 210;

export class Host {
  /** @param {HTMLElement} element @param {Figure} figure @param {Read} read @param {Study} study */
  constructor(element, figure, read, study) {
    this.element = element;
    this.figure = figure;
    this.numbers = read;
    this.study = study;
    this.image = /** @type {HTMLImageElement} */ (element.querySelector("img"));
    this.near = true;
    this.seen = true;
    this.frame = 0;
    this.across = 1;
    /** @type {Set<Panel>} */
    this.due = new Set();
    /** @type {Set<Panel>} */
    this.dueAbove = new Set();
    this.measure = document.createElement("canvas").getContext("2d");
    this.root = make("div", "explore");
    this.grid = make("div", "panels");
    const lone = figure.panels.length === 1;
    const heading = figure.title || (lone ? figure.panels[0].title : "");
    this.title = heading ? make("p", "figure-title", heading) : null;
    this.panels = figure.panels.map((panel, i) => this.panelOf(this.viewOf(panel), lone && figure.title ? "" : panel.title, i));
    this.legend = new Legend(this.plots(), study);
    this.live = make("p", "unseen");
    this.live.setAttribute("aria-live", "polite");
    this.under = make("div", "controls");
    this.values = make("table");
    /** @type {{ root: HTMLElement, show: () => void }[]} */
    this.shownControls = [];
    this.tools = toolsOf(this);
    this.fill();
    study.listeners.push(() => this.changed());
  }

  /** @param {PanelData} panel @returns {View} */
  viewOf({ plot, heat_map, images, surface }) {
    if (plot) return new PlotView(plot, this.numbers, this.study);
    if (heat_map) return heatMapView(heat_map, this.numbers);
    if (images) return imagesView(images, this.numbers);
    if (surface) return surfaceView(surface, this.numbers, () => this.changed());
    throw new TypeError("a panel without content");
  }

  /** @param {View} view @param {string} title @param {number} index */
  panelOf(view, title, index) {
    const panel = new Panel(this, view, title, index);
    listenToPointers(this, panel);
    listenToKeys(this, panel);
    return panel;
  }

  fill() {
    if (this.title) this.root.append(this.title);
    this.root.style.setProperty("--natural", `${this.image.width || 614}px`);
    this.root.append(this.grid, this.legend.root, this.tools.root, this.under, this.live);
    this.arrange();
    this.fillUnder();
  }

  /** Panels, and the surfaces beside theirs. */
  all() {
    return this.panels.flatMap((panel) => (panel.solid ? [panel, panel.solid] : [panel]));
  }

  /** @returns {PlotView[]} */
  plots() {
    return this.panels.flatMap((panel) => (panel.plot ? [panel.plot] : []));
  }

  /** In the place of the image. */
  show() {
    const scroll = this.element.querySelector(".scroll");
    const focused = scroll === document.activeElement;
    scroll?.after(this.root);
    this.element.classList.add("live");
    this.layOut();
    new ResizeObserver(() => this.layOut()).observe(this.grid);
    if (focused) this.panels[0].above.focus();
  }

  // Drawing.

  arrange() {
    this.grid.replaceChildren(...this.all().map((panel) => panel.root));
  }

  /** How many panels stand beside each other. @param {number} width */
  columns(width) {
    const wanted = this.panels.some((panel) => panel.solid) ? 2 : Math.max(Math.min(this.figure.columns, this.panels.length), 1);
    return Math.max(Math.min(wanted, Math.floor((width + GAP_BETWEEN) / (NARROWEST + GAP_BETWEEN))), 1);
  }

  /** As high as the image was, so that nothing on the page jumps. */
  layOut() {
    const width = this.grid.clientWidth;
    if (width === 0) return;
    const columns = (this.across = this.columns(width));
    const each = (width - (columns - 1) * GAP_BETWEEN) / columns;
    this.grid.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
    const all = this.all();
    const natural = all.map((panel) => (panel.view.aspect ?? (this.figure.columns > 1 ? 0.75 : 0.625)) * each);
    /** @type {number[]} */
    const rows = [];
    natural.forEach((height, i) => (rows[Math.floor(i / columns)] = Math.max(rows[Math.floor(i / columns)] ?? 0, height)));
    // On a phone what is read matters more than the place it takes.
    const asDrawn = width >= 400 && columns === Math.min(this.figure.columns, this.panels.length) && all.length === this.panels.length;
    const factor = asDrawn ? this.factor(rows, width) : 1;
    all.forEach((panel, i) => {
      const height = panel.view.aspect ? natural[i] : rows[Math.floor(i / columns)];
      panel.resize(each, Math.max(factor * height, Math.min(LEAST_HEIGHT, each)));
    });
    this.changed();
  }

  /**
   * By how much rows are lower than they would be, for titles and legend.
   * @param {number[]} rows
   * @param {number} width
   */
  factor(rows, width) {
    const image = this.image.height && this.image.width ? (width * this.image.height) / this.image.width : 0;
    const titles = [...this.grid.querySelectorAll(".panel-title")].reduce((most, title) => Math.max(most, title.clientHeight), 0);
    const used = (this.title?.offsetHeight ?? 0) + this.legend.root.offsetHeight + rows.length * titles + (rows.length - 1) * GAP_BETWEEN;
    const wanted = rows.reduce((sum, height) => sum + height, 0);
    return image > 0 ? Math.max(Math.min((image - used) / wanted, 1.2), 0.75) : 1;
  }

  /**
   * Something is to be drawn anew, once, before the next frame; what nobody sees a little later.
   * @param {Panel[]} panels
   */
  changed(...panels) {
    for (const panel of panels.length > 0 ? panels : this.all()) this.due.add(panel);
    this.ask();
  }

  /** Only what follows the pointer. @param {Panel} panel */
  changedAbove(panel) {
    if (!panel.plot) return this.changed(panel);
    this.dueAbove.add(panel);
    this.ask();
  }

  ask() {
    if (this.frame || !this.near) return;
    const draw = () => {
      this.frame = 0;
      this.draw();
    };
    if (this.seen) this.frame = requestAnimationFrame(draw);
    else this.frame = window.setTimeout(draw, 100);
  }

  draw() {
    if (!this.near) return;
    const theme = themeNow();
    if (this.due.size > 0) {
      this.lineUp();
      this.due.forEach((panel) => panel.draw(theme));
      this.legend.draw(theme);
      this.tools.show();
    }
    this.dueAbove.forEach((panel) => this.due.has(panel) || panel.drawAbove(theme));
    this.due.clear();
    this.dueAbove.clear();
    this.showUnder();
  }

  /** Plots under each other begin and end at the same places. */
  lineUp() {
    const ctx = this.measure;
    if (!ctx) return;
    const columns = this.across;
    const all = this.all();
    for (let column = 0; column < columns; column++) {
      const own = all.filter((panel, i) => i % columns === column && panel.plot);
      const insets = own.map((panel) => panel.plot?.wanted(ctx, panel.width, panel.height) ?? { left: 0, right: 0, top: 0, bottom: 0 });
      const [left, right] = [Math.max(...insets.map((inset) => inset.left)), Math.max(...insets.map((inset) => inset.right))];
      own.forEach(({ plot }, i) => {
        if (!plot) return;
        if (plot.insets?.left !== left || plot.insets.right !== right) this.due.add(own[i]);
        plot.insets = { ...insets[i], left, right };
      });
    }
  }

  /** Whether it is on the screen or about to be; what is far gives its memory back. @param {boolean} near */
  setNear(near) {
    if (near === this.near) return;
    this.near = near;
    if (near) this.changed();
    else this.all().forEach((panel) => panel.release());
  }

  /** What comes onto the screen while it waits is drawn at once. @param {boolean} seen */
  setSeen(seen) {
    if (seen && !this.seen && this.frame) {
      clearTimeout(this.frame);
      this.frame = 0;
      this.seen = true;
      this.ask();
    }
    this.seen = seen;
  }

  // What hands and keys do.

  /** Panels that share a panel's x. @param {Panel} panel */
  linked(panel) {
    const { plot } = panel;
    if (!plot || !plot.plot.x.label) return [];
    const row = (/** @type {Panel} */ one) => Math.floor(one.index / Math.max(this.figure.columns, 1));
    const named = this.panels.filter((one) => one !== panel && one.plot?.plot.x.label === plot.plot.x.label);
    return named.filter((one) => plot.isAlpha() || row(one) === row(panel));
  }

  /** @param {Panel} panel @param {[number, number]} at @param {boolean} aloud */
  read(panel, at, aloud) {
    this.told(panel, panel.view.at(...at), aloud);
  }

  /** @param {Panel} panel @param {number} dx @param {number} dy @param {boolean} far */
  step(panel, dx, dy, far) {
    const before = panel.plot?.shownKey();
    const reading = panel.view.step(dx, dy, far);
    this.told(panel, reading, true);
    if (panel.plot?.shownKey() !== before) this.moved(panel);
  }

  /** @param {Panel} panel @param {Reading | null} reading @param {boolean} aloud */
  told(panel, reading, aloud) {
    panel.reading = reading;
    this.changedAbove(panel);
    if (aloud && reading) this.say(reading.text);
    const { plot } = panel;
    if (!plot) return;
    for (const other of this.linked(panel)) {
      other.reading = other.plot?.follow(plot.brush?.on ? null : plot.cursor) ?? null;
      this.changedAbove(other);
    }
  }

  /** @param {Panel} panel */
  leave(panel) {
    for (const one of [panel, ...this.linked(panel)]) {
      const kept = one.plot?.isAlpha() ? one.plot.cursor : null;
      one.view.leave();
      one.reading = null;
      // Where a slider reads, the line stays.
      if (one.plot && kept !== null) one.plot.follow(kept);
      if (one.plot?.brush?.isSet) one.reading = one.plot.brushReading();
      this.changedAbove(one);
    }
  }

  /** @param {Panel} panel @param {[number, number]} at @param {number} factor */
  zoom(panel, at, factor) {
    panel.view.zoom(...at, factor);
    this.moved(panel);
  }

  /** @param {Panel} panel @param {[number, number]} from @param {[number, number]} to @param {boolean} far */
  drag(panel, from, to, far) {
    panel.view.drag(from, to, far);
    this.moved(panel);
  }

  /** What a panel shows has changed: those beside it show the same of x. @param {Panel} panel */
  moved(panel) {
    const linked = this.linked(panel);
    for (const other of linked) if (panel.plot) other.plot?.showX(panel.plot.x.shown);
    for (const one of [panel, ...linked]) if (one.plot) one.about.textContent = one.summary();
    this.changed(panel, ...linked);
  }

  /** @param {Panel} panel @param {[number, number]} from @param {[number, number]} to @param {boolean} done */
  select(panel, from, to, done) {
    if (!panel.plot) return;
    const reading = panel.plot.select(from, to, done);
    panel.reading = reading;
    if (done && reading) this.say(reading.text);
    if (done && !panel.plot.brush?.on) this.moved(panel);
    this.changedAbove(panel);
  }

  /** @param {Panel} panel */
  cancelSelection(panel) {
    if (!panel.plot?.box) return;
    panel.plot.box = null;
    this.changedAbove(panel);
  }

  /** @param {Panel} panel */
  reset(panel) {
    for (const one of [panel, ...this.linked(panel)]) {
      one.view.reset();
      one.view.leave();
      one.reading = null;
      one.about.textContent = one.summary();
      this.changed(one);
    }
  }

  /** @param {Panel} panel @param {"x" | "y"} which */
  switchScale(panel, which) {
    const others = which === "x" ? this.linked(panel) : [];
    for (const one of [panel, ...others]) {
      one.plot?.switchScale(which);
      one.showScales();
      one.about.textContent = one.summary();
      this.changed(one);
    }
  }

  /** Surfaces beside their level lines, or without them again. @param {boolean} shown */
  showSolids(shown) {
    for (const panel of this.panels) {
      if (!panel.plot?.contours) continue;
      if (shown) panel.kept ??= this.solidOf(panel, panel.plot);
      panel.solid = shown ? panel.kept : null;
    }
    this.root.classList.toggle("wide", shown);
    this.arrange();
    this.layOut();
    this.fillUnder();
  }

  /** @param {Panel} panel @param {PlotView} plot */
  solidOf(panel, plot) {
    const view = surfaceOf(plot.plot, this.numbers, () => panel.kept && this.changed(panel.kept));
    return this.panelOf(view, panel.title, panel.index);
  }

  /** What a screen reader hears now. @param {string} text */
  say(text) {
    this.live.textContent = text;
  }

  /** @param {Panel} panel */
  sayZoom(panel) {
    if (panel.plot) this.say(panel.plot.zoomWords());
  }

  // Under the figure.

  fillUnder() {
    /** @type {Control[]} */
    const controls = this.panels.flatMap((panel) => panel.view.controls().map((control) => this.withSolid(panel, control)));
    const alpha = this.panels.find((panel) => panel.plot?.isAlpha());
    if (alpha?.plot && alpha.plot.cursor === null) this.panels.forEach((panel) => panel.plot?.isAlpha() && panel.plot.follow(0));
    this.shownControls = joined(controls).map((control) => elementOf(control, () => this.controlled(control.shown.label === "α")));
    this.under.replaceChildren(...this.shownControls.map((control) => control.root), ...(alpha ? [this.values] : []));
    this.under.hidden = this.under.childElementCount === 0;
    this.showUnder();
  }

  /**
   * A slider over snapshots moves the same path on the surface.
   * @param {Panel} panel
   * @param {Control} control
   * @returns {Control}
   */
  withSolid(panel, control) {
    const twin = panel.solid?.view.controls().find((other) => other.kind === control.kind && other.max === control.max);
    if (!twin) return control;
    return { ...control, set: (value) => [control, twin].forEach((one) => one.set(value)) };
  }

  /** @param {boolean} cursor  whether it only moves a cursor */
  controlled(cursor) {
    for (const panel of this.all()) {
      panel.reading = null;
      if (cursor) this.changedAbove(panel);
      else this.changed(panel);
    }
  }

  showUnder() {
    this.shownControls.forEach((control) => control.show());
    const plots = this.plots().filter((plot) => plot.isAlpha());
    if (plots.length === 0) return;
    const at = plots[0].cursorWords();
    fillTable(this.values, at, plots.flatMap((plot) => plot.valuesAtCursor()));
  }
}
