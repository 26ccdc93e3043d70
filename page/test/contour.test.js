// Marching squares against functions whose level lines are known.
import assert from "node:assert/strict";
import { test } from "node:test";
import { cellOf, contoursOf, levelLines, levelRings, valueBetween } from "../contour.js";

/** A function on n × n points of [−2, 2]². */
function gridOf(n, f) {
  const at = Array.from({ length: n }, (_, i) => -2 + (4 * i) / (n - 1));
  return { x: at, y: at, z: at.flatMap((y) => at.map((x) => f(x, y))) };
}

/** Signed: positive where it turns to the left. */
function areaOf(rings) {
  const one = (ring) => ring.slice(1).reduce((sum, b, i) => sum + (ring[i][0] * b[1] - b[0] * ring[i][1]) / 2, 0);
  return rings.reduce((sum, ring) => sum + one(ring), 0);
}

test("every point of a line has the level's value, between the nodes of its cell", () => {
  const functions = [(x, y) => x * x + 2 * y * y, (x, y) => x * y, (x, y) => Math.sin(3 * x) * Math.cos(2 * y), (x, y) => Math.exp(x - y)];
  for (const f of functions) {
    const grid = gridOf(37, f);
    for (const level of [-0.7, -0.1, 0.013, 0.5, 1.7]) {
      for (const point of levelLines(grid, level).flat()) {
        assert.ok(Math.abs(valueBetween(grid, ...point) - level) < 1e-9, `${level} at ${point}`);
      }
    }
  }
});

test("level lines of a bowl are closed circles, and beyond the sides its corners are left", () => {
  const bowl = gridOf(41, (x, y) => x * x + y * y);
  for (const radius of [0.5, 1, 1.9]) {
    const lines = levelLines(bowl, radius * radius);
    assert.equal(lines.length, 1);
    const [circle] = lines;
    assert.deepEqual(circle[0], circle.at(-1), "closed");
    assert.ok(circle.every(([x, y]) => Math.abs(Math.hypot(x, y) - radius) < 0.003));
  }
  const corners = levelLines(bowl, 2.3 * 2.3);
  assert.equal(corners.length, 4);
  assert.ok(corners.every((line) => line[0][0] !== line.at(-1)[0] || line[0][1] !== line.at(-1)[1]));
  for (const none of [-1, 8.1, NaN, Infinity]) assert.deepEqual(levelLines(bowl, none), []);
  const flat = gridOf(5, () => 3);
  assert.deepEqual([levelLines(flat, 3), levelLines(flat, 2)], [[], []]);
});

test("areas above a level are all parts less their holes", () => {
  const disc = Math.PI * 2.25;
  const near = (found, wanted, by = 0.01) => assert.ok(Math.abs(found - wanted) < by, `${found} ${wanted}`);
  const bowl = gridOf(81, (x, y) => x * x + y * y);
  near(areaOf(levelRings(bowl, 2.25)), 16 - disc);
  near(areaOf(levelRings(gridOf(81, (x, y) => -x * x - y * y), -2.25)), disc);
  near(areaOf(levelRings(bowl, -1)), 16, 1e-9);
  assert.deepEqual(levelRings(bowl, 9), []);
  near(areaOf(levelRings(gridOf(80, (x, y) => x * y), 0)), 8);
  near(areaOf(levelRings(gridOf(161, (x, y) => -Math.abs(Math.hypot(x, y) - 1)), -0.5)), disc - Math.PI * 0.25);
  const unknown = gridOf(41, (x, y) => (Math.max(Math.abs(x), Math.abs(y)) < 0.51 ? NaN : 1));
  near(areaOf(levelRings(unknown, 0.5)), 16 - 1.42);
});

test("lines at a saddle do not cross", () => {
  const cell = (z) => ({ x: [0, 1], y: [0, 1], z });
  const near = (lines, [x, y]) => {
    const close = (line) => line.every((p) => Math.abs(p[0] - x) + Math.abs(p[1] - y) < 0.51);
    return lines.length === 2 && lines.filter(close).length === 1;
  };
  const [below, above] = [0.49, 0.51].map((level) => levelLines(cell([1, 0, 0, 1]), level));
  assert.ok(near(below, [1, 0]) && near(below, [0, 1]));
  assert.ok(near(above, [0, 0]) && near(above, [1, 1]));
  const lines = levelLines(gridOf(12, (x, y) => x * y), 1e-3);
  assert.ok(lines.length === 2 && lines.flat().every(([x, y]) => x * y > -1e-9));
});

test("what cannot be shown has no lines, and the largest numbers no NaN", () => {
  const odd = gridOf(9, (x, y) => (x > 1 ? NaN : x * y * Number.MAX_VALUE));
  const points = [0, Number.MAX_VALUE / 2].flatMap((level) => [...levelLines(odd, level), ...levelRings(odd, level)]).flat(2);
  assert.ok(points.length > 0 && points.every(Number.isFinite));
  for (const empty of [{ x: [], y: [], z: [] }, { x: [1], y: [1], z: [1] }]) {
    assert.deepEqual(levelLines(empty, 0.5), []);
    levelRings(empty, 0.5);
    assert.ok(Number.isNaN(valueBetween(empty, 1, 1)));
  }
});

test("values between nodes", () => {
  assert.deepEqual(cellOf([0, 1, 3], 2), { i: 1, t: 0.5 });
  assert.deepEqual(cellOf([0, 1, 3], 3), { i: 1, t: 1 });
  assert.equal(cellOf([0, 1, 3], 3.1), null);
  assert.equal(cellOf([0, 1, 3], NaN), null);
  const grid = { x: [0, 1, 2], y: [0, 2], z: [0, 1, NaN, 4, 5, NaN] };
  assert.equal(valueBetween(grid, 0.5, 1), 2.5);
  assert.equal(valueBetween(grid, 1, 2), 5, "on the border of a cell that cannot be shown");
  assert.ok(Number.isNaN(valueBetween(grid, 1.5, 1)) && Number.isNaN(valueBetween(grid, 5, 1)));
});

test("shapes have the levels' numbers, colours and shades", () => {
  const z = gridOf(21, (x, y) => x * x + y * y);
  const levels = [1, 2, 4].map((value) => ({ value, label: String(value) }));
  const shapes = contoursOf({ ...z, levels }, (numbers) => numbers);
  assert.deepEqual(shapes.lines.map((l) => [l.level, l.label]), [[0, "1"], [1, "2"], [2, "4"]]);
  assert.deepEqual(shapes.areas.map((a) => a.value), [1, 2, 4]);
  assert.equal(shapes.shadeAt(0, 0), "");
  assert.equal(shapes.shadeAt(1.6, 0), shapes.colors(1)[1]);
  assert.equal(shapes.colors(2)[0], "rgb(8,48,107)");
});
