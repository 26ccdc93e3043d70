"""hw1.open: a run directory as Python has it."""
import hashlib
import json
import math
import os
import pathlib
import struct
import subprocess
import sys
import unittest
from unittest import mock

from support import ROOT, Folder, hw1, needs, needs_binary, smoke_run


def without(*names):
    """As if these libraries were not installed."""
    return mock.patch.dict(sys.modules, {name: None for name in names})


def metrics(**fields):
    """metrics.json of one trial, as the binary writes it."""
    whole = {"schema": 1, "experiment": "made", "folder": "made", "settings": {"epochs": 3}, "provenance": {"preset": "smoke"},
             "trials": [{"label": "a", "seed": 0, "fingerprint": "f" * 24, "parameters": 5, "scalars": {"loss": 0.5, "bad": None},
                         "series": {"train_loss": [1.0, None, 0.25]}, "non_finite": 2}],
             "failures": [], "table": {"columns": ["x"], "rows": [["1"]], "notes": []}, "summary": {}, "figures": [], "claims": [], "files": {}, **fields}
    text = json.dumps(whole).encode()
    return text[:-1] + b',"sha256":"' + hashlib.sha256(text).hexdigest().encode() + b'"}\n'


def safetensors(tensors, change=lambda header: header, tail=b""):
    """A file of {name: (dtype, shape, bytes)}."""
    header, data = {}, b""
    for name, (kind, shape, raw) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(change(header)).encode()
    return struct.pack("<Q", len(text)) + text + data + tail


