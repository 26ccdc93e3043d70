// Keeps numbers between bounds: what is zoomed, moved and stepped through ends somewhere. Knows nothing of what they
// count.

/** @param {number} v @param {number} low @param {number} high  where bounds cross, the low one holds */
export function heldWithin(v, low, high) {
  return Math.max(Math.min(v, high), low);
}
