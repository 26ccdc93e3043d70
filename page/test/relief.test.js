// What a surface looks like from anywhere: projection and back, order, light, nodes.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as relief from "../relief.js";

const { cosinesOf, facetsOf, heightColor, isWhole, nearestNode, nearness, nodesSeen, painterOrder, reliefOf, seenFrom, sightFrom, spanFor } = relief;
const close = (a, b, by = 1e-9) => assert.ok(Math.abs(a - b) < by, `${a} ${b}`);
const evenly = (n) => Array.from({ length: n }, (_, i) => i / (n - 1));
const of = (n, f, every = 1) => reliefOf(evenly(n), evenly(n), evenly(n).flatMap((y) => evenly(n).map((x) => f(x, y))), every);
const SIGHTS = [-60, -180, -91, -1, 30, 89, 100, 179, 245].flatMap((a) => [5, 35, 85].map((e) => sightFrom(a, e)));

test("the first view is that of the static figure, and every view a rotation", () => {
  const { right, up, back } = sightFrom(-60, 35);
  [0.8660254037844386, 0.5, 0].forEach((v, i) => close(right[i], v));
  [-0.286788218175523, 0.4967317648921541, 0.8191520442889918].forEach((v, i) => close(up[i], v));
  [0.4095760221444959, -0.7094064799162225, 0.573576436351046].forEach((v, i) => close(back[i], v));
  for (const sight of SIGHTS) {
    const axes = [sight.right, sight.up, sight.back];
    axes.forEach((a, i) => axes.forEach((b, j) => close(a[0] * b[0] + a[1] * b[1] + a[2] * b[2], i === j ? 1 : 0)));
  }
});

/** The place of this height that is seen there. */
function placeSeen({ right, up }, x, y, w) {
  // Two equations in the floor's plane; the determinant is the sine of the elevation.
  const down = -y - up[2] * (w - 0.5) * relief.HEIGHT;
  const determinant = right[0] * up[1] - right[1] * up[0];
  return [0.5 + (x * up[1] - right[1] * down) / determinant, 0.5 + (right[0] * down - x * up[0]) / determinant, w];
}

test("a place seen is found again, if its height is known", () => {
  for (const sight of SIGHTS) {
    for (const place of [[0, 0, 0], [0.3, 0.9, 0.2], [1, 0.5, 1]]) {
      placeSeen(sight, ...seenFrom(sight, place), place[2]).forEach((v, i) => close(v, place[i]));
    }
  }
});

test("no cell hides one that is drawn after it", () => {
  const waves = of(9, (x, y) => 0.5 + 0.5 * Math.sin(9 * x) * Math.cos(7 * y));
  for (const sight of SIGHTS) {
    const order = painterOrder(waves, sight);
    const cells = Array.from({ length: order.count }, (_, i) => order.cell(i));
    assert.equal(new Set(cells).size, 64);
    // By brute force: where two surfaces' points are seen at one place, the one nearer the viewer is of the later cell.
    const samples = cells.flatMap((node, i) => [0.2, 0.5, 0.8].flatMap((s) => [0.2, 0.5, 0.8].map((t) => sample(waves, sight, node, s, t, i))));
    const seen = new Map();
    for (const { x, y, near, i } of samples) {
      const key = `${Math.round(x * 150)} ${Math.round(y * 150)}`;
      seen.set(key, [...(seen.get(key) ?? []), { near, i }]);
    }
    for (const at of seen.values()) {
      for (const a of at) for (const b of at) if (a.near > b.near + 0.15) assert.ok(a.i > b.i);
    }
  }
});

function sample(surface, sight, node, s, t, i) {
  const width = surface.x.length;
  const [column, row] = [node % width, Math.floor(node / width)];
  const [a, b, c, d] = [node, node + 1, node + width, node + width + 1].map((k) => surface.heights[k]);
  const at = (v, k, u) => v[k] + u * (v[k + 1] - v[k]);
  const w = (1 - t) * ((1 - s) * a + s * b) + t * ((1 - s) * c + s * d);
  const place = [at(surface.x, column, s), at(surface.y, row, t), w];
  const [x, y] = seenFrom(sight, place);
  return { x, y, near: nearness(sight, place), i };
}

