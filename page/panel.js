// One panel of a figure that runs: two canvases on each other, a box with what is read, and buttons for its scales. Knows
// its view; what other panels do with it is the host's.
import { button, cleared, make, press, withId } from "./dom.js";
import { PlotView } from "./plot.js";
/** @import { Reading, Theme, View } from "./types.js" */
/** @import { Host } from "./host.js" */

const BESIDE = 12; // from the point to the box that reads it
const KEYS = "Left and right arrow keys read the points, up and down change the curve; plus and minus zoom, Escape goes back.";

export class Panel {
  /**
   * @param {Host} host
   * @param {View} view
   * @param {string} title
   * @param {number} index  where it stands in the figure
   */
  constructor(host, view, title, index) {
    this.host = host;
    this.view = view;
    this.plot = view instanceof PlotView ? view : null;
    this.title = title;
    this.index = index;
    /** @type {Panel | null} the same grid as a surface, beside it */
    this.solid = null;
    /** @type {Panel | null} that surface, shown or not */
    this.kept = null;
    this.width = 0;
    this.height = 0;
    /** @type {Reading | null} */
    this.reading = null;
    this.root = make("div", "panel");
    this.stage = make("div", "stage");
    this.drawn = make("canvas", "drawn");
    this.drawn.setAttribute("aria-hidden", "true");
    this.above = make("canvas", "above");
    this.box = make("div", "reading");
    this.box.hidden = true;
    this.box.setAttribute("aria-hidden", "true");
    this.about = make("p", "unseen");
    this.describe();
    if (title) this.root.append(make("p", "panel-title", title));
    this.stage.append(this.drawn, this.above, this.box, ...this.scaleButtons(), this.about);
    this.root.append(this.stage);
  }

  /** What a screen reader hears of it. */
  describe() {
    this.above.tabIndex = 0;
    this.above.setAttribute("role", "application");
    this.above.setAttribute("aria-roledescription", "interactive figure");
    this.above.setAttribute("aria-label", this.title || this.host.figure.title || "Figure");
    this.above.setAttribute("aria-describedby", withId(this.about));
    this.about.textContent = this.summary();
  }

  summary() {
    return this.plot ? `${this.view.summary()} ${KEYS}` : this.view.summary();
  }

  scaleButtons() {
    const { plot } = this;
    if (!plot) return [];
    /** @type {HTMLButtonElement[]} */
    const buttons = [];
    for (const which of /** @type {const} */ (["y", "x"])) {
      const scale = plot.scaleOf(which);
      if (!scale) continue;
      const axis = which === "x" ? plot.plot.x.label : plot.plot.y.label;
      const one = button("log", `${which === "x" ? "horizontal" : "vertical"} axis${axis ? `, ${axis}` : ""}`, () => {
        this.host.switchScale(this, which);
        press(one, plot.scaleOf(which)?.log ?? false);
      });
      one.className = `scale of-${which}`;
      one.dataset.axis = which;
      press(one, scale.log);
      buttons.push(one);
    }
    return buttons;
  }

  /** After a scale was switched elsewhere. */
  showScales() {
    for (const one of this.stage.querySelectorAll("button.scale")) {
      const which = one instanceof HTMLElement && one.dataset.axis === "x" ? "x" : "y";
      if (one instanceof HTMLElement) press(one, this.plot?.scaleOf(which)?.log ?? false);
    }
  }

  /** @param {number} width @param {number} height */
  resize(width, height) {
    [this.width, this.height] = [Math.max(Math.floor(width), 40), Math.max(Math.floor(height), 40)];
    this.stage.style.height = `${this.height}px`;
  }

  /** @param {Theme} theme */
  draw(theme) {
    const ctx = cleared(this.drawn, this.width, this.height);
    if (!ctx) return;
    this.view.draw(ctx, this.width, this.height, theme);
    if (this.reading && this.plot) this.reading = this.plot.brushReading() ?? this.plot.reading() ?? this.reading;
    this.drawAbove(theme);
  }

  /** @param {Theme} theme */
  drawAbove(theme) {
    const ctx = cleared(this.above, this.width, this.height);
    if (ctx && this.plot) this.plot.over(ctx, theme);
    this.showBox();
  }

  /** Gives back the memory of what cannot be seen. */
  release() {
    for (const canvas of [this.drawn, this.above]) canvas.width = canvas.height = 0;
  }

  showBox() {
    const { reading, box } = this;
    box.hidden = !reading || reading.rows.length === 0;
    if (!reading || box.hidden) return;
    box.replaceChildren(...reading.rows.flatMap(([name, value]) => [make("span", "name", name), make("span", "value", value)]));
    const left = reading.px + BESIDE + box.offsetWidth <= this.width ? reading.px + BESIDE : reading.px - BESIDE - box.offsetWidth;
    const top = Math.min(Math.max(reading.py - box.offsetHeight - BESIDE, 0), Math.max(this.height - box.offsetHeight, 0));
    box.style.left = `${Math.min(Math.max(left, 0), Math.max(this.width - box.offsetWidth, 0))}px`;
    box.style.top = `${top}px`;
  }

  /**
   * Where a pointer is, in CSS pixels of the view.
   * @param {{ clientX: number, clientY: number }} event
   * @returns {[number, number]}
   */
  placeOf(event) {
    const area = this.above.getBoundingClientRect();
    return [event.clientX - area.left, event.clientY - area.top];
  }

  /** Where keys and buttons zoom: at what is read, or in the middle. @returns {[number, number]} */
  focus() {
    if (this.reading && this.reading.px >= 0 && this.reading.px <= this.width) return [this.reading.px, this.reading.py];
    const frame = this.plot?.frame;
    return frame ? [(frame.x0 + frame.x1) / 2, (frame.y0 + frame.y1) / 2] : [this.width / 2, this.height / 2];
  }
}
