// Ticks and numbers against those of src/plot/scale.rs.
import assert from "node:assert/strict";
import { test } from "node:test";
import { axisOf, axisOver, formatted, paddedRange, transformed, trimmed, untransformed } from "../scale.js";

const axis = (scale, linear) => ({ label: "", scale, linear, levels: [] });
const labels = (scale, lo, hi, most, linear) => axisOver(axis(scale, linear), { lo, hi }, 500).ticks(most).map((tick) => tick.label);

test("linear ticks stand at one, two, five", () => {
  assert.deepEqual(labels("linear", 0, 1000, 5), ["0", "200", "400", "600", "800", "1000"]);
  assert.deepEqual(labels("linear", -2.1, 2.1, 5), ["−2", "−1", "0", "1", "2"]);
  assert.deepEqual(labels("linear", 0, 21_000, 5), ["0", "5000", "10,000", "15,000", "20,000"]);
  assert.deepEqual(labels("linear", 0, 2.1e30, 3), ["0", "1×10³⁰", "2×10³⁰"]);
  assert.deepEqual(labels("linear", 0, 1.1e-300, 3), ["0", "0.5×10⁻³⁰⁰", "1.0×10⁻³⁰⁰"]);
});

test("log ticks are decades over a wide range and plain numbers over a narrow one", () => {
  assert.deepEqual(labels("log", -3.2, 0.4, 7), ["10⁻³", "10⁻²", "10⁻¹", "10⁰"]);
  assert.deepEqual(labels("log", -6, 6, 4), ["10⁻⁵", "10⁰", "10⁵"]);
  assert.deepEqual(labels("log", -1.8, -0.6, 7), ["0.02", "0.05", "0.1", "0.2"]);
  assert.deepEqual(labels("log", -8.8, -7.9, 7), ["2×10⁻⁹", "5×10⁻⁹", "1×10⁻⁸"]);
  assert.equal(axisOver(axis("log"), { lo: 0, hi: 2 }, 400).minor.length, 16);
});

test("symlog ticks are zero and decades on both sides", () => {
  assert.deepEqual(labels("symlog", -2.1, 3.1, 7, -1), ["−10⁰", "−10⁻¹", "0", "10⁻¹", "10⁰", "10¹"]);
  assert.deepEqual(labels("symlog", -7.2, 11.9, 8, -9), ["−10⁻³", "−10⁻⁶", "0", "10⁻⁶", "10⁻³", "10⁰"]);
  assert.deepEqual(labels("symlog", -4.4, -1.2, 7, -3), ["−10⁰", "−10⁻¹", "−10⁻²"]);
  assert.deepEqual(labels("symlog", 0, 0.5, 7, 0), ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5"]);
  for (const value of [-3, -1e-9, 0, 1e-4, 0.5, 7e6]) {
    const there = untransformed(axis("symlog", -3), transformed(axis("symlog", -3), value));
    assert.ok(Math.abs(there - value) <= 1e-9 * Math.abs(value), `${value} ${there}`);
  }
});

test("values and places lead to each other, and what an axis cannot show is NaN", () => {
  const placed = axisOf(axis("log"), 0.01, 100, 300);
  assert.ok(Math.abs(placed.to(1) - 0.5) < 1e-12 && Math.abs(placed.from(0.75) - 10) < 1e-9);
  for (const value of [0, -1, NaN, Infinity]) assert.ok(Number.isNaN(placed.to(value)), String(value));
  assert.ok(Number.isNaN(axisOf(axis("linear"), 0, 1, 300).to(NaN)));
});

test("an axis has a range whatever it is given", () => {
  for (const [low, high] of [[NaN, NaN], [3, 3], [0, 0], [1, -1], [0, Infinity]]) {
    for (const scale of ["linear", "log", "symlog"]) {
      const { range, ticks } = axisOf(axis(scale, -2), low, high, 300);
      assert.ok(range.hi > range.lo && ticks(5).length < 60, `${scale} ${low} ${high} ${JSON.stringify(range)}`);
    }
  }
  assert.deepEqual(paddedRange(axis("log"), { lo: 2, hi: 2 }, 0.05), { lo: 1.5, hi: 2.5 });
});

test("a few values have their own ticks, where there is room", () => {
  const batch = { ...axis("log"), levels: [32, 64, 128] };
  const found = (pixels) => axisOf(batch, 32, 128, pixels).fitting((label) => 8 * label.length + 16, 8).major.map((tick) => tick.label);
  assert.deepEqual(found(300), ["32", "64", "128"]);
  assert.notDeepEqual(found(40), ["32", "64", "128"]);
});

test("numbers have four digits, whole ones are whole, and minus is minus", () => {
  assert.deepEqual([9.96, 2345.6, 0.0501, 1e-7, -3.5, 1e9, -12, NaN].map((v) => formatted(v)), ["9.960", "2346", "0.05010", "1.000e−7", "−3.500", "1.000e9", "−12", "not finite"]);
  assert.deepEqual([0.125, 0.01, 100, -0.5, 1.5e-8, 1e12, 1000].map((v) => trimmed(v)), ["0.125", "0.01", "100", "−0.5", "1.5e−8", "1e12", "1000"]);
});
