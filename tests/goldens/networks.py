"""Golden numbers of whole networks of torch.export. Writes networks/NAME.pt2 and networks/NAME.json beside this script.

    python networks.py [NAME ...]        (torch 2.11.0, transformers 5; any venv outside the repository)

A dozen small networks of the kinds that people bring (PyTorch's initial weights at seed 0, norms' statistics after three
batches, eval mode, a dynamic batch), and traps: see `traps`. The .pt2 are PyTorch's own files; the descriptions of nodes
(stack traces, modules), which make up most of them, are left out of all but resnet's.

    x, y        tensors as in operators.json: 8 samples, labels (of every place where the outputs are [n, places, classes])
    parameters  {name: shape} of those that take a gradient, tied ones once, under their first name
    outputs     for x
    loss, accuracy, gradient_norm, gradient (flat, in the order of `parameters`), curvature_along_gradient g·Hg/‖g‖²
    hessian, gauss_newton   (resnet and transformer_encoder) all eigenvalues, ascending, and the trace, of dense matrices
    refused     (traps) what the program must be refused for, by name; x and y are there all the same. `train` is run as an
                evaluation all the same, `no_second` but for its curvature

Loss: mean cross entropy. Numbers to 11 digits. All oracles are of pure float64, as in hw1's --precision float64, which
turns float32's casts, constants and dtype arguments into float64: the module is that of model.double(), and while it runs,
the default type and every float32 in a call (`.float()`, `.to(torch.float32)`, dtype=torch.float32, as in RMSNorm and
rotary embeddings) is float64; see `Double` in operators.py. Attention and hardsigmoid by their plain formulas, which have
second derivatives. Every program is run in the same way, node by node, and must give the module's outputs to 1e-12;
gradient norm and curvature must agree with differences of the loss along the gradient (but no_grad's, by its nature).
"""
import json
import os
import sys
import warnings

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import operators as o  # puts Python's own `statistics` before ours

import torch
from torch import nn
from torch.nn import functional as F

warnings.filterwarnings("ignore")
OUT = os.path.join(HERE, "networks")
f32, f64 = torch.float32, torch.float64
VOCABULARY, PLACES, CLASSES = 24, 6, 5


