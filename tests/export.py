"""Tests of python/hw1_export.py, by hand: python tests/export.py (torch 2.11.0, transformers and safetensors)."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import torch

TOOL = pathlib.Path(__file__).resolve().parent.parent / "python" / "hw1_export.py"
MODELS = '''
import torch
from torch import nn
from torch.nn import functional as F

def make_model():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))

instance = make_model()

class Deep(nn.Module):
    def __init__(self, depth, width=4):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
    def forward(self, x):
        for layer in self.layers:
            x = torch.tanh(layer(x))
        return x

class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.lstm, self.head = nn.Embedding(20, 4), nn.LSTM(4, 4, 2, batch_first=True), nn.Linear(4, 3)
    def forward(self, ids):
        return self.head(self.lstm(self.embed(ids))[0][:, -1])

class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(20, 4), nn.Linear(4, 20, bias=False)
        self.head.weight = self.embed.weight
    def forward(self, ids):
        return self.head(self.embed(ids).cumsum(1))

class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)
    def forward(self, x, z):
        return {"extra": 1, "first": self.fc(x * z), "second": x}

class Pair(Deep):
    def forward(self, x):
        return super().forward(x), x

class Fixed(Deep):
    """A loop over the batch, which torch.export unrolls."""
    def forward(self, x):
        return torch.stack([super(Fixed, self).forward(v) for v in x])

class Random(Deep):
    def forward(self, x):
        return super().forward(F.dropout(x))

class Branch(Deep):
    def forward(self, x):
        return super().forward(x) if x.sum() > 0 else x

def gpt():
    from transformers import GPT2Config, GPT2LMHeadModel
    return GPT2LMHeadModel(GPT2Config(vocab_size=24, n_embd=8, n_layer=1, n_head=2, n_positions=16))

def bert():
    from transformers import BertConfig, BertForSequenceClassification
    return BertForSequenceClassification(BertConfig(vocab_size=24, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=12, num_labels=3))

def nothing():
    return 3
'''


class Export(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "nets.py").write_text(MODELS)
        sys.path.insert(0, folder.name)
        sys.modules.pop("nets", None)
        import nets
        sys.path.pop(0)
        self.nets = nets

    def run_tool(self, *arguments):
        environment = {**os.environ, "PATH": os.path.dirname(sys.executable)}  # without an hw1
        done = subprocess.run([sys.executable, TOOL, *map(str, arguments)], cwd=self.folder, capture_output=True, text=True, env=environment)
        self.assertNotIn("Traceback", done.stderr)
        return done

    def exported(self, *arguments, x, expected):
        """The output of a run that succeeds, whose program gives `expected` for x."""
        done = self.run_tool(*arguments, "-o", "out.pt2")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        program = torch.export.load(self.folder / "out.pt2")
        torch.testing.assert_close(program.module()(*x), expected)
        self.program = program
        return done.stdout

    def refused(self, text, *arguments):
        done = self.run_tool(*arguments, "-o", "out.pt2")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn(text, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertFalse((self.folder / "out.pt2").exists())

    def saved(self, model, rename=lambda n: n, wrap=lambda s: s, name="model.pth"):
        torch.save(wrap({rename(n): v for n, v in model.state_dict().items()}), self.folder / name)
        return name

    def test_a_small_cnn_and_its_weights(self):
        model, x = self.nets.make_model().eval(), torch.randn(7, 3, 8, 8)
        for spec in ["nets.py:make_model", "nets:make_model", "nets.py:instance"]:
            said = self.exported(spec, "--weights", self.saved(model), "--input", "1,3,8,8", x=[x], expected=model(x))
            self.assertIn("a batch of 3", said)
            self.assertIn("next: hw1 analyse --check out.pt2", said)
        self.exported("nets:make_model", "--weights", "model.pth", "--input", "1,3,8,8", x=[x[:1]], expected=model(x[:1]))

    def test_prefixes_and_wrappings(self):
        model, x = self.nets.Deep(2).eval(), torch.randn(5, 4)
        for rename in [lambda n: "module." + n, lambda n: "module._orig_mod." + n, lambda n: "model." + n, lambda n: "_orig_mod.module.model." + n]:
            for wrap in [lambda s: s, lambda s: {"state_dict": s, "epoch": 3}, lambda s: {"model": s}, lambda s: {"model_state_dict": s, "optimizer": {}}]:
                self.saved(model, rename, wrap)
        for rename, wrap in [(lambda n: "module." + n, lambda s: s), (lambda n: "module._orig_mod." + n, lambda s: {"state_dict": s, "epoch": 3}),
                             (lambda n: "_orig_mod.module.model." + n, lambda s: {"model": s}), (lambda n: "model." + n, lambda s: {"model_state_dict": s})]:
            name = self.saved(model, rename, wrap)
            self.exported("nets.py:Deep", "--kwargs", '{"depth": 2}', "--weights", name, "--input", "1,4", x=[x], expected=model(x))

    def test_safetensors_both_ways(self):
        from safetensors.torch import load_file, save_file
        model, x = self.nets.make_model().eval(), torch.randn(2, 3, 8, 8)
        save_file(model.state_dict(), self.folder / "model.safetensors", metadata={"format": "pt"})
        self.exported("nets.py:make_model", "--weights", "model.safetensors", "--input", "1,3,8,8", "--safetensors", "again.safetensors", x=[x], expected=model(x))
        again = load_file(self.folder / "again.safetensors")
        self.assertEqual(set(again), set(model.state_dict()))
        for name, tensor in model.state_dict().items():
            self.assertEqual(again[name].dtype, tensor.dtype)
            torch.testing.assert_close(again[name], tensor)

    def test_tied_weights_once_or_twice(self):
        from safetensors.torch import save_file
        model, ids = self.nets.Tied().eval(), torch.randint(20, (3, 6))
        self.exported("nets.py:Tied", "--weights", self.saved(model), "--input", "1,6:int64", x=[ids], expected=model(ids))
        save_file({"embed.weight": model.embed.weight.detach()}, self.folder / "tied.safetensors")
        self.exported("nets.py:Tied", "--weights", "tied.safetensors", "--input", "1,6:int64", x=[ids], expected=model(ids))

    def test_transformers(self):
        ids = torch.randint(24, (5, 6))
        for name in ["gpt", "bert"]:
            model = getattr(self.nets, name)().eval()
            said = self.exported(f"nets.py:{name}", "--weights", self.saved(model), "--input", "1,6:int64", x=[ids], expected=model(ids).logits)
            self.assertIn("outputs: logits", said)
            self.assertEqual(set(dict(self.program.named_parameters())) - set(model.state_dict()), set())

    def test_an_lstm(self):
        model, ids = self.nets.Lstm().eval(), torch.randint(20, (5, 6))
        self.exported("nets.py:Lstm", "--weights", self.saved(model), "--input", "1,6:int64:20", x=[ids], expected=model(ids))

    def test_half_precision_stays(self):
        for kind in [torch.bfloat16, torch.float16]:
            model, x = self.nets.Deep(2).to(kind).eval(), torch.randn(5, 4).to(kind)
            self.exported("nets.py:Deep", "--kwargs", '{"depth": 2}', "--weights", self.saved(model), "--input", "1,4", x=[x], expected=model(x))
            self.assertEqual({v.dtype for v in self.program.state_dict.values()}, {kind})

    def test_outputs_and_inputs(self):
        model, x = self.nets.Two().eval(), [torch.randn(5, 4), torch.randn(5, 4)]
        said = self.exported("nets.py:Two", "--weights", self.saved(model), "--input", "1,4", "--input", "1,4", x=x, expected=model(*x)["first"])
        self.assertIn("2 inputs; hw1 gives a model one", said)
        model = self.nets.Pair(1).eval()
        said = self.exported("nets.py:Pair", "--kwargs", '{"depth": 1}', "--weights", self.saved(model), "--input", "1,4", x=x[:1], expected=model(x[0])[0])
        self.assertIn("outputs: 0 of several", said)

    def test_a_batch_that_cannot_be_left_open(self):
        model, x = self.nets.Fixed(1).eval(), torch.randn(4, 4)
        said = self.exported("nets.py:Fixed", "--kwargs", '{"depth": 1}', "--weights", self.saved(model), "--input", "4,4", x=[x], expected=model(x))
        self.assertIn("the batch is fixed to 4", said)

    def test_mistakes(self):
        deep, weights = ("nets.py:Deep", "--kwargs", '{"depth": 2}'), self.saved(self.nets.Deep(2))
        self.refused("without a weight: layers.2.weight, layers.2.bias", "nets.py:Deep", "--kwargs", '{"depth": 3}', "--weights", weights, "--input", "1,4")
        self.refused("not in the model: layers.1.weight", "nets.py:Deep", "--kwargs", '{"depth": 1}', "--weights", weights, "--input", "1,4")
        self.refused("layers.0.weight is [4, 4], the model's [5, 5]", "nets.py:Deep", "--kwargs", '{"depth": 2, "width": 5}', "--weights", weights, "--input", "1,5")
        self.refused("There is no file none.pth", *deep, "--weights", "none.pth", "--input", "1,4")
        self.refused("There is no file no.py", "no.py:Deep", "--input", "1,4")
        self.refused("has no Deeper", "nets.py:Deeper", "--input", "1,4")
        self.refused("cannot be imported: ModuleNotFoundError", "no_such_module:Deep", "--input", "1,4")
        self.refused("does not say which model", "nets.py", "--input", "1,4")
        self.refused("Deep() failed: TypeError", "nets.py:Deep", "--input", "1,4")
        self.refused("is no object in JSON", "nets.py:Deep", "--kwargs", "depth=2", "--input", "1,4")
        self.refused("gives no nn.Module, but a int", "nets.py:nothing", "--input", "1,4")
        self.refused("is no shape", *deep, "--input", "1x4")
        self.refused("is no shape", *deep, "--input", "1,4:integer")
        self.refused("does not take inputs of [1, 5] float32", *deep, "--input", "1,5")
        self.refused("draws random numbers", "nets.py:Random", "--kwargs", '{"depth": 1}', "--input", "1,4")
        self.refused("cannot export this model", "nets.py:Branch", "--kwargs", '{"depth": 1}', "--input", "1,4")
        (self.folder / "bad.safetensors").write_bytes(b"\\xff" * 30)
        self.refused("is no .safetensors", *deep, "--weights", "bad.safetensors", "--input", "1,4")
        (self.folder / "bad.pth").write_bytes(b"nothing")
        self.refused("cannot be loaded as plain weights", *deep, "--weights", "bad.pth", "--input", "1,4")
        torch.save(self.nets.Deep(2), self.folder / "whole.pth")
        self.refused("cannot be loaded as plain weights", *deep, "--weights", "whole.pth", "--input", "1,4")
        torch.save({"epoch": 3}, self.folder / "empty.pth")
        self.refused("holds no state dict", *deep, "--weights", "empty.pth", "--input", "1,4")

    def test_hw1_has_the_last_word(self):
        hw1 = self.folder / "hw1"
        hw1.write_text("#!/bin/sh\necho \"asked: $*\"\nexit 3\n")
        hw1.chmod(0o755)
        done = self.run_tool("nets.py:Deep", "--kwargs", '{"depth": 1}', "--input", "1,4", "--hw1", hw1)
        self.assertEqual(done.returncode, 3)
        self.assertIn("asked: analyse --check model.pt2", done.stdout)


if __name__ == "__main__":
    unittest.main()
