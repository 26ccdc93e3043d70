// The keyboard on a panel: arrows read, plus and minus zoom, Escape goes back. All else stays with the browser.
/** @import { Host } from "./host.js" */
/** @import { Panel } from "./panel.js" */

/** @type {Record<string, [number, number, boolean]>} to the right, down, and whether far */
const STEPS = {
  ArrowLeft: [-1, 0, false], ArrowRight: [1, 0, false], ArrowUp: [0, -1, false], ArrowDown: [0, 1, false],
  PageUp: [-1, 0, true], PageDown: [1, 0, true], Home: [-Infinity, 0, false], End: [Infinity, 0, false],
};
/** @type {Record<string, number>} */
const ZOOMS_OF = { "+": 1.5, "=": 1.5, "-": 1 / 1.5, "_": 1 / 1.5, "−": 1 / 1.5 };

/** @param {Host} host @param {Panel} panel */
export function listenToKeys(host, panel) {
  const { above } = panel;
  above.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !act(host, panel, event)) return;
    event.preventDefault();
  });
  above.addEventListener("blur", () => host.leave(panel));
}

/** @param {Host} host @param {Panel} panel @param {KeyboardEvent} event */
function act(host, panel, event) {
  const step = STEPS[event.key];
  if (step) {
    host.step(panel, step[0], step[1], step[2] || event.shiftKey);
    return true;
  }
  if (ZOOMS_OF[event.key]) {
    host.zoom(panel, panel.focus(), ZOOMS_OF[event.key]);
    host.sayZoom(panel);
    return true;
  }
  if (event.key !== "Escape") return false;
  host.reset(panel);
  host.say("All of it is shown.");
  return true;
}