class Kan(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = nn.Parameter(torch.randn(CLASSES, 6, 5) / 4)
        self.register_buffer("grid", torch.linspace(-1, 1, 5))

    def forward(self, x):
        return torch.einsum("nik,oik->no", torch.exp(-((x[..., None] - self.grid) * 2) ** 2), self.c)


class Siren(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 12), nn.Linear(12, CLASSES)

    def forward(self, x):
        return self.b(torch.sin(3 * self.a(x)))


class Gru(nn.Module):
    def __init__(self, kind=nn.GRU):
        super().__init__()
        self.embed, self.rnn, self.head = nn.Embedding(VOCABULARY, 4), kind(4, 4, batch_first=True, bidirectional=True), nn.Linear(8, CLASSES)

    def forward(self, ids):
        return self.head(self.rnn(self.embed(ids))[0].mean(1))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True, norm_first=True)
        self.embed, self.encoder, self.head = nn.Embedding(VOCABULARY, 8), nn.TransformerEncoder(layer, 2), nn.Linear(8, CLASSES)

    def forward(self, ids):
        return self.head(self.encoder(self.embed(ids)).mean(1))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.InstanceNorm2d(4, affine=True), nn.LeakyReLU())
        self.bottom, self.up, self.head = nn.Conv2d(4, 8, 3, 2, 1), nn.ConvTranspose2d(8, 4, 2, 2), nn.Conv2d(8, CLASSES, 1)

    def forward(self, x):
        h = self.down(x)
        return self.head(torch.cat([self.up(torch.relu(self.bottom(h))), h], 1)).mean((2, 3))


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        h = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        h += x if self.downsample is None else self.downsample(x)
        return self.relu(h)


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1, self.relu = nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True)
        self.layer1, self.layer2 = Block(4, 4, 1), Block(4, 8, 2)
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(8, CLASSES)

    def forward(self, x):
        x = self.layer2(self.layer1(self.relu(self.bn1(self.conv1(x)))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class Mobile(nn.Module):
    """Depthwise convolutions, squeeze and excitation, hardswish."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4), nn.Hardswish(inplace=True))
        self.depthwise = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False), nn.BatchNorm2d(4), nn.ReLU6(inplace=True))
        self.reduce, self.expand = nn.Conv2d(4, 2, 1), nn.Conv2d(2, 4, 1)
        self.project, self.fc = nn.Sequential(nn.Conv2d(4, 6, 1, bias=False), nn.BatchNorm2d(6)), nn.Linear(6, CLASSES)

    def forward(self, x):
        h = self.depthwise(self.stem(x))
        h = h * F.hardsigmoid(self.expand(F.relu(self.reduce(h.mean((2, 3), keepdim=True)), inplace=True)))
        return self.fc(F.hardswish(self.project(h)).mean((2, 3)))


class Logits(nn.Module):
    def __init__(self, model, **options):
        super().__init__()
        self.model, self.options = model, options

    def forward(self, ids):
        return self.model(input_ids=ids, **self.options).logits


def language(name):
    import transformers as t
    t.logging.set_verbosity_error()
    small = dict(vocab_size=VOCABULARY, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=12, max_position_embeddings=8)
    return {
        "bert": lambda: Logits(t.BertForSequenceClassification(t.BertConfig(num_labels=CLASSES, **small))),
        "gpt2": lambda: Logits(t.GPT2LMHeadModel(t.GPT2Config(vocab_size=VOCABULARY, n_embd=8, n_layer=1, n_head=2, n_positions=8)), use_cache=False),
        "llama": lambda: Logits(t.LlamaForCausalLM(t.LlamaConfig(num_key_value_heads=1, **small)), use_cache=False),
        "opt": lambda: Logits(t.OPTForCausalLM(t.OPTConfig(vocab_size=VOCABULARY, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, ffn_dim=12, word_embed_proj_dim=8, max_position_embeddings=8)), use_cache=False),
    }[name]()


NETWORKS = {"kan": Kan, "siren": Siren, "gru": Gru, "lstm": lambda: Gru(nn.LSTM), "transformer_encoder": Transformer, "unet": UNet, "resnet": ResNet, "mobilenet": Mobile}
NETWORKS |= {name: lambda name=name: language(name) for name in ["gpt2", "llama", "bert", "opt"]}
TOKENS = {"gru", "lstm", "transformer_encoder", "gpt2", "llama", "bert", "opt", "tied"}
IMAGES = {"unet", "resnet", "mobilenet", "inplace"}
DENSE = {"resnet", "transformer_encoder"}


class Tied(nn.Module):
    """One weight as embedding and as head."""

    def __init__(self):
        super().__init__()
        self.embed, self.norm, self.head = nn.Embedding(VOCABULARY, 4), nn.LayerNorm(4), nn.Linear(4, VOCABULARY, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids):
        return self.head(self.norm(self.embed(ids)).cumsum(1).tanh())


class Strided(nn.Module):
    """Weights and a buffer that are parts of larger storages: transposed, with an offset, every other column."""

    def __init__(self):
        super().__init__()
        big = torch.randn(9, 6)
        self.weight = nn.Parameter(big[2:7].t())
        self.bias = nn.Parameter(torch.randn(2, 7)[1, 2:])
        self.register_buffer("scale", torch.rand(6, 4)[:, 1])
        self.register_buffer("shift", torch.rand(3).expand(2, 3).reshape(2, 3)[1].expand(4, 3))

    def forward(self, x):
        return (x * self.scale).sin() @ self.weight + self.bias + self.shift.sum()


class Inplace(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, CLASSES)

    def forward(self, x):
        h = F.relu_(self.a(x))
        h = self.b(h).add_(h).mul_(0.5)
        h[:, 1:3] *= 2
        h[:, 0] = h[:, 3].tanh()
        h.clamp_(-2, 2).sub_(0.125)
        return self.c(F.silu(h, inplace=True).mean((2, 3)))


class Train(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.norm, self.dropout, self.b = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, CLASSES)

    def forward(self, x):
        return self.b(self.dropout(torch.relu(self.norm(self.a(x)))))


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, CLASSES)

    def forward(self, x):
        return self.b(torch.tanh(self.a(x)))


class Frozen(Mlp):
    def __init__(self):
        super().__init__()
        self.a.requires_grad_(False)


class TwoInputs(Mlp):
    def forward(self, x, z):
        return super().forward(x * z)


class NoGrad(Mlp):
    """A part without gradients, which the program keeps as a graph of its own."""

    def forward(self, x):
        h = torch.tanh(self.a(x))
        with torch.no_grad():
            scale = h.norm(dim=1, keepdim=True) + 1
        return self.b(h / scale)


class NoGradInplace(Mlp):
    """The same, of which nothing is used but what it changes outside."""

    def forward(self, x):
        h = x * 1.0
        with torch.no_grad():
            h[:, 0].mul_(3)
        return super().forward(h)


class Masked(Mlp):
    """A buffer with infinities, as masks of attention are."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mask", torch.full((8, 8), float("-inf")).triu(1))

    def forward(self, x):
        h = torch.tanh(self.a(x))
        return self.b(h @ torch.softmax(self.mask, -1))


class Folded(Mlp):
    """Outputs whose first dimension is not the batch."""

    def forward(self, x):
        return super().forward(torch.cat([x, x])) * 1.0


class NoSecond(Mlp):
    """libtorch has a first derivative of grid_sample, and no second one."""

    def forward(self, x):
        h = torch.tanh(self.a(x))
        drawn = F.grid_sample(h.reshape(-1, 1, 2, 4), h.reshape(-1, 2, 2, 2) * 0.9, align_corners=False).flatten(1)
        return self.b(torch.cat([drawn, drawn], 1))


class Random(Mlp):
    def forward(self, x):
        return super().forward(x + torch.rand(x.shape[1]) / 8)


class Custom(Mlp):
    def forward(self, x):
        return super().forward(torch.ops.hw1_goldens.twice(x))


@torch.library.custom_op("hw1_goldens::twice", mutates_args=())
def twice(x: torch.Tensor) -> torch.Tensor:
    return x * 2


@twice.register_fake
def _(x):
    return torch.empty_like(x)


# name: (network, refused for)
TRAPS = {
    "tied": (Tied, None),
    "strided": (Strided, None),
    "inplace": (Inplace, None),
    "train": (Train, "dropout"),
    "fixed": (Mlp, None),  # a batch of 4, not dynamic; x and y have 8 samples
    "bfloat16": (lambda: Mlp().bfloat16(), None),
    "frozen": (Frozen, None),
    "two_inputs": (TwoInputs, "two inputs"),
    "no_grad": (NoGrad, None),
    "custom": (Custom, "hw1_goldens.twice"),
    "random": (Random, "aten.rand"),
    "no_grad_inplace": (NoGradInplace, None),
    "masked": (Masked, None),
    "folded": (Folded, "the first dimension"),
    "no_second": (NoSecond, "second derivatives"),
}


class Program(torch.fx.Interpreter):
    """Runs a program in float64."""

    def call_function(self, target, args, kwargs):
        def double(v): return f64 if v is f32 or v is torch.bfloat16 else v
        if target is torch.ops.aten.hardsigmoid.default:
            return F.relu6(args[0] + 3) / 6
        if target is torch.ops.aten._assert_tensor_metadata.default:
            return None
        if target is torch.ops.aten.view.default:  # traced after fused attention, whose result has other strides
            return args[0].reshape(args[1])
        return super().call_function(target, tuple(double(v) for v in args), {k: double(v) for k, v in kwargs.items()})


def run(program, x):
    """The outputs of a program for x in float64."""
    def double(t): return t.detach().double() if t.is_floating_point() else t.detach()
    specs = program.graph_signature.input_specs
    state = {**program.state_dict, **program.constants}
    inputs = [x if s.target is None else double(state[s.target]) for s in specs]
    with o.oracle(), torch.no_grad():
        return Program(program.graph_module).run(*inputs)[0]


def slim(graph_module):
    for module in graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                for key in ["stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node"]:
                    node.meta.pop(key, None)


def numbers(t):
    return [o.number(v) for v in t.detach().reshape(-1).tolist()]


def spectrum(matrix):
    assert torch.allclose(matrix, matrix.t(), rtol=1e-7, atol=1e-9)
    return {"trace": o.number(matrix.trace().item()), "eigenvalues": numbers(torch.linalg.eigvalsh((matrix + matrix.t()) / 2))}


def differences(loss, parameters, direction, h=1e-4):
    """(slope, curvature) of the loss along a direction of length 1, by central differences."""
    values = []
    for step in [-h, 0, h]:
        with torch.no_grad():
            before = [p.clone() for p in parameters]
            for p, d in zip(parameters, direction):
                p += step * d
            values.append(loss().item())
            for p, b in zip(parameters, before):
                p.copy_(b)
    return (values[2] - values[0]) / (2 * h), (values[2] - 2 * values[1] + values[0]) / h**2


def measure(model, x, y, dense, check=True):
    """The oracle of a float64 module."""
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    parameters = list(named.values())
    with o.oracle():
        outputs = model(x)
        logits = outputs.reshape(-1, outputs.shape[-1])
        loss = F.cross_entropy(logits, y.reshape(-1))
        g = torch.autograd.grad(loss, parameters, create_graph=True, materialize_grads=True)
        gradient = torch.cat([v.reshape(-1) for v in g])
        g = gradient.detach()

        def product(v):
            h = torch.autograd.grad(gradient @ v, parameters, retain_graph=True, materialize_grads=True)
            return torch.cat([t.reshape(-1) for t in h])

        facts = {
            "parameters": {name: list(p.shape) for name, p in named.items()},
            "outputs": o.tensor(outputs),
            "loss": o.number(loss.item()),
            "accuracy": o.number((outputs.argmax(-1) == y).double().mean().item()),
            "gradient_norm": o.number(g.norm().item()),
            "curvature_along_gradient": o.number((g @ product(g) / (g @ g)).item()),
            "gradient": numbers(g),
        }
        if dense:
            facts["hessian"] = spectrum(torch.stack([product(v) for v in torch.eye(len(g))]))
            jacobian = torch.stack([torch.cat([t.reshape(-1) for t in torch.autograd.grad(v, parameters, retain_graph=True, materialize_grads=True)]) for v in logits.reshape(-1)])
            p = logits.detach().softmax(-1)
            n, classes = p.shape
            inner = torch.block_diag(*[(q.diag() - q[:, None] * q) / n for q in p])
            facts["gauss_newton"] = spectrum(jacobian.t() @ inner @ jacobian)
        direction = [t.view_as(p) / g.norm() for t, p in zip(g.split([p.numel() for p in parameters]), parameters)]
        slope, curvature = differences(lambda: F.cross_entropy(model(x).reshape(logits.shape), y.reshape(-1)), parameters, direction)
        for a, b in check * [(slope, facts["gradient_norm"]), (curvature, facts["curvature_along_gradient"])]:
            assert abs(a - b) < 1e-3 * abs(b) + 1e-5, (a, b)
        return facts


def samples(name):
    """(x, y without its range): x float32 in odd multiples of 1/64, or tokens."""
    generator = torch.Generator().manual_seed(1)
    if name in TOKENS:
        # Not 0 and 1: BERT's and OPT's embeddings have one of them as padding_idx, which keeps part of its gradient back, and
        # OPT's is tied to its head, so that PyTorch's gradient is then not the loss's.
        return torch.randint(2, VOCABULARY, (8, PLACES), generator=generator)
    shape = (8, 3, 8, 8) if name in IMAGES else (8, 6)
    return (torch.randint(-64, 64, shape, generator=generator) * 2 + 1) / 64


def make(name, build, refused):
    torch.manual_seed(0)
    model, x = build(), samples(name)
    second = [x.flip(0)] if name == "two_inputs" else []
    if name == "bfloat16":
        x = x.bfloat16()
    with torch.no_grad():
        for _ in range(3):
            model.train()(x, *second)
        outputs = model.eval()(x, *second)[:len(x)]
    generator = torch.Generator().manual_seed(2)
    y = torch.randint(outputs.shape[-1], outputs.shape[:-1], generator=generator)
    if name == "train":
        model.train()
    traced = [t[:4] for t in [x, *second]]
    batch = {0: torch.export.Dim("n", min=1, max=4096)}
    program = torch.export.export(model, tuple(traced), dynamic_shapes=None if name == "fixed" else (batch,) * len(traced), strict=False)
    if name != "resnet":
        slim(program.graph_module)
    torch.export.save(program, os.path.join(OUT, f"{name}.pt2"))
    facts = {"name": name, "x": o.tensor(x), "y": o.tensor(y)}
    if refused:
        facts["refused"] = refused
    else:
        model.double()
        wide = x.double() if x.is_floating_point() else x
        facts |= measure(model, wide, y, name in DENSE, check=name != "no_grad")
        with o.oracle(), torch.no_grad():
            expected = model(wide)
        ran = torch.cat([run(program, wide[:4]), run(program, wide[4:])]) if name == "fixed" else run(program, wide)
        error = (ran - expected).abs().max().item()
        assert ran.dtype == f64 and error < 1e-12, f"{name}: the program in float64 is off by {error}"
    with open(os.path.join(OUT, f"{name}.json"), "w") as file:
        file.write(json.dumps(facts, separators=(",", ":"), allow_nan=False) + "\n")
    size = [os.path.getsize(os.path.join(OUT, f"{name}.{end}")) for end in ["pt2", "json"]]
    about = refused or f"{sum(p.numel() for p in model.parameters())} parameters, loss {facts['loss']:.5f}, gradient {facts['gradient_norm']:.4g}, curvature {facts['curvature_along_gradient']:.4g}"
    print(f"{name:20s} {size[0]:7d} + {size[1]:6d} bytes; {about}", flush=True)
    return sum(size)


def main():
    os.makedirs(OUT, exist_ok=True)
    cases = {name: (build, None) for name, build in NETWORKS.items()} | TRAPS
    print(sum(make(name, *cases[name]) for name in sys.argv[1:] or cases), "bytes")


if __name__ == "__main__":
    main()
