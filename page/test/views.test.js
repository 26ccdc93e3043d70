// What a reader does with a surface, a heat map and images, without a canvas: turning, reading, moving, tables, words.
import assert from "node:assert/strict";
import { test } from "node:test";
import { heatMapView, percentOf, withoutSameEnd } from "../heatmap.js";
import { imagesView, pixelColor } from "../images.js";
import { surfaceOf, surfaceView } from "../surface.js";

const read = (numbers) => numbers ?? [];
const axis = (label, scale = "linear") => ({ label, scale, levels: [] });
const AT = [-1, -0.5, 0, 0.5, 1];
const bowl = (more = {}) => ({
  x: axis("u"), y: axis("v"), z: axis("loss"), at_x: AT, at_y: AT,
  values: AT.flatMap((y) => AT.map((x) => x * x + 2 * y * y)), path: [1, 1, 3, 0.5, 0.5, 0.75, 0, 0, 0], point: [], ...more,
});

test("a surface turns within bounds, zooms around a place and goes back", () => {
  const view = surfaceView(bowl(), read, () => {});
  assert.equal(view.step(1, 0, false).text, "azimuth −65°, elevation 35°");
  for (let i = 0; i < 99; i++) view.step(0, 1, false);
  assert.equal(view.step(0, 1, false).text, "azimuth −65°, elevation 85°");
  view.drag([0, 0], [-200, -500], false);
  assert.equal(view.step(0, 0, false).text, "azimuth 35°, elevation 5°");
  for (let i = 0; i < 30; i++) view.step(1, 0, false);
  assert.equal(view.step(0, 0, false).text, "azimuth −115°, elevation 5°");
  view.reset();
  const before = view.at(230, 180);
  view.zoom(before.px, before.py, 2);
  const after = view.at(before.px, before.py);
  assert.ok(Math.abs(after.px - before.px) < 1e-9 && Math.abs(after.py - before.py) < 1e-9 && after.text === before.text);
  view.drag([0, 0], [30, -20], true);
  assert.ok(Math.abs(view.at(before.px + 30, before.py - 20).px - before.px - 30) < 1e-9);
  view.reset();
  assert.deepEqual(view.at(230, 180), before);
});

test("every node is read where it is seen, and by arrows with shift", () => {
  const view = surfaceView(bowl({ path: [] }), read, () => {});
  assert.equal(view.step(1, 0, true).text, "u 0, v 0, loss 0", "the lowest first");
  assert.equal(view.step(1, 0, true).text, "u 0.5000, v 0, loss 0.2500", "to the right is along u, seen from its side");
  assert.equal(view.step(0, -1, true).text, "u 0.5000, v 0.5000, loss 0.7500", "upwards is away");
  const end = view.step(Infinity, 0, true);
  assert.equal(end.text, "u 1, v 0.5000, loss 1.500");
  assert.deepEqual(end.rows, [["u", "1"], ["v", "0.5000"], ["loss", "1.500"]]);
  assert.equal(view.at(end.px, end.py).text, end.text);
  assert.equal(view.step(1, 0, true).text, end.text, "there is nothing beyond");
  assert.equal(view.at(-500, -500), null);
});

test("a path has a slider and is read before the surface under it", () => {
  const view = surfaceView(bowl(), read, () => {});
  const [slider] = view.controls();
  assert.deepEqual([slider.kind, slider.min, slider.max, slider.get()], ["slider", 0, 2, 2]);
  slider.set(1);
  assert.equal(slider.say(1), "path, point 2 of 3: u 0.5000, v 0.5000, loss 0.7500");
  const reading = view.reading();
  assert.equal(view.at(reading.px, reading.py).text, slider.say(1));
  assert.deepEqual(surfaceView(bowl({ path: [0, 0, 0] }), read, () => {}).controls(), []);
  assert.match(view.summary(), /^Surface of loss over u and v, 5 by 5 points\. Lowest 0 at 0, 0; highest 3 at −1, −1\. path: 3 points\./);
  const table = view.table();
  assert.deepEqual([table.length, table[0], table[1], table.at(-1)], [1 + 25 + 3, ["part", "u", "v", "loss"], ["grid", "-1", "-1", "3"], ["path", "0", "0", "0"]]);
});

test("level lines become a surface with their paths on it", () => {
  const series = (mark, x, y) => ({ label: mark, name: "", mark, x, y });
  const contours = { x: AT, y: AT, z: AT.flatMap((y) => AT.map((x) => 1 + 9 * (x * x + y * y))), levels: [] };
  const plot = { x: axis("a"), y: axis("b"), series: [series("path", [1, 0.25, 9], [1, 0, 0]), series("crosses", [0.25], [0]), series("band", [0], [0])], rules: [], contours };
  const view = surfaceOf(plot, read, () => {}, "loss");
  const [slider] = view.controls();
  assert.equal(slider.say(1), "path, point 2 of 3: a 0.2500, b 0, loss 2.125", "between the nodes");
  assert.equal(slider.say(2), "path, point 3 of 3: a 9, b 0, loss not finite", "outside the grid");
  assert.deepEqual(view.table().slice(-2), [["path", "9", "0", "NaN"], ["crosses", "0.25", "0", "2.125"]]);
});

