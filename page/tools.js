// The buttons under a figure that runs.
import { button, make, press } from "./dom.js";
import { copied, csvOf, saveAs, savePng, tableOfAll } from "./save.js";
/** @import { Host } from "./host.js" */
/** @import { Panel } from "./panel.js" */

/** @param {Host} host @returns {{ root: HTMLElement, show: () => void }} */
export function toolsOf(host) {
  const root = make("div", "tools");
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", "What can be done with this figure");
  const toggles = [seedsButton(host), countButton(host), solidButton(host)].flatMap((toggle) => (toggle ? [toggle] : []));
  const told = make("span", "told");
  told.setAttribute("role", "status");
  root.append(...zoomButtons(host), ...toggles.map((toggle) => toggle.element), make("span", "gap"), told, ...savers(host, told));
  const show = () => toggles.forEach((toggle) => press(toggle.element, toggle.get()));
  show();
  return { root, show };
}

/** The panel that was last used. @param {Host} host @param {{ panel: Panel | null }} last */
function used(host, last) {
  return last.panel ?? host.panels.find((panel) => panel.plot) ?? host.panels[0];
}

/** For hands that can neither drag nor pinch. @param {Host} host */
function zoomButtons(host) {
  /** @type {{ panel: Panel | null }} */
  const last = { panel: null };
  host.grid.addEventListener("focusin", (event) => {
    last.panel = host.all().find((panel) => panel.root.contains(/** @type {Node} */ (event.target))) ?? null;
  });
  const zoom = (/** @type {number} */ factor) => () => {
    const panel = used(host, last);
    host.zoom(panel, panel.focus(), factor);
    host.sayZoom(panel);
  };
  return [
    button("+", "zoom in", zoom(1.5)),
    button("−", "zoom out", zoom(1 / 1.5)),
    button("All", "show all of it again", () => {
      host.all().forEach((panel) => host.reset(panel));
      host.say("All of it is shown.");
    }),
  ];
}

/** @typedef {{ element: HTMLButtonElement, get: () => boolean }} Toggle */

/** @param {Host} host @returns {Toggle | null} */
function seedsButton(host) {
  if (!host.plots().some((plot) => plot.hasMembers())) return null;
  const get = () => host.study.seeds;
  return { element: button("Seeds", "each seed as a thin line, in all figures of this study", () => host.study.showSeeds(!get())), get };
}

/** @param {Host} host @returns {Toggle | null} */
function countButton(host) {
  const counting = host.plots().filter((plot) => plot.brush);
  if (counting.length === 0) return null;
  const get = () => counting.some((plot) => plot.brush?.on);
  const act = () => {
    const on = !get();
    counting.forEach((plot) => plot.setCounting(on));
    host.panels.forEach((panel) => (panel.reading = null));
    if (on) host.say("Drag over a range to count what is in it; arrow keys move its upper end, with shift the lower one.");
    host.changed();
  };
  return { element: button("Count", "what is in a range: drag over it, or move its ends with arrow keys", act), get };
}

/** @param {Host} host @returns {Toggle | null} */
function solidButton(host) {
  if (!host.plots().some((plot) => plot.contours)) return null;
  const get = () => host.panels.some((panel) => panel.solid !== null);
  return { element: button("3-D", "the level lines as a surface, beside them", () => host.showSolids(!get())), get };
}

/** @param {Host} host @param {HTMLElement} told */
function savers(host, told) {
  const name = host.figure.name || "figure";
  const csv = () => csvOf(tableOfAll(host.panels));
  const say = (/** @type {string} */ text) => {
    told.textContent = text;
    setTimeout(() => told.textContent === text && (told.textContent = ""), 4000);
  };
  return [
    button("CSV", "copy the data of this figure", async () => {
      const text = csv();
      const thinned = host.plots().some((plot) => plot.curves.some(({ series }) => series.of > series.x.count));
      // As they are here: between what a screen can show there were more.
      if (await copied(text)) return say(thinned ? "copied, as thinned for the screen" : "copied");
      saveAs(`data:text/csv;charset=utf-8,${encodeURIComponent(text)}`, `${name}.csv`);
      say("saved");
    }),
    button("SVG", "save the static figure", () => saveAs(host.image.src, `${name}.svg`)),
    button("PNG", "save what is seen now", () => savePng(host)),
  ];
}