test("nodes are found where they are seen, and those behind give way", () => {
  const bowl = of(21, (x, y) => 2 * ((x - 0.5) ** 2 + (y - 0.5) ** 2));
  for (const sight of SIGHTS) {
    const seen = nodesSeen(bowl, sight);
    let hidden = 0;
    for (let node = 0; node < bowl.heights.length; node++) {
      const found = nearestNode(bowl, sight, seen, seen[2 * node], seen[2 * node + 1], 0.05);
      const place = (k) => [bowl.x[k % 21], bowl.y[Math.floor(k / 21)], bowl.heights[k]];
      assert.ok(found >= 0);
      if (found === node) continue;
      hidden += 1;
      assert.ok(nearness(sight, place(found)) > nearness(sight, place(node)) - 0.06, "what covers it is nearer");
    }
    if (sight.elevation === 85) assert.equal(hidden, 0, "all are seen from above");
    assert.equal(nearestNode(bowl, sight, seen, 3, 3, 0.05), -1);
  }
});

test("cells without a corner are left out", () => {
  const holed = of(5, (x, y) => (x === 0.5 && y === 0.5 ? NaN : 0.1 * x * y));
  const whole = [...holed.heights.keys()].filter((node) => isWhole(holed, node));
  assert.equal(whole.length, 12);
  assert.ok([6, 7, 11, 12].every((node) => !whole.includes(node)));
  assert.ok(holed.normals.every(Number.isFinite));
  const lost = of(5, () => NaN);
  assert.equal(nearestNode(lost, SIGHTS[0], nodesSeen(lost, SIGHTS[0]), 0, 0, 9), -1);
  assert.equal(facetsOf(lost, 0.1), 0);
});

test("facets are as small as their number lets them, and large grids thinned with their ends", () => {
  const plane = of(2, (x, y) => 0.25 + 0.5 * x - 0.25 * y);
  const count = facetsOf(plane, spanFor(plane, 2000));
  assert.ok(count > 1000 && count <= 2000, count);
  assert.equal(facetsOf(of(50, (x) => x), Infinity), 49 * 49);
  const thin = of(100, (x) => x, 4);
  assert.deepEqual([thin.x.length, thin.x[0], thin.x.at(-1), thin.columns.at(-1)], [26, 0, 1, 99]);
  const spike = of(51, (x, y) => (x === 0.5 && y === 0.5 ? 1 : 0));
  assert.ok(relief.cutsOf(spike, 25 * 51 + 25, 0.05)[0] > relief.cutsOf(spike, 3, 0.05)[0]);
});

test("light falls from the viewer's upper left", () => {
  const sight = sightFrom(-60, 35);
  const bright = (dx) => cosinesOf(of(2, (x) => 0.5 + dx * (x - 0.5)), sight)[0];
  assert.ok(bright(0.5) > bright(0) && bright(0) > bright(-0.5));
  const flat = of(3, () => 0.5);
  assert.deepEqual(flat.normals.slice(0, 3), Float64Array.of(-0, -0, 1));
  assert.equal(heightColor(flat, 0.5, 0.5, false, 1), heightColor(flat, 0.9, 0.5, false, 1), "one height, one colour");
  const slope = of(2, (x) => x);
  const [full, dark, below] = [heightColor(slope, 0, 0.8636, false, 1), heightColor(slope, 0, -1, false, 1), heightColor(slope, 0, 0.8636, true, 1)];
  assert.deepEqual([full, dark], ["rgb(68,1,84)", "rgb(42,1,52)"], "viridis in full light, and in none");
  assert.notEqual(dark, below);
});
