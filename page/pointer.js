// Mouse, pen and fingers on a panel. A mouse reads where it is, draws a box with its button and moves with shift; one
// finger scrolls the page, reads where it taps and as it goes sideways, two fingers zoom and move.
/** @import { Host } from "./host.js" */
/** @import { Panel } from "./panel.js" */

/** @typedef {[number, number]} Spot2 */

const SLACK = 5; // pixels that a tap may move
const TWICE = 350; // milliseconds between the taps of a double tap

/** @param {Host} host @param {Panel} panel */
export function listenToPointers(host, panel) {
  const hand = new Hand(host, panel);
  const { above } = panel;
  above.addEventListener("pointerdown", (event) => hand.down(event));
  above.addEventListener("pointermove", (event) => hand.move(event));
  above.addEventListener("pointerup", (event) => hand.up(event));
  above.addEventListener("pointercancel", (event) => hand.cancel(event));
  above.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse" && hand.fingers.size === 0) host.leave(panel);
  });
  above.addEventListener("dblclick", () => host.reset(panel));
  above.addEventListener("wheel", (event) => {
    // Trackpads send a pinch as a wheel with ctrl; without it the page scrolls.
    if (!event.ctrlKey) return;
    event.preventDefault();
    host.zoom(panel, panel.placeOf(event), Math.exp(-event.deltaY / 100));
  }, { passive: false });
  // Two fingers are ours, also where they move up and down together.
  const hold = (/** @type {TouchEvent} */ event) => {
    if (event.touches.length > 1 && event.cancelable) event.preventDefault();
  };
  above.addEventListener("touchstart", hold, { passive: false });
  above.addEventListener("touchmove", hold, { passive: false });
}

class Hand {
  /** @param {Host} host @param {Panel} panel */
  constructor(host, panel) {
    this.host = host;
    this.panel = panel;
    /** @type {Map<number, Spot2>} */
    this.fingers = new Map();
    /** @type {Spot2} */
    this.start = [0, 0];
    this.moved = false;
    this.pinched = false;
    this.far = false;
    this.tapped = { time: 0, at: /** @type {Spot2} */ ([0, 0]) };
  }

  /** @param {PointerEvent} event */
  down(event) {
    if (event.pointerType === "mouse" && event.button > 1) return;
    if (event.pointerType === "mouse") this.panel.above.setPointerCapture(event.pointerId);
    const at = this.panel.placeOf(event);
    this.fingers.set(event.pointerId, at);
    this.pinched = this.fingers.size > 1;
    if (this.pinched) return this.host.cancelSelection(this.panel);
    this.start = at;
    this.moved = false;
    this.far = event.shiftKey || event.button === 1;
  }

  /** @param {PointerEvent} event */
  move(event) {
    const at = this.panel.placeOf(event);
    const before = this.fingers.get(event.pointerId);
    if (!before) {
      if (event.pointerType !== "touch") this.host.read(this.panel, at, false);
      return;
    }
    if (this.fingers.size > 1) return this.pinch(event.pointerId, before, at);
    this.moved ||= Math.hypot(at[0] - this.start[0], at[1] - this.start[1]) > SLACK;
    if (!this.moved || this.pinched) return;
    this.fingers.set(event.pointerId, at);
    const { plot } = this.panel;
    if (plot && !this.far && event.pointerType === "touch" && !plot.brush?.on) this.host.read(this.panel, at, false);
    else if (plot && !this.far) this.host.select(this.panel, this.start, at, false);
    else this.host.drag(this.panel, before, at, this.far);
  }

  /** @param {number} id @param {Spot2} before @param {Spot2} at */
  pinch(id, before, at) {
    const other = [...this.fingers].find(([key]) => key !== id)?.[1];
    this.fingers.set(id, at);
    if (!other) return;
    const between = (/** @type {Spot2} */ p) => Math.max(Math.hypot(p[0] - other[0], p[1] - other[1]), 10);
    const middle = (/** @type {Spot2} */ p) => /** @type {Spot2} */ ([(p[0] + other[0]) / 2, (p[1] + other[1]) / 2]);
    this.host.drag(this.panel, middle(before), middle(at), true);
    this.host.zoom(this.panel, middle(at), between(at) / between(before));
  }

  /** @param {PointerEvent} event */
  up(event) {
    const held = this.fingers.delete(event.pointerId);
    if (!held || this.pinched) {
      this.pinched = this.fingers.size > 0;
      return;
    }
    const at = this.panel.placeOf(event);
    const selects = this.panel.plot && !this.far && (event.pointerType !== "touch" || this.panel.plot.brush?.on);
    if (!this.moved) this.tap(event, at);
    else if (selects) this.host.select(this.panel, this.start, at, true);
  }

  /** @param {PointerEvent} event @param {Spot2} at */
  tap(event, at) {
    const twice = event.timeStamp - this.tapped.time < TWICE && Math.hypot(at[0] - this.tapped.at[0], at[1] - this.tapped.at[1]) < 30;
    this.tapped = { time: twice ? 0 : event.timeStamp, at };
    // A mouse tells of a double click itself.
    if (twice && event.pointerType !== "mouse") this.host.reset(this.panel);
    else this.host.read(this.panel, at, true);
  }

  /** The page scrolls instead. @param {PointerEvent} event */
  cancel(event) {
    this.fingers.delete(event.pointerId);
    this.pinched = this.fingers.size > 0;
    this.host.cancelSelection(this.panel);
  }
}
