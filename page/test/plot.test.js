// What readers do with a plot, without a canvas: reading, stepping, zooming, switching, counting.
import assert from "node:assert/strict";
import { test } from "node:test";
import { PlotView } from "../plot.js";
import { studyOf } from "../study.js";
import { csvOf, tableOfAll } from "../save.js";

const axis = (label, scale = "linear", more = {}) => ({ label, scale, levels: [], ...more });
const numbers = (values) => ({ type: "f64", count: values.length, at: 0, values });
const read = (of) => of?.values ?? [];
const series = (label, mark, x, y, more = {}) => ({ label, mark, x: numbers(x), y: numbers(y), left_out: 0, of: y.length, name: "", members: [], ...more, ...(more.to ? { to: numbers(more.to) } : {}) });
let studies = 0;
const viewOf = (x, y, all, more = {}) => new PlotView({ x, y, series: all, rules: [], ...more }, read, studyOf(`test ${studies++}`));
const placed = (view, x, y) => view.placeOf(x, y, 0);

function lossView() {
  const epochs = [1, 2, 3, 4, 5];
  const members = [0, 1].map((seed) => series("", "thin", epochs, [2, 1.5, 1, 0.6 + seed / 10, 0.4], { name: `seed ${seed}` }));
  return viewOf(axis("epoch"), axis("loss", "log"), [
    series("SGD", "band", epochs, [1, 0.9, 0.8, 0.5, -1], { to: [3, 2, 1.5, 1, 0.9], color: 0 }),
    series("SGD", "line", epochs, [2, 1.5, 1, 0.65, 0.4], { color: 0, members }),
    series("Adam", "line", epochs, [2, 1, NaN, 0.1, 0.02], { color: 1, left_out: 1 }),
  ]);
}

test("a band without a label is that of the line which runs through it, and is switched with it", () => {
  const x = [1, 2, 3];
  const view = viewOf(axis("x"), axis("y"), [
    series("", "band", x, [0, 0, 0], { to: [1, 1, 1], color: 0 }),
    series("", "band", x, [5, 5, 5], { to: [7, 7, 7], color: 0 }),
    series("", "band", x, [8, 8, 8], { to: [9, 9, 9], color: 0 }),
    series("test", "dashed", x, [6, 6, 6], { color: 0 }),
    series("train", "line", x, [0.5, 0.5, NaN], { color: 0 }),
  ]);
  assert.deepEqual(view.curves.map((curve) => curve.label), ["train", "test", "", "test", "train"]);
  view.study.toggle("test");
  assert.deepEqual(view.shown().map((curve) => curve.mark), ["band", "band", "line"]);
  assert.match(view.at(...placed(view, 1, 0.5)).text, /^train: x 1, y 0.5000, band 0 to 1$/);
});

test("the nearest point is read, with its band and the others at the same x", () => {
  const view = lossView();
  const { text, rows } = view.at(...placed(view, 2.1, 1.5));
  assert.equal(text, "SGD: epoch 2, loss 1.500, band 0.9 to 2");
  assert.deepEqual(rows, [["epoch", "2"], ["SGD", "1.500"], ["band", "0.9 to 2"], ["Adam", "1"]]);
  assert.equal(view.cursor, 2);
});

test("steps skip what cannot be shown, and go to other curves at the same x", () => {
  const view = lossView();
  assert.match(view.step(1, 0, false).text, /^Adam: epoch 1,/);
  view.step(1, 0, false);
  assert.match(view.step(1, 0, false).text, /^Adam: epoch 4,/);
  assert.match(view.step(0, -1, false).text, /^SGD: epoch 4, loss 0.6500/);
  assert.match(view.step(Infinity, 0, false).text, /epoch 5/);
  assert.match(view.step(-1, 0, true).text, /epoch 1/);
});

test("seeds are read by name once they are shown, and switched by name", () => {
  const view = lossView();
  assert.equal(view.shown().length, 3);
  view.study.showSeeds(true);
  assert.equal(view.shown().length, 5);
  view.study.toggle("seed 1");
  assert.equal(view.shown().filter((curve) => curve.member).map((curve) => curve.title).join(), "SGD, seed 0");
  view.study.toggle("SGD");
  assert.deepEqual(view.shown().map((curve) => curve.title), ["Adam"]);
  view.study.only("SGD", ["SGD", "Adam"]);
  assert.ok(!view.study.shows("Adam") && view.study.shows("SGD"));
  view.study.only("SGD", ["SGD", "Adam"]);
  assert.ok(view.study.shows("Adam"));
});

test("zooming keeps its place, is never wider than all, and goes back", () => {
  const view = lossView();
  const [px, py] = placed(view, 3, 1);
  view.zoom(px, py, 4);
  const after = placed(view, 3, 1);
  assert.ok(view.isZoomed() && Math.hypot(after[0] - px, after[1] - py) < 1e-6);
  view.zoom(px, py, 1e-9);
  assert.ok(!view.isZoomed());
  for (let i = 0; i < 300; i++) view.zoom(px, py, 3);
  assert.ok(view.x.shown.hi > view.x.shown.lo && view.frame.x.ticks(8).length < 200);
  view.reset();
  view.select(placed(view, 2, 2), placed(view, 4, 0.5), true);
  assert.ok(Math.abs(view.frame.x.from(0) - 2) < 1e-9 && Math.abs(view.frame.x.from(1) - 4) < 1e-9);
  view.reset();
  assert.ok(!view.isZoomed());
});

