"""hw1.export and hw1.analyse: models and data in memory."""
import pathlib
import unittest
import warnings
from unittest import mock

from support import Folder, hw1, needs, needs_binary, quietly

try:
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset
except ImportError:
    torch = None


class Without(Folder):
    def test_no_torch(self):
        with mock.patch.dict("sys.modules", {"torch": None}):
            from hw1 import _export
            _export.torch.cache_clear()
            self.addCleanup(_export.torch.cache_clear)
            self.refused("pip install 'torch==2.11.*'", hw1.export, object(), [[1.0]], kind=hw1.MissingLibraryError)

    def test_arguments(self):
        self.refused("stands before the flags", hw1.analyse, "x.pt2", "x.npz", kind=hw1.UsageError, dataset="y")
        self.refused("test goes with data in memory", hw1.analyse, "x.pt2", "x.npz", kind=hw1.UsageError, test=([1], [1]))
        self.refused("example is missing", hw1.analyse, object(), "mnist", kind=hw1.UsageError)
        self.refused("empty mapping", hw1.analyse, "x.pt2", {}, kind=hw1.UsageError)


def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3))


@needs("torch")
class Export(Folder):
    def test_a_model_stays_as_it_was(self):
        model = small().train()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        random = torch.get_rng_state()
        x = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(1))
        path = hw1.export(model, x[:1], self.folder / "net.pt2")
        self.assertEqual([path, model.training, type(model).__name__], [self.folder / "net.pt2", True, "Sequential"])
        self.assertTrue(torch.equal(random, torch.get_rng_state()))
        for name, value in model.state_dict().items():
            self.assertTrue(torch.equal(value, before[name]), name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.load(path).module()
        torch.testing.assert_close(program(x), model.eval()(x))

    def test_examples(self):
        class Tokens(nn.Module):
            def __init__(self):
                super().__init__()
                self.embed, self.head = nn.Embedding(20, 4), nn.Linear(4, 3)

            def forward(self, ids):
                return self.embed(ids).mean(1), self.head(self.embed(ids).mean(1))
        hw1.export(Tokens(), torch.tensor([[1, 19, 3]]), "tokens.pt2")
        hw1.export(nn.Linear(2, 1), [[1.0, 2.0]], "linear.pt2")  # lists are of float64, the weights are not
        hw1.export(nn.DataParallel(nn.Linear(2, 1)), torch.zeros(1, 2), "parallel.pt2")

    def test_a_fixed_batch_is_warned_of(self):
        class Fixed(nn.Linear):
            def forward(self, x):
                return torch.stack([super(Fixed, self).forward(v) for v in x])
        with self.assertWarnsRegex(UserWarning, "the batch is fixed to 4, that of the example"):
            hw1.export(Fixed(2, 1), torch.zeros(4, 2), "fixed.pt2")

    def test_mistakes(self):
        model, x = nn.Linear(2, 1), torch.zeros(1, 2)
        self.refused("is no torch.nn.Module, but of type int", hw1.export, 3, x)
        self.refused("must end in .pt2", hw1.export, model, x, "model.pt")
        self.refused("no folder none", hw1.export, model, x, "none/model.pt2")
        self.refused("does not take inputs of [1, 3] float32", hw1.export, model, torch.zeros(1, 3))
        self.refused("is no tensor", hw1.export, model, "text")
        self.refused("with its batch first", hw1.export, model, torch.zeros(0, 2))
        self.refused("the example is empty".capitalize(), hw1.export, model, ())
        self.refused("draws random numbers", hw1.export, type("R", (nn.Module,), {"forward": lambda self, x: x + torch.rand(())})(), x)
        self.assertEqual(list(pathlib.Path().glob("*.pt2")), [])


@needs("torch")
@needs_binary
class Analyse(Folder):
    def setUp(self):
        super().setUp()
        generator = torch.Generator().manual_seed(2)
        self.x, self.y = torch.randn(60, 1, 8, 8, generator=generator), torch.arange(60) % 3
        hw1.export(small(), self.x[:2], "net.pt2")

    def analyse(self, data, **flags):
        return quietly(hw1.analyse, "net.pt2", data, measure="accuracy", out="out", **flags)[0].study

    def test_the_same_data_in_any_form_are_the_same_trial(self):
        whole = TensorDataset(self.x, self.y)
        forms = [whole, DataLoader(whole, 7), DataLoader(whole, 8, shuffle=True), (self.x, self.y), [self.x, self.y.int()],
                 [(x, y) for x, y in zip(self.x, self.y.tolist())], DataLoader([(x, y) for x, y in zip(self.x, self.y)], 7, shuffle=True),
                 {"x": self.x, "y": self.y}, (self.x.tolist(), self.y.tolist())]
        if hasattr(self.x, "numpy"):
            try:
                forms.append((self.x.numpy(), self.y.numpy()))
            except RuntimeError:
                pass  # torch without numpy
        found = [self.analyse(form).trials[0] for form in forms]
        self.assertEqual({trial.fingerprint for trial in found}, {found[0].fingerprint})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = torch.export.load("net.pt2").module()
        right = (model(self.x).argmax(1) == self.y).double().mean().item()
        self.assertAlmostEqual(found[0].scalars["train_accuracy"], right)

    def test_a_model_in_memory(self):
        study = quietly(hw1.analyse, small(), TensorDataset(self.x, self.y), measure=["accuracy", "gradient"], out="out", samples=30)[0].study
        self.assertEqual([study.name, [t.label for t in study.trials]], ["analyse-Sequential", ["accuracy", "gradient"]])
        study = quietly(hw1.analyse, "net.pt2", (self.x, self.y), measure="accuracy", out="out", weights=small().state_dict())[0].study
        self.assertEqual(study.name, "analyse-net")

    def test_test_data(self):
        study = self.analyse((self.x, self.y), test=DataLoader(TensorDataset(self.x[:20], self.y[:20]), 6))
        self.assertIn("test_accuracy", study.trials[0].scalars)

    def test_mistakes(self):
        for text, data in [("which are not as many", (self.x, self.y[:3])), ("is of type int", 3), ("gives no pairs", DataLoader(self.x, 3)),
                           ("tensors a sample", TensorDataset(self.x)), ("no array of numbers", (["a", "b"], [0, 1])), ("is empty", [])]:
            self.refused(text, hw1.analyse, "net.pt2", data)
        self.refused("does not take inputs", hw1.analyse, small(), (self.x.flatten(1), self.y))


if __name__ == "__main__":
    unittest.main()
