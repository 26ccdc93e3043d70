// Blocks as Rust writes them, and such as are broken.
import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { unpacked } from "../block.js";

/** @param {object} figure @param {Buffer} arrays */
function blockOf(figure, arrays) {
  let header = Buffer.from(JSON.stringify(figure));
  header = Buffer.concat([header, Buffer.alloc((8 - ((4 + header.length) % 8)) % 8, " ")]);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(header.length);
  return gzipSync(Buffer.concat([length, header, arrays])).toString("base64");
}

test("arrays of every type are where the header says", async () => {
  const arrays = Buffer.concat([Buffer.from(Float64Array.of(0.1, NaN, -Infinity).buffer), Buffer.from(Float32Array.of(0.5, 2).buffer), Buffer.from(Int32Array.of(-7, 9).buffer), Buffer.from([1, 255])]);
  const { figure, read } = await unpacked(`\n${blockOf({ name: "f", title: "</script> ‖∇L‖" }, arrays)}\n`);
  assert.equal(figure.title, "</script> ‖∇L‖");
  assert.deepEqual([...read({ type: "f64", count: 3, at: 0 })], [0.1, NaN, -Infinity]);
  assert.deepEqual([...read({ type: "f32", count: 2, at: 24 })], [0.5, 2]);
  assert.deepEqual([...read({ type: "i32", count: 2, at: 32 })], [-7, 9]);
  assert.deepEqual([...read({ type: "u8", count: 2, at: 40 })], [1, 255]);
  assert.deepEqual([...read({ type: "range", count: 3, at: 1, step: 0.5 })], [1, 1.5, 2]);
  assert.deepEqual([...read(undefined)], []);
  assert.throws(() => read({ type: "f64", count: 9, at: 0 }), RangeError);
});

test("what is cut off, or nothing at all, is refused", async () => {
  const whole = blockOf({ name: "f" }, Buffer.alloc(800, 3));
  for (const block of ["", "H4sIAAAA", whole.slice(0, whole.length - 12), "no base64!"]) await assert.rejects(unpacked(block), block);
});