class Made(Folder):
    """Of files that a test writes itself: no binary is needed."""

    def study(self, data=None, name="made"):
        folder = pathlib.Path("run", name)
        (folder / "trials").mkdir(parents=True, exist_ok=True)
        (folder / "metrics.json").write_bytes(metrics() if data is None else data)
        return hw1.open("run")[name]

    def with_weights(self, data, name=None):
        study, digest = self.study(), hashlib.sha256(data).hexdigest()
        trials = study.path / "trials"
        (trials / f"{'f' * 24}.json").write_text(json.dumps({"schema": 1, "weights_sha256": digest}))
        (trials / (name or f"{'f' * 24}.{digest[:16]}.safetensors")).write_bytes(data)
        return study

    def test_numbers_need_no_library(self):
        study = self.study()
        with without("pandas", "polars", "numpy"):
            [record] = study.metrics_records()
            self.assertEqual([record["study"], record["trial"], record["seed"], record["parameters"], record["loss"]], ["made", "a", 0, 5, 0.5])
            self.assertTrue(math.isnan(record["bad"]))
            curves = study.curves_records()
            self.assertEqual([(c["metric"], c["step"]) for c in curves], [("train_loss", 0), ("train_loss", 1), ("train_loss", 2)])
            self.assertEqual([curves[0]["value"], curves[2]["value"]], [1.0, 0.25])
            self.assertTrue(math.isnan(curves[1]["value"]))
            error = self.refused("pandas or polars", lambda: study.metrics, kind=hw1.MissingLibraryError)
            self.assertIsInstance(error, ImportError)
            self.refused("curves_records()", lambda: study.curves)

    def test_what_is_no_run(self):
        self.refused("nothing does not exist", hw1.open, "nothing")
        pathlib.Path("file").write_text("")
        self.refused("is no folder, but a file", hw1.open, "file")
        pathlib.Path("runs/empty").mkdir(parents=True)
        self.refused("runs/empty holds no studies", hw1.open, "runs/empty")
        self.study()
        self.refused("run is one", hw1.open, ".")

    def test_a_study_by_its_own_folder(self):
        self.study()
        self.study(name="other")
        run = hw1.open("run/made")
        self.assertEqual([list(run), run.study.name, run.path], [["made"], "made", pathlib.Path("run")])
        os.chdir("run/made")
        self.assertEqual(list(hw1.open(".")), ["made"])

    def test_a_study_without_results(self):
        self.study()
        pathlib.Path("run/begun/trials").mkdir(parents=True)
        run = hw1.open("run")
        self.refused("begun has no results yet", lambda: run["begun"].claims)
        self.assertIn("begun has no results yet", repr(run))
        self.assertIn("begun has no results yet", run._repr_html_())
        self.assertEqual(run["made"].missing, 0)

    def test_damaged_metrics(self):
        whole = metrics()
        for data in [b"", whole[: len(whole) // 2], whole[:-3], whole.replace(b"0.5", b"0.6"), b"[]", b"{}", b'{"schema": 1', b"\xff\xfe",
                     whole.replace(b'"schema": 1', b'"schema": 9'), b'{"schema": 2}', b'{"schema": 1, "trials": 3}', b"[" * 100000]:
            study = self.study(data)
            self.refused("metrics.json", lambda: study.trials)
            self.assertIn("metrics.json", repr(hw1.open("run")))
        # Whole by its digest, and yet not what it should be.
        for fields, call in [({"trials": [{"label": "a"}]}, "trials"), ({"figures": [{"name": "../x"}]}, "figures"), ({"claims": 3}, "claims")]:
            study = self.study(metrics(**fields))
            self.refused("is damaged", lambda: getattr(study, call))
        # An older version wrote no digest.
        self.assertEqual(self.study(json.dumps(json.loads(whole) | {"sha256": None}).encode()).trials[0].label, "a")

    def test_names_that_are_not_there(self):
        self.study()
        self.study(name="other")
        run = hw1.open("run")
        self.refused("none is no study of run; there are: made, other", lambda: run["none"], kind=KeyError)
        self.assertIsNone(run.get("none"))
        self.assertNotIn("none", run)
        self.refused("say which", lambda: run.study)
        self.refused("no trial of seed 7; its seeds are 0", run["made"].weights, seed=7)
        self.refused("no trial b of seed 0; there are: a", run["made"].weights, label="b")
        self.refused("there are: none", lambda: run.figures["x"])
        self.refused("no claim", lambda: run.claims["x"])

    def test_weights(self):
        f32 = struct.pack("<6f", *range(6))
        tensors = {"final.w": ("F32", [2, 3], f32), "n": ("I64", [], struct.pack("<q", -7)), "half": ("BF16", [2], struct.pack("<2H", 0x3F80, 0xC000)),
                   "f16": ("F16", [1], struct.pack("<e", 0.5)), "empty": ("F64", [0, 4], b""), "yes": ("BOOL", [2], b"\x01\x00")}
        data = safetensors(tensors, lambda header: {"__metadata__": {"note": "x"}, **header})
        for name in [None, f"{'f' * 24}.safetensors"]:  # the second is an older version's
            study = self.with_weights(data, name)
            with without("numpy"):
                weights = study.weights()
            self.assertEqual(weights["final.w"].tolist(), [[0, 1, 2], [3, 4, 5]])
            self.assertEqual([weights["final.w"].shape, weights["n"].tolist()], [(2, 3), -7])
            self.assertEqual([weights["half"].tolist(), weights["f16"].tolist(), weights["yes"].tolist()], [[1, -2], [0.5], [True, False]])
            self.assertEqual(list(weights), list(tensors))
            weights["final.w"][1, 2] = 9  # is a copy of its own
            for file in study.path.glob("trials/*.safetensors"):
                file.unlink()

    @needs("numpy")
    def test_weights_as_arrays(self):
        study = self.with_weights(safetensors({"w": ("F32", [2, 3], struct.pack("<6f", *range(6))), "h": ("BF16", [1], struct.pack("<H", 0x3F80)),
                                               "e": ("F64", [0, 4], b"")}))
        weights = study.weights()
        self.assertEqual([str(weights[n].dtype) for n in "whe"], ["float32", "float32", "float64"])
        self.assertEqual([weights["w"].tolist(), weights["h"].tolist(), weights["e"].shape], [[[0, 1, 2], [3, 4, 5]], [1], (0, 4)])
        weights["w"][0, 0] = 5

    def test_damaged_weights(self):
        data = safetensors({"w": ("F32", [2], bytes(8)), "v": ("F32", [1], bytes(4))})
        study = self.with_weights(data)
        [file] = study.path.glob("trials/*.safetensors")
        for cut in [data[:-1], data[:20], b"", data + b"x", data[:-1] + b"\x01"]:
            file.write_bytes(cut)
            self.refused("is not what its record names", study.weights)
        file.unlink()
        self.refused("cannot be read", study.weights)
        record = study.path / "trials" / f"{'f' * 24}.json"
        for text, says in [("{", "is damaged"), ('{"weights_sha256": "../../x"}', "no SHA-256"), ("{}", "keeps no weights")]:
            record.write_text(text)
            self.refused(says, study.weights)
        record.unlink()
        self.refused("cannot be read", study.weights)

    def test_weights_that_say_other_than_they_are(self):
        one = {"w": ("F32", [2], bytes(8))}

        def changed(**fields):
            return safetensors(one, lambda header: {"w": {**header["w"], **fields}})
        bad = [b"1234567", struct.pack("<Q", 1 << 60) + b"{}", struct.pack("<Q", 2) + b"[]", struct.pack("<Q", 2) + b"{x",
               changed(shape=[3]), changed(shape=[-2]), changed(shape=[2.0]), changed(shape=[True, 2]), changed(shape=None), changed(dtype="F8"),
               changed(dtype=["F32"]), changed(data_offsets=[0, 4]), changed(data_offsets=[4, 12]), changed(data_offsets=[8, 0]),
               changed(data_offsets=[0]), changed(data_offsets=[0, "8"]), safetensors(one, tail=b"1"),
               safetensors(one, lambda header: {"w": 3}), safetensors(one, lambda header: {**header, "v": header["w"]})]
        for data in bad:  # each whole by its digest
            self.refused("is no .safetensors that can be read", self.with_weights(data).weights)

    def test_claims(self):
        claim = {"id": "c", "statement": "It falls <b>.", "verdict": "supported", "detail": "In 5 of 5.", "evidence": {"n": 5}, "effect_of": "slope",
                 "effect": -2.0, "interval": [-3.0, None], "n": 5, "figure": "old", "points": [{"case": "seed 0"}]}
        study = self.study(metrics(claims=[claim, {**claim, "id": "d", "effect": None, "interval": None, "figures": ["new"]}]))
        first, second = study.claims
        self.assertEqual([first.study, first.verdict, first.effect, first.n, first.figures], ["made", "supported", -2.0, 5, ("old",)])
        self.assertEqual(first.interval[0], -3.0)
        self.assertTrue(math.isnan(first.interval[1]))
        self.assertEqual([second.effect, second.interval, second.figures], [None, None, ("new",)])
        self.assertIs(study.claims["d"], second)
        self.assertEqual(len(study.claims[:1]), 1)
        self.assertIn("It falls &lt;b&gt;.", study.claims._repr_html_())
        self.assertIn("supported  made: It falls", repr(study.claims))

    def test_importing_takes_nothing_along(self):
        code = "import sys; before = set(sys.modules); import hw1; print(*(set(sys.modules) - before))"
        done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT / "python")})
        self.assertLessEqual(set(done.stdout.split()), {"hw1", "hw1._errors", "hw1._binary", "__future__"})
        self.assertRegex(hw1.__version__, r"^\d+\.\d+\.\d+$")
        self.assertEqual([name for name in hw1.__all__ if not hasattr(hw1, name)], [])


