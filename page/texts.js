// Texts in the room there is on a canvas: broken into lines between words, shortened at their end, written upwards where
// asked. Knows a canvas and its font, no figure.

/**
 * Shortened at its end, by "…", until it is no wider.
 * @param {CanvasRenderingContext2D} ctx
 * @param {string} text
 * @param {number} width
 */
export function shortenedTo(ctx, text, width) {
  if (ctx.measureText(text).width <= width) return text;
  const letters = [...text];
  let [low, high] = [0, letters.length];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (ctx.measureText(letters.slice(0, middle).join("").trimEnd() + "…").width <= width) low = middle;
    else high = middle - 1;
  }
  return low > 0 ? letters.slice(0, low).join("").trimEnd() + "…" : "";
}

/**
 * Broken between words into lines no wider than this; the last of so many is shortened.
 * @param {CanvasRenderingContext2D} ctx
 * @param {string} text
 * @param {number} width
 * @param {number} most
 */
export function linesWithin(ctx, text, width, most) {
  /** @type {string[]} */
  const lines = [];
  for (const word of text.split(/\s+/).filter(Boolean)) {
    const last = lines.pop();
    const both = last === undefined ? word : `${last} ${word}`;
    if (last === undefined || lines.length + 1 === most || ctx.measureText(both).width <= width) lines.push(both);
    else lines.push(last, word);
  }
  return lines.map((line) => shortenedTo(ctx, line, width));
}

/**
 * Centered on a place, read upwards if asked.
 * @param {CanvasRenderingContext2D} ctx
 * @param {string[]} lines
 * @param {number} x
 * @param {number} y
 * @param {number} lineHeight
 * @param {boolean} upwards
 */
export function writeLines(ctx, lines, x, y, lineHeight, upwards) {
  ctx.save();
  ctx.translate(x, y);
  if (upwards) ctx.rotate(-Math.PI / 2);
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  lines.forEach((line, i) => ctx.fillText(line, 0, (i - (lines.length - 1) / 2) * lineHeight));
  ctx.restore();
}