test("scales are switched and switched back; what is not positive becomes symlog", () => {
  const view = lossView();
  assert.deepEqual(view.scaleOf("y"), { log: true });
  view.switchScale("y");
  assert.equal(view.axes[1].scale, "linear");
  view.switchScale("y");
  assert.equal(view.axes[1].scale, "log");
  const signed = viewOf(axis("x"), axis("y"), [series("", "line", [1, 2], [-5, 300])]);
  signed.switchScale("y");
  assert.deepEqual([signed.axes[1].scale, signed.axes[1].linear], ["symlog", -1]);
  assert.equal(viewOf(axis("x"), axis("y"), [series("", "line", [1, 2], [3, 3])]).scaleOf("y"), null);
});

test("a brush counts whole bars, or values over their rank", () => {
  const bars = viewOf(axis("eigenvalue", "symlog", { linear: -2 }), axis("eigenvalues", "log"), [series("", "bars", [-Infinity, -1, 0, 1], [2, 5, 900, 3], { to: [-1, 0, 1, 10] })]);
  bars.setCounting(true);
  assert.match(bars.select(placed(bars, 0.2, 10), placed(bars, 5, 10), true).text, /^903 of 910 eigenvalues from 0 to 10$/);
  assert.match(bars.step(-1, 0, false).text, /^900 of 910/);
  assert.match(bars.step(-1, 0, true).text, /^905 of 910 eigenvalues from −1 to 1$/);
  const ranks = viewOf(axis("rank"), axis("eigenvalue of ∇²L"), [series("largest", "points", [1, 2, 3], [9, 4, 1])]);
  ranks.setCounting(true);
  assert.match(ranks.select(placed(ranks, 1, 3), placed(ranks, 2, 9.1), true).text, /^2 of 3 eigenvalues of ∇²L from 3 to 9.1/);
  // Each curve by itself, and the one that is looked at alone.
  const several = [series("a", "points", [1, 2, 3], [9, 4, 1]), series("b", "points", [1, 2], [5, 2]), series("b", "thin", [1, 2], [5, 4])];
  const both = viewOf(axis("rank"), axis("eigenvalue"), several);
  both.setCounting(true);
  const read = both.select(placed(both, 1, 3), placed(both, 2, 9.1), true);
  assert.match(read.text, /^a: 2 of 3, b: 1 of 2 eigenvalues from 3 to 9.1/);
  assert.deepEqual(read.rows.slice(0, 2), [["a", "2 of 3"], ["b", "1 of 2"]]);
});

test("a slider over α moves the cursor of all curves, one over snapshots the paths", () => {
  const view = viewOf(axis("α"), axis("loss"), [series("train", "line", [0, 0.5, 1], [1, 2, 3])]);
  const [slider] = view.controls();
  slider.set(1);
  assert.deepEqual([slider.label, slider.max, slider.say(1), view.cursor], ["α", 2, "0.5", 0.5]);
  assert.deepEqual(view.valuesAtCursor(), [["train", "loss", "2"]]);
  const paths = viewOf(axis("1"), axis("2"), [series("a", "path", [0, 1, 2], [0, 1, 0]), series("b", "open_path", [0, 1], [0, 1])]);
  const [snapshots] = paths.controls();
  assert.deepEqual([snapshots.max, snapshots.get(), snapshots.say(0)], [2, 2, "1 of 3"]);
  snapshots.set(0);
  assert.equal(paths.snapshot, 0);
});

test("nothing, and what is not finite, is no trouble", () => {
  for (const all of [[], [series("", "line", [], [])], [series("n", "line", [1, 2], [NaN, Infinity])], [series("b", "band", [1], [NaN], { to: [2] })], [series("", "bars", [NaN], [1], { to: [2] })]]) {
    const view = viewOf(axis("x", "log"), axis("y", "log"), all);
    view.at(100, 100);
    for (const [dx, dy] of [[1, 0], [0, 1], [Infinity, 0]]) view.step(dx, dy, false);
    view.zoom(100, 100, 2);
    view.drag([10, 10], [40, 60]);
    view.reset();
    assert.ok(view.summary().length > 0 && view.table().length > 0);
  }
  assert.match(lossView().summary(), /1 point is not finite/);
});

test("a hundred thousand points are read at once", () => {
  const x = Array.from({ length: 100_000 }, (_, i) => i);
  const view = viewOf(axis("step"), axis("value"), [series("walk", "line", x, x.map((i) => Math.sin(i / 900)))]);
  const start = performance.now();
  for (let i = 0; i < 20; i++) view.at(60 + 15 * i, 120);
  assert.ok(performance.now() - start < 3000);
});

test("tables of one kind become one, and CSV quotes what it must", () => {
  const views = [lossView(), lossView()];
  const table = tableOfAll(views.map((view, index) => ({ view, title: "", index })));
  assert.deepEqual(table[0], ["panel", "series", "mark", "epoch", "loss", "to"]);
  assert.equal(table.length, 1 + 2 * 25);
  assert.equal(csvOf([['a "b"', "c,d", "</script>"]]), '"a ""b""","c,d",</script>\n');
});