@needs_binary
class Real(Folder):
    """Of a run that the binary has made."""

    def setUp(self):
        super().setUp()
        self.run_dir = smoke_run(self.folder / "a run")
        self.run_ = hw1.open(self.run_dir)

    def test_what_is_in_it(self):
        run = self.run_
        self.assertEqual(list(run), ["min-ratio", "simulate-sign-sin", "simulate-sin-sq"])
        study = run["simulate-sin-sq"]
        self.assertEqual([study.experiment, study.settings["function"], study.settings["preset"]], ["simulate", "sin-sq", "smoke"])
        self.assertEqual(run.settings["simulate-sin-sq"], study.settings)
        self.assertEqual({(t.label, t.seed) for t in study.trials}, {(f"DNN_{n}", seed) for n in [1, 2, 3] for seed in [0, 1]})
        self.assertIn("train_loss", study.trials[0].series)
        self.assertEqual(len(run.metrics_records()), sum(len(s.trials) for s in run.studies))
        self.assertEqual([c.study for c in run.claims[-1:]], ["simulate-sin-sq"])
        self.refused("simulate is several studies", lambda: run["simulate"])
        self.assertIn("DNN_1", str(study.table))
        self.assertIn("2361", study._repr_html_())
        self.assertEqual(hw1.open(self.run_dir), run)

    def test_settings_are_those_of_the_file(self):
        try:
            import tomllib
        except ImportError:
            self.skipTest("Python 3.10 has no tomllib")
        for study in self.run_.studies:
            said = tomllib.loads((study.path / "settings.toml").read_text())
            self.assertEqual(dict(study.settings), {"function": study.settings.get("function"), **said} if "function" in study.settings else said)

    def test_numbers_are_those_of_the_csv(self):
        import csv
        for study in self.run_.studies:
            with open(study.path / "metrics.csv", newline="") as file:
                rows = {(r["trial"], r["seed"], r["metric"], r["step"]): float(r["value"]) for r in csv.DictReader(file)}
            own = {(r["trial"], str(r["seed"]), r["metric"], str(r["step"])): r["value"] for r in study.curves_records()}
            for record in study.metrics_records():
                own.update({(record["trial"], str(record["seed"]), key, ""): value for key, value in record.items()
                            if key not in ("study", "trial", "seed", "fingerprint")})
            self.assertEqual(set(own), set(rows))
            for key, value in own.items():
                self.assertTrue(value == rows[key] or not math.isfinite(rows[key]), key)

    def test_weights(self):
        weights = self.run_["simulate-sin-sq"].weights(seed=1, label="DNN_3")
        self.assertEqual(tuple(weights["final.fc1.weight"].shape), (20, 1))
        self.assertEqual({name.partition(".")[0] for name in weights}, {"initial", "final"})
        self.refused("say which, as label='DNN_1'", self.run_["simulate-sin-sq"].weights)
        self.refused("say which", self.run_.weights)
        [file] = list((self.run_dir / "min-ratio" / "trials").glob("*.safetensors"))[:1]
        file.write_bytes(file.read_bytes()[:-4])
        seeds = {trial.seed for trial in self.run_["min-ratio"].trials if file.name.startswith(trial.fingerprint)}
        self.refused("is not what its record names", self.run_["min-ratio"].weights, seed=seeds.pop())

    @needs("pandas")
    def test_pandas(self):
        import pandas
        frame = self.run_.metrics
        self.assertIsInstance(frame, pandas.DataFrame)
        self.assertEqual(len(frame), len(self.run_.metrics_records()))
        self.assertEqual(list(self.run_.curves.columns), ["study", "trial", "seed", "metric", "step", "value"])
        self.assertEqual(len(self.run_.claims.frame), len(self.run_.claims))
        self.assertEqual(str(self.run_["min-ratio"].metrics["smallest_eigenvalue"].dtype), "float64")

    @needs("polars")
    def test_polars(self):
        import polars
        with without("pandas"):
            self.assertIsInstance(self.run_.metrics, polars.DataFrame)
            self.assertEqual(self.run_.curves.height, len(self.run_.curves_records()))
            self.assertEqual(self.run_.claims.frame.height, len(self.run_.claims))

    def test_figures(self):
        figures = self.run_.figures
        self.assertIn("min-ratio/eigenvalues", figures)
        figure = figures["eigenvalues"]
        self.assertIs(figure, self.run_["min-ratio"].figures["eigenvalues"])
        picture, about = figure._repr_png_()
        self.assertEqual(picture[:8], b"\x89PNG\r\n\x1a\n")
        self.assertGreater(about["width"], 100)
        self.assertIn("<svg", figure._repr_svg_())
        self.assertTrue(figure.data)
        self.refused("is a figure of several studies", lambda: figures["target"])
        figure.path.unlink()
        self.refused("cannot be read", figure._repr_png_)
        self.assertIn("cannot be read", self.run_._repr_html_())

    def test_a_run_in_a_notebook(self):
        text = self.run_._repr_html_()
        self.assertIn("data:image/png;base64,", text)
        self.assertLess(len(text), 2_000_000)
        for claim in self.run_.claims:
            self.assertIn(claim.verdict, text)
        self.assertIn("report.html", text)
        self.assertIn("srcdoc", self.run_.page._repr_html_())
        self.assertIn("a%20run/report.html", text)
        (self.run_dir / "report.html").unlink()
        self.assertNotIn("report.html", self.run_._repr_html_())
        self.refused("has no page yet", lambda: self.run_.page)


if __name__ == "__main__":
    unittest.main()