test("what is nowhere finite is said and breaks nothing", () => {
  for (const values of [AT.flatMap(() => AT.map(() => NaN)), [], AT.flatMap(() => AT.map(() => -Infinity))]) {
    const view = surfaceView(bowl({ values, path: [], z: axis("loss", "log") }), read, () => {});
    assert.equal(view.summary(), "Surface of loss over u and v: no finite data.");
    assert.equal(view.at(200, 150), null);
    assert.equal(view.step(1, 0, true), null);
    view.zoom(1, 1, 2);
    view.drag([0, 0], [9, 9], false);
    view.table();
  }
});

const map = { x: "predicted digit", y: "true digit", columns: ["0", "1", "2"], rows: ["0", "1", "2"], counts: [980, 12, 0, 1, 1100, 8, 0, 0, 0], shades: [NaN, 12, 0, 1, NaN, 8, 0, 0, NaN] };

test("cells of a heat map are named", () => {
  const view = heatMapView(map, read);
  view.plot = { x0: 0, y0: 0, x1: 300, y1: 300, upright: false, longest: 0 };
  const reading = view.at(150, 50);
  assert.deepEqual([reading.text, reading.px, reading.py], ["true 0, predicted 1: 12, 1.2 % of its row", 150, 50]);
  assert.equal(view.step(0, 1, false).text, "true 1, predicted 1: 1,100, 99.2 % of its row");
  assert.equal(view.step(Infinity, 0, false).text, "true 1, predicted 2: 8, 0.72 % of its row");
  assert.equal(view.step(0, 1, true).text, "true 2, predicted 2: 0", "a row without counts has no shares");
  assert.equal(view.at(301, 5), null);
  view.zoom(0, 0, 99);
  assert.equal(view.at(299, 299).text, "true 1, predicted 1: 1,100, 99.2 % of its row");
  view.drag([0, 0], [-9999, 0], false);
  assert.equal(view.at(299, 1).text, "true 0, predicted 2: 0, 0 % of its row");
  assert.match(view.step(0, 2, false).text, /^true 2/, "what is stepped to comes into view");
  assert.equal(view.shown.y, 1);
  view.reset();
  assert.deepEqual(view.table()[1], ["0", "980", "12", "0"]);
  assert.match(view.summary(), /highest count is 1,100, at true 1, predicted 1\./);
  assert.equal(heatMapView({ ...map, columns: [], rows: [], counts: [], shades: [] }, read).step(1, 0, false), null);
});

test("names and shares in words", () => {
  assert.deepEqual(withoutSameEnd("true class", "predicted class"), ["true", "predicted"]);
  assert.deepEqual(withoutSameEnd("class", "class"), ["class", "class"]);
  assert.deepEqual([percentOf(1, 8), percentOf(1, 3000), percentOf(5, 5), percentOf(0, 5), percentOf(0, 0)], ["12.5 %", "0.033 %", "100 %", "0 %", ""]);
});

test("images are read one by one", () => {
  const images = { width: 1, height: 1, pixels: "ink", columns: 2, captions: ["true 3,\npredicted 5", "", "c"], bytes: [0, 128, 255] };
  const view = imagesView(images, read);
  view.places = { pitchX: 50, pitchY: 40, wide: 20, high: 20, captionHeight: 14, top: 0, lines: [] };
  assert.equal(view.at(10, 10).text, "image 1 of 3: true 3, predicted 5");
  assert.equal(view.step(1, 0, false).text, "image 2 of 3: no caption");
  assert.equal(view.step(0, 1, false).text, "image 2 of 3: no caption", "there is none below");
  assert.equal(view.step(Infinity, 0, false).text, "image 3 of 3: c");
  assert.equal(view.at(60, 70), null, "an empty place");
  assert.deepEqual(view.table(), [["image", "caption"], ["1", "true 3, predicted 5"], ["2", "no caption"], ["3", "c"]]);
  const [light, dark] = [{ dark: false, paper: "#fff", ink: "#111" }, { dark: true, paper: "#000", ink: "#fff" }];
  assert.deepEqual([0, 2].flatMap((i) => [light, dark].map((theme) => pixelColor(images, images.bytes, i, theme)[0])), [255, 0, 0, 255]);
  assert.deepEqual(pixelColor({ pixels: "rgb" }, [1, 2, 3, 4, 5, 6], 1, light), [4, 5, 6]);
  const none = imagesView({ ...images, captions: [], bytes: [] }, read);
  assert.equal(none.step(1, 0, false), null);
});
