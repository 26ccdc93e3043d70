// What a figure shows, out of its block in the page: base64 of gzip of a header in JSON and the arrays it points into.
// Knows how the bytes lie, not what they mean.
/** @import { Figure, Numbers, Read } from "./types.js" */

const BYTES = { f64: 8, f32: 4, i32: 4, u8: 1 };

/** Whether this browser can unpack a block. */
export function canUnpack() {
  return typeof DecompressionStream === "function";
}

/**
 * The figure in a block, and its arrays.
 * @param {string} block
 * @returns {Promise<{ figure: Figure, read: Read }>}
 */
export async function unpacked(block) {
  const stream = new Blob([bytesOf(block.trim())]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = await new Response(stream).arrayBuffer();
  const length = new DataView(bytes).getUint32(0, true);
  const header = new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array(bytes, 4, length));
  return { figure: JSON.parse(header), read: reader(bytes, 4 + length) };
}

/** @param {string} base64 */
function bytesOf(base64) {
  const letters = atob(base64);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

/** @param {ArrayBuffer} bytes @param {number} start @returns {Read} */
function reader(bytes, start) {
  return (numbers) => {
    if (!numbers || numbers.count === 0) return [];
    const { type, count, at } = numbers;
    if (type === "range") return Float64Array.from({ length: count }, (_, i) => at + (numbers.step ?? 1) * i);
    const from = start + at;
    if (!(type in BYTES) || from + BYTES[type] * count > bytes.byteLength) throw new RangeError("numbers beyond the block");
    switch (type) {
      case "f64": return new Float64Array(bytes, from, count);
      case "f32": return new Float32Array(bytes, from, count);
      case "i32": return new Int32Array(bytes, from, count);
      default: return new Uint8Array(bytes, from, count);
    }
  };
}
