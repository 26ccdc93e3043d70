"""Golden numbers of single operators, each a tiny program of torch.export. Writes operators.json and sizes.json beside
this script.

    python operators.py [--only WORD]        (torch 2.11.0; any venv outside the repository; --only prints, writes nothing)

operators.json: one case per operator and form. A case is a module whose tensors are all user inputs (float64 in small
odd multiples of 1/64, so that nothing lies on a kink and no two are equal), exported with static sizes, strict=False.
sizes.json: modules of a dynamic batch that compute with sizes, traced with a batch of 4 and run with other batches.

    name        conv2d.stride
    model       the object of models/model.json, without what only describes: of a node target, inputs (name, arg) and
                outputs; of tensor_values those of a graph's inputs, dtype and sizes; graph, signature, range_constraints and
                schema_version; values of symbols only where there are any
    constants   {name: tensor}, the tensors of data/constants by their names in the signature
    inputs      [tensor], outputs [tensor]; a tensor is {dtype, shape, data}, data flat; nan, inf, -inf are strings
    gradients   g, for every input: the gradient of sum over float outputs k of sum(output_k * cos(j + k)), j = 0, 1, … the
                flat index in the output; null for inputs that take no gradient, and everywhere where no output has one
    second      for every input: the gradient of sum over inputs i of sum(g_i * sin(j + i)); null everywhere where PyTorch
                has no second derivative

Numbers to 11 digits. Oracles are of float64 throughout, as in hw1's --precision float64: while they are computed, the
default type and what is cast to or made in float32 is float64 (the programs still say float32); attention is that of
SDPBackend.MATH, hardsigmoid is relu6(x + 3) / 6, whose fused forms have no second derivative. Every program is run as
well, and its outputs compared with the module's.
"""
import argparse
import io
import json
import os
import sys
import warnings
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [p for p in sys.path if os.path.abspath(p) != HERE]  # our statistics.py is not Python's

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
f32, f64, i32, i64 = torch.float32, torch.float64, torch.int32, torch.int64
inf = float("inf")
aten = torch.ops.aten


class Double(TorchFunctionMode):
    """Float64 for float32, and forms that have second derivatives."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        def double(v): return f64 if v is f32 else v
        args, kwargs = [double(v) for v in args], {k: double(v) for k, v in (kwargs or {}).items()}
        if func is torch.Tensor.float:
            return args[0].double()
        if func in (torch._C._nn.hardsigmoid, torch._C._nn.hardsigmoid_, F.hardsigmoid):
            return F.relu6(args[0] + 3) / 6
        return func(*args, **kwargs)


class oracle:
    """Where oracles are computed: float64, plain formulas."""

    def __enter__(self):
        torch.set_default_dtype(f64)
        self.contexts = [Double(), sdpa_kernel(SDPBackend.MATH)]
        for c in self.contexts:
            c.__enter__()

    def __exit__(self, *error):
        torch.set_default_dtype(f32)
        for c in self.contexts[::-1]:
            c.__exit__(*error)


class Module(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *x):
        outputs = self.function(*x)
        return tuple(outputs) if isinstance(outputs, tuple) else outputs  # named tuples cannot be written


class Kind:
    """An input that is not just odd multiples of 1/64 in [-2, 2]: in what range, and whether it takes a gradient."""

    def __init__(self, *shape, scale=1.0, offset=0.0, gradient=True):
        self.shape, self.scale, self.offset, self.gradient = shape, scale, offset, gradient


def pos(*shape): return Kind(*shape, scale=0.25, offset=0.75)      # in [0.25, 1.25]
def unit(*shape): return Kind(*shape, scale=0.25)                  # in [-0.5, 0.5]
def wide(*shape): return Kind(*shape, scale=4.0)                   # in [-8, 8]
def fixed(*shape): return Kind(*shape, scale=0.25, offset=0.75, gradient=False)
def ids(*values): return torch.tensor(values)
def mask(*values): return torch.tensor(values, dtype=torch.bool)


def tensors(inputs):
    """The tensors of a case; all values of a case differ."""
    counts = [torch.Size(k.shape if isinstance(k, Kind) else k).numel() for k in inputs if not isinstance(k, torch.Tensor)]
    total = sum(counts)
    steps = 64
    while 2 * steps < total:
        steps *= 2
    values = (torch.randperm(2 * steps, generator=torch.Generator().manual_seed(5)).double() * 2 + 1 - 2 * steps) * 2 / (2 * steps)
    made, at = [], 0
    for k in inputs:
        if isinstance(k, torch.Tensor):
            made.append(k.detach().clone())
            continue
        k = k if isinstance(k, Kind) else Kind(*k)
        n = torch.Size(k.shape).numel()
        made.append((values[at:at + n] * k.scale + k.offset).reshape(k.shape).requires_grad_(k.gradient))
        at += n
    return made


def flat(outputs):
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    return [t for o in outputs for t in flat(o)]


def weighted(tensors, of):
    return [(t.reshape(-1) * of(torch.arange(t.numel(), dtype=f64) + k)).sum() for k, t in tensors]


def derivatives(module, inputs):
    """(outputs, gradients, second), lists over inputs, of a function of float64."""
    inputs = [x.detach().clone().requires_grad_(x.requires_grad) for x in inputs]
    wanted = [i for i, x in enumerate(inputs) if x.requires_grad]
    none = [None] * len(inputs)

    def spread(values):
        spread = list(none)
        for i, v in zip(wanted, values):
            zero = torch.zeros_like(inputs[i])
            spread[i] = zero if v is None else zero + v.detach()  # some are tensors of zeros without storage
        return spread

    with oracle():
        outputs = flat(module(*inputs))
        terms = weighted([(k, o) for k, o in enumerate(outputs) if o.is_floating_point() and o.requires_grad], torch.cos)
        if not terms or not wanted:
            return outputs, none, none
        g = torch.autograd.grad(sum(terms), [inputs[i] for i in wanted], create_graph=True, allow_unused=True)
        terms = weighted([(i, v) for i, v in zip(wanted, g) if v is not None and v.requires_grad], torch.sin)
        try:
            h = torch.autograd.grad(sum(terms), [inputs[i] for i in wanted], allow_unused=True) if terms else [None] * len(wanted)
            second = spread(h)
        except RuntimeError as e:
            print(f"    no second derivative: {str(e).splitlines()[0][:110]}")
            second = none
    return outputs, spread(g), second


def number(v):
    if isinstance(v, float):
        if v != v or v in (inf, -inf):
            return str(v)
        v = float(f"{v:.11g}")
        return 0 if abs(v) < 1e-15 else int(v) if v == int(v) and abs(v) < 1e15 else v
    return v


def tensor(t):
    if t is None:
        return None
    return {"dtype": str(t.dtype).removeprefix("torch."), "shape": list(t.shape), "data": [number(v) for v in t.detach().reshape(-1).tolist()]}


def slim(graph):
    """A graph without what only describes."""
    inputs = {v["name"] for a in graph["inputs"] for v in a.values() if isinstance(v, dict) and "name" in v}
    graph["tensor_values"] = {k: {w: v[w] for w in ["dtype", "sizes"]} for k, v in graph["tensor_values"].items() if k in inputs}
    for default in ["is_single_tensor_return", "custom_obj_values", "sym_float_values"]:
        if not graph[default]:
            del graph[default]
    for node in graph["nodes"]:
        del node["metadata"], node["name"]
        if node["is_hop_single_tensor_return"] is None:
            del node["is_hop_single_tensor_return"]
        for argument in node["inputs"]:
            del argument["kind"]
            if "as_graph" in argument["arg"]:
                slim(argument["arg"]["as_graph"]["graph"])


def read(program):
    """(the object of models/model.json, constants by name) of an exported program."""
    file = io.BytesIO()
    torch.export.save(program, file)
    archive = zipfile.ZipFile(file)
    name = next(n for n in archive.namelist() if n.endswith("models/model.json"))
    model = json.loads(archive.read(name))
    slim(model["graph_module"]["graph"])
    model = {k: model[k] for k in ["graph_module", "range_constraints", "schema_version"]}
    model["graph_module"] = {k: model["graph_module"][k] for k in ["graph", "signature"]}
    constants = {k: tensor(v) for k, v in program.constants.items()}
    assert not program.state_dict
    return model, constants


def close(a, b):
    return a.shape == b.shape and torch.allclose(a.double(), b.double(), rtol=1e-5, atol=1e-6, equal_nan=True)


def golden(name, function, inputs, shapes=None, run=None):
    """A case. With `shapes` (dynamic_shapes), traced with `inputs` and run with `run`."""
    module = Module(function)
    made = tensors(inputs)
    arguments = [x.detach().clone() for x in made]
    program = torch.export.export(module, tuple(arguments), dynamic_shapes=shapes and {"x": tuple(shapes)}, strict=False)
    model, constants = read(program)
    made = tensors(run) if run else made
    outputs, gradients, second = derivatives(module, made)
    ran = flat(program.module()(*[x.detach().clone() for x in made]))
    assert len(ran) == len(outputs) and all(close(a, b) for a, b in zip(ran, outputs)), f"{name}: the program gives {ran}, the module {outputs}"
    lists = {"inputs": made, "outputs": outputs, "gradients": gradients, "second": second}
    return {"name": name, "model": model, "constants": constants} | {k: [tensor(t) for t in v] for k, v in lists.items()}


def inplace(f):
    """f(x, …) in place, on a copy."""
    return lambda x, *rest: f(x.clone(), *rest)


def lstm(layers, both, batch_first, of=torch.lstm, biases=True):
    def f(x, *rest):
        states, weights = (rest[:2], rest[2:]) if of is torch.lstm else (rest[0], rest[1:])
        return of(x, states, list(weights), biases, layers, 0.0, False, both, batch_first)
    return f


def weights(layers, both, gates, size, hidden, biases=True):
    ways = 2 if both else 1
    return [shape for layer in range(layers) for _ in range(ways)
            for shape in [(gates * hidden, size if layer == 0 else ways * hidden), (gates * hidden, hidden)] + [(gates * hidden,)] * 2 * biases]


def rotary(x):
    half = x.shape[-1] // 2
    frequencies = 1.0 / (10.0 ** (torch.arange(half).float() / half))
    angles = torch.cat([torch.arange(x.shape[-2])[:, None] * frequencies] * 2, -1)
    turned = torch.cat([-x[..., half:], x[..., :half]], -1)
    return x * angles.cos() + turned * angles.sin()


def causal(x):
    n = x.shape[-1]
    i = torch.arange(n)
    return x.masked_fill(i[None, :] > i[:, None], -inf).softmax(-1)


def put(x, y):
    x = x.clone()
    x[:, 1:3] = y
    x[0] += 2 * y[0, 0]
    return x * x


def index_put(x, y):
    x = x.clone()
    x[ids(0, 2), ids(1, 0)] = y
    x[x > 1.5] = 0.5
    return x * x


def running(x, m, v, w, b):
    m, v = m.clone(), v.clone()
    return F.batch_norm(x, m, v, w, b, training=True, momentum=0.25), m, v


def no_grad(x, y):
    with torch.no_grad():
        scale = (x * y).sum().exp()
    return x * scale


def autocast(x, y):
    with torch.autocast("cpu", enabled=False):
        z = x @ y
    return z.sin()


X = (2, 3)
IMAGE = (1, 1, 5, 5)
QKV = ((1, 2, 2, 3),) * 3


def elementwise():
    functions = {
        "relu": torch.relu, "relu6": (F.relu6, wide(7)), "leaky_relu": lambda x: F.leaky_relu(x, 0.2), "sigmoid": torch.sigmoid, "tanh": torch.tanh,
        "silu": F.silu, "gelu": F.gelu, "gelu.tanh": lambda x: F.gelu(x, approximate="tanh"), "elu": lambda x: F.elu(x, 0.5), "selu": F.selu,
        "celu": lambda x: F.celu(x, 0.5), "softplus": F.softplus, "softplus.beta": lambda x: F.softplus(x, 2, 1.5), "mish": F.mish,
        "hardsigmoid": (F.hardsigmoid, wide(7)), "hardswish": (F.hardswish, wide(7)), "hardtanh": F.hardtanh,
        "hardtanh.limits": lambda x: F.hardtanh(x, -0.5, 0.75), "logsigmoid": F.logsigmoid, "tanhshrink": F.tanhshrink, "hardshrink": F.hardshrink,
        "softshrink": F.softshrink, "softsign": F.softsign, "threshold": lambda x: F.threshold(x, 0.25, -3.0), "glu": (F.glu, (2, 4)), "glu.dim": (lambda x: F.glu(x, 0), (4, 2)),
        "sin": torch.sin, "cos": torch.cos, "tan": (torch.tan, unit(3)), "atan": torch.atan,
        
        "exp": torch.exp, "exp2": torch.exp2, "expm1": torch.expm1, "log": (torch.log, pos(3)), "log2": (torch.log2, pos(3)), "log10": (torch.log10, pos(3)),
        "log1p": (torch.log1p, pos(3)), "sqrt": (torch.sqrt, pos(3)), "rsqrt": (torch.rsqrt, pos(3)), "square": torch.square, "reciprocal": torch.reciprocal, "neg": torch.neg, "erf": torch.erf, "erfc": torch.erfc,
        "abs": torch.abs, "sign": torch.sign, "floor": torch.floor, "ceil": torch.ceil, "round": torch.round, "trunc": torch.trunc, "frac": torch.frac,
        "sgn": torch.sgn, "logit": lambda x: torch.logit(x.sigmoid()), 
        "clone": torch.clone, "detach": lambda x: x.detach() * x, "contiguous": (lambda x: x.t().contiguous(), (2, 3)), "alias": lambda x: aten.alias(x) * 2, "positive": lambda x: +x,
        "dropout.eval": lambda x: F.dropout(x, 0.5, False), "dropout2d.eval": (lambda x: F.dropout2d(x, 0.5, False), (1, 2, 2, 2)), "alpha_dropout.eval": lambda x: F.alpha_dropout(x, 0.5, False),
        "isnan": lambda x: (torch.isnan(x.log()), torch.isinf(x / 0), torch.isfinite(x.log())), "nan_to_num": lambda x: torch.nan_to_num(x.log(), 0.5),
        "nan_to_num.all": lambda x: torch.nan_to_num((x * 1e308 * 10), 0.5, 2.0, -2.0),
        "clamp": lambda x: x.clamp(-0.5, 0.75), "clamp.min": lambda x: x.clamp(min=0.25), "clamp.max": lambda x: x.clamp(max=0.25), "clamp_min": lambda x: x.clamp_min(0.1), "clamp_max": lambda x: x.clamp_max(0.1), "clip": lambda x: x.clip(0, 1),
        "relu_": inplace(F.relu_), "silu_": inplace(lambda x: F.silu(x, inplace=True)), "hardtanh_": inplace(lambda x: F.hardtanh(x, inplace=True)), "hardswish_": (inplace(lambda x: F.hardswish(x, inplace=True)), wide(4)), "relu6_": (inplace(lambda x: F.relu6(x, inplace=True)), wide(4)),
        "hardsigmoid_": (inplace(lambda x: F.hardsigmoid(x, inplace=True)), wide(4)), "leaky_relu_": inplace(lambda x: F.leaky_relu_(x, 0.2)), "elu_": inplace(F.elu_), "mish_": inplace(lambda x: F.mish(x, inplace=True)), "celu_": inplace(lambda x: F.celu(x, inplace=True)), "selu_": inplace(lambda x: F.selu(x, inplace=True)),
        "dropout_.eval": inplace(lambda x: F.dropout(x, 0.5, False, inplace=True) * 2), "threshold_": inplace(lambda x: F.threshold_(x, 0.25, -3.0)),
        "sigmoid_": inplace(lambda x: x.sigmoid_()), "tanh_": inplace(lambda x: x.tanh_()), "exp_": inplace(lambda x: x.exp_()), "sqrt_": (inplace(lambda x: x.sqrt_()), pos(3)), "neg_": inplace(lambda x: x.neg_()), "clamp_": inplace(lambda x: x.clamp_(-1, 0.5)), "clamp_min_": inplace(lambda x: x.clamp_min_(0.1)),
        "fill_": inplace(lambda x: x[:1].fill_(2.0) * 3), "fill_.Tensor": (inplace(lambda x, y: (x.fill_(y[0]) * y)), (2,), (2,)), "zero_": lambda x: (lambda y: (y[:1].zero_(), y)[1])(x.clone()),
        "add_": (inplace(lambda x, y: x.add_(y, alpha=2)), (3,), (3,)), "add_.Scalar": inplace(lambda x: x.add_(1.5)), "mul_": (inplace(lambda x, y: x.mul_(y)), (3,), (3,)), "mul_.Scalar": inplace(lambda x: x.mul_(1.5)),
        "sub_": (inplace(lambda x, y: x.sub_(y)), (3,), (3,)), "div_": (inplace(lambda x, y: x.div_(y)), (3,), (3,)), "pow_": inplace(lambda x: x.pow_(3)), "addcmul_": (inplace(lambda x, y, z: x.addcmul_(y, z, value=0.5)), (3,), (3,), (3,)),
        "masked_fill_": (inplace(lambda x, m: x.masked_fill_(m, -1.0) * 2), (3,), mask(1, 0, 1)), "copy_.slice": (put, (3, 4), (3, 2)), "index_put_": (index_put, (3, 2), (2,)), "unsqueeze_": inplace(lambda x: x.unsqueeze_(0)), "squeeze_": inplace(lambda x: x[None].squeeze_(0)), "transpose_": (inplace(lambda x: x.transpose_(0, 1)), X), "iadd": (inplace(lambda x, y: x.__iadd__(y)), (2, 3), (3,)),
        "float32.cast": lambda x: (x.float() * x.float()).double(), "to.dtype": lambda x: x.to(f32).exp(), "to.dtype.same": lambda x: x.to(f64), "to.dtype.int": lambda x: x.to(i64), "to.device": lambda x: x.to("cpu"), "to.device.dtype": lambda x: x.to("cpu", f32), "to.other": (lambda x, y: x.to(y) * 2, (3,), ids(1)), "type_as": (lambda x, y: x * y.type_as(x), (3,), ids(1, 2, 3)), "to.bool": lambda x: (x > 0).to(f64) * x, "long": lambda x: x.long(), "int": lambda x: x.int(), "bool": lambda x: x.bool(), "to.copy": lambda x: x.to(f64, copy=True), "to.dtype_layout": lambda x: aten.to.dtype_layout(x, dtype=f32, layout=torch.strided, device=torch.device("cpu")), "to.memory_format": (lambda x: x.to(memory_format=torch.channels_last) * 2, (1, 2, 2, 2)), "contiguous.channels_last": (lambda x: x.contiguous(memory_format=torch.channels_last) * 2, (1, 2, 2, 2)), "contiguous.view": (lambda x: x.to(memory_format=torch.channels_last).contiguous().view(4, 2), (1, 2, 2, 2)),
        "lift_fresh_copy": lambda x: x * torch.tensor([1.5, -2.0, 0.25]) + torch.tensor(2), "no_grad": (no_grad, (2,), (2,)), "autocast": (autocast, (2, 2), (2, 2)), "constant": lambda x: x * torch.tensor([[1, 2, 3]]) ** 2,
    }
    for name, f in functions.items():
        yield (name, *f) if isinstance(f, tuple) else (name, f, (3,) if name.endswith("_") else (4,) if name not in ("constant", "lift_fresh_copy", "to.other") else (3,))


def binary():
    a, b = (2, 3), (3,)
    ints = (torch.tensor([7, -7, 5, -5]), torch.tensor([2, 2, -3, -3]))
    yield "add", lambda x, y: x + y, a, b
    yield "add.alpha", lambda x, y: torch.add(x, y, alpha=0.5), a, b
    yield "add.Scalar", lambda x: x + 2, (3,)
    yield "add.int", lambda x, y: x + y * 2, (3,), ids(1, 2, 3)
    yield "sub", lambda x, y: x - y, a, b
    yield "sub.alpha", lambda x, y: torch.sub(x, y, alpha=3), a, b
    yield "sub.Scalar", lambda x: x - 0.5, (3,)
    yield "rsub", lambda x: 1.5 - x, (3,)
    yield "rsub.alpha", lambda x, y: (torch.rsub(x, y, alpha=2), torch.rsub(x, 3, alpha=2)), a, b
    yield "mul", lambda x, y: x * y, a, b
    yield "mul.Scalar", lambda x: x * 2 * 0.5, (3,)
    yield "mul.bool", lambda x: x * (x > 0), (3,)
    yield "div", lambda x, y: x / y, a, b
    yield "div.Scalar", lambda x: x / 3, (3,)
    yield "div.int", lambda x, y: x / y, *ints
    yield "reciprocal.div", lambda x: 2 / x, (3,)
    yield "div.floor", lambda x, y: torch.div(x, y, rounding_mode="floor"), a, b
    yield "div.trunc", lambda x, y: torch.div(x, y, rounding_mode="trunc"), a, b
    yield "div.Scalar_mode", lambda x: (torch.div(x, 0.75, rounding_mode="floor"), torch.div(x, 0.75, rounding_mode="trunc")), (3,)
    yield "div.int.modes", lambda x, y: (torch.div(x, y, rounding_mode="floor"), torch.div(x, y, rounding_mode="trunc"), x // 2, x % 3), *ints
    yield "floor_divide", lambda x, y: (x.detach() // y.detach(), x.detach() // 0.75), a, b
    yield "true_divide", lambda x, y: torch.true_divide(x, y), (3,), ids(2, 3, 4)
    yield "remainder", lambda x, y: torch.remainder(x, y), (4,), (4,)
    yield "remainder.Scalar", lambda x: x % 0.75, (4,)
    yield "fmod", lambda x, y: torch.fmod(x, y), (4,), (4,)
    yield "fmod.Scalar", lambda x: torch.fmod(x, 0.75), (4,)
    yield "remainder.int", lambda x, y: (x % y, torch.fmod(x, y)), *ints
    yield "pow.Tensor_Scalar", lambda x: x ** 3, (3,)
    yield "pow.square", lambda x: x.pow(2), (3,)
    yield "pow.half", lambda x: (x.pow(0.5), x ** -1, x ** -0.5, x ** 1.5, x ** 0, x ** 1), pos(3)
    yield "pow.Scalar", lambda x: 2 ** x, (3,)
    yield "pow.Tensor_Tensor", lambda x, y: x ** y, pos(3), (3,)
    yield "float_power", lambda x: torch.float_power(x, 3), (3,)
    yield "maximum", torch.maximum, a, b
    yield "minimum", torch.minimum, a, b
    yield "fmax", lambda x, y: (torch.fmax(x, y), torch.fmin(x, y)), a, b
    yield "atan2", torch.atan2, a, b
    yield "logaddexp", torch.logaddexp, a, b
    yield "lerp", lambda x, y: torch.lerp(x, y, 0.25), (3,), (3,)
    yield "lerp.Tensor", torch.lerp, (3,), (3,), (3,)
    yield "addcmul", lambda x, y, z: torch.addcmul(x, y, z, value=0.5), (3,), (3,), (3,)
    yield "addcdiv", lambda x, y, z: torch.addcdiv(x, y, z, value=0.5), (3,), (3,), (3,)
    yield "prelu", F.prelu, (1, 2, 3), (2,)
    yield "prelu.one", F.prelu, (2, 3), (1,)
    yield "rrelu.eval", lambda x: F.rrelu(x, 0.1, 0.3, False), (4,)
    yield "clamp.Tensor", lambda x, y, z: torch.clamp(x, y, z), (4,), Kind(4, scale=0.25, offset=-1.0), pos(4)
    yield "clamp_min.Tensor", lambda x, y: torch.clamp(x, min=y), (4,), (4,)
    for op in "eq ne lt le gt ge".split():
        f = getattr(torch, op)
        yield f"{op}.Tensor", lambda x, y, f=f: f(x, y), ids(1, 2, 3), ids(2, 2, 1)
        yield f"{op}.Scalar", lambda x, f=f: f(x, 2), ids(1, 2, 3)
        yield f"{op}.float", lambda x, y, f=f: (f(x, y), f(x, 0.5), x * f(x, y)), (3,), (3,)
    yield "logical", lambda x, y: (torch.logical_and(x, y), torch.logical_or(x, y), torch.logical_xor(x, y), torch.logical_not(x)), mask(0, 0, 1, 1), mask(0, 1, 0, 1)
    yield "logical.float", lambda x: torch.logical_not(x > 0) | torch.logical_and(x, x), (3,)
    yield "bitwise", lambda x, y: (x & y, x | y, x ^ y, ~x, torch.bitwise_and(x, y), torch.bitwise_or(x, y), torch.bitwise_xor(x, y)), mask(0, 0, 1, 1), mask(0, 1, 0, 1)
    yield "bitwise.int", lambda x, y: (x & y, x | y, x ^ y, ~x, x & 3, x | 4, x << 1, x >> 1), ids(1, 2, 7), ids(3, 6, 5)
    yield "bitwise_and_", lambda x, y: (lambda m: m.__iand__(y))(x.clone()), mask(0, 1, 1), mask(1, 0, 1)
    yield "where", torch.where, mask(1, 0, 1), (3,), (3,)
    yield "where.Scalar", lambda x: (torch.where(x > 0, x, 0.5), torch.where(x > 0, 1.0, x), torch.where(x > 0, 1.0, 0.0)), (3,)
    yield "where.broadcast", lambda m, x, y: torch.where(m[:, None], x, y), mask(1, 0), (2, 3), (3,)
    yield "where.index", lambda x: x[torch.tensor([True, False, True])] * 2, (3,)
    yield "masked_fill.Scalar", lambda x, m: x.masked_fill(m, -inf).softmax(-1), (2, 3), mask(1, 0, 0)
    yield "masked_fill.Tensor", lambda x, m, y: x.masked_fill(m, y.sum()), (2, 3), mask(1, 0, 0), (2,)
    yield "isclose", lambda x, y: torch.isclose(x, y, atol=1.0), (3,), (3,)
    yield "promotion", lambda x, i, m: (x + i + m, i + m, i * 2.5 * m, i / 2, m * 2, (i + 0.5) * x), (3,), ids(1, 2, 3), mask(1, 0, 1)


def reductions():
    x = (2, 3, 2)
    yield "sum", lambda x: x.sum(), X
    yield "sum.dim_IntList", lambda x: (x.sum(1), x.sum((0, 2)), x.sum(-1, keepdim=True)), x
    yield "sum.dtype", lambda m, x: (m.sum(), m.sum(0, dtype=f32) * x), mask(1, 0, 1), (1,)
    yield "mean", lambda x: x.mean(), X
    yield "mean.dim", lambda x: (x.mean(1), x.mean((0, 2)), x.mean(-1, keepdim=True), x.mean([-2, -1], True)), x
    yield "mean.dtype", lambda i, x: i.float().mean() * x + i.to(f32).mean(0, dtype=f32), ids(1, 2, 4), (1,)
    yield "prod", lambda x: (x.prod(), x.prod(1)), X
    yield "var", lambda x: x.var(), X
    yield "var.dim", lambda x: (x.var(1), x.var(0, unbiased=False)), X
    yield "var.correction", lambda x: (torch.var(x, (0, 1), correction=0, keepdim=True), torch.var(x, 1, correction=2, keepdim=True)), (2, 4)
    yield "std", lambda x: (x.std(), x.std(1), x.std(0, unbiased=False, keepdim=True), torch.std(x, 1, correction=0)), X
    yield "var_mean", lambda x: torch.var_mean(x, -1, correction=0, keepdim=True), X
    yield "std_mean", lambda x: torch.std_mean(x, 1), X
    yield "amax", lambda x: (x.amax(), x.amax(1), x.amax((0, 1), keepdim=True)), X
    yield "amin", lambda x: (x.amin(), x.amin(-1, keepdim=True)), X
    yield "max", lambda x: (x.max(), x.min()), X
    yield "max.dim", lambda x: x.max(1), X
    yield "max.keepdim", lambda x: x.max(0, keepdim=True), X
    yield "min.dim", lambda x: (*x.min(-1), x.min(0, True).values), X
    yield "max.other", lambda x, y: (torch.max(x, y), torch.min(x, y)), X, X
    yield "logsumexp", lambda x: (torch.logsumexp(x, 1), torch.logsumexp(x, (0, 1), True)), X
    yield "argmax", lambda x: (x.argmax(), x.argmax(1), x.argmax(0, keepdim=True), x.argmin(), x.argmin(-1)), X
    yield "argsort", lambda x: (x.argsort(), x.argsort(0, descending=True), x.argsort(stable=True, dim=1)), X
    yield "any", lambda x: ((x > 0).any(), (x > 0).any(1), (x > 0).all(), (x > 0).all(-1, keepdim=True)), X
    yield "count_nonzero", lambda x: ((x > 0).count_nonzero(), (x > 0).sum(1)), X
    yield "norm", lambda x: (x.norm(), x.norm(dim=1), x.norm(p=1, dim=-1, keepdim=True), x.norm(3)), X
    yield "linalg_norm", lambda x: (torch.linalg.norm(x), torch.linalg.norm(x, dim=1), torch.linalg.norm(x, "fro", (0, 1))), X
    yield "linalg_vector_norm", lambda x: (torch.linalg.vector_norm(x), torch.linalg.vector_norm(x, 2, -1, True), torch.linalg.vector_norm(x, 1, 0), torch.linalg.vector_norm(x, inf, 1), torch.linalg.vector_norm(x, 3, (0, 1))), X
    yield "normalize", lambda x: (F.normalize(x, dim=-1), F.normalize(x, p=1, dim=0)), X
    yield "cumsum", lambda x: (x.cumsum(0), x.cumsum(-1)), X
    yield "cumsum.int", lambda x: ((x > 0).cumsum(-1), (x > 0).int().cumsum(-1, dtype=i32)), X
    yield "cumprod", lambda x: x.cumprod(1), X
    yield "diff", lambda x: (x.diff(), x.diff(dim=0), x.diff(n=2)), X
    yield "diff.prepend", lambda x, y: torch.diff(x, dim=1, prepend=y, append=y), X, (2, 1)
    yield "cosine_similarity", lambda x, y: F.cosine_similarity(x, y, dim=-1), X, X
    yield "pairwise_distance", lambda x, y: F.pairwise_distance(x, y), X, X
    yield "softmax.int", lambda x: (x.softmax(-1), F.softmax(x, 0)), X
    yield "softmax.dtype", lambda x: F.softmax(x, -1, dtype=f32).to(x.dtype), X
    yield "log_softmax.int", lambda x: (x.log_softmax(1), F.log_softmax(x, 0, dtype=f32)), X
    yield "softmin", lambda x: F.softmin(x, 1), X
    yield "topk", lambda x: x.topk(2), (2, 4)
    yield "topk.smallest", lambda x: x.topk(2, dim=0, largest=False, sorted=True), (4, 2)
    yield "sort", lambda x: x.sort(), X
    yield "sort.descending", lambda x: (*x.sort(0, descending=True), *torch.sort(x, stable=True, dim=1)), X
    yield "mse_loss", lambda x, y: (F.mse_loss(x, y), F.l1_loss(x, y), F.smooth_l1_loss(x, y), F.huber_loss(x, y)), X, X
    yield "cross_entropy", lambda x, y: (F.cross_entropy(x, y), F.cross_entropy(x, y, label_smoothing=0.25, reduction="sum"), F.nll_loss(x.log_softmax(1), y)), X, ids(2, 0)
    yield "binary_cross_entropy", lambda x, y: (F.binary_cross_entropy(x.sigmoid(), y), F.binary_cross_entropy_with_logits(x, y)), X, fixed(2, 3)


def shapes():
    x = (2, 3, 2)
    y = (4, 3)
    yield "view", lambda x: (x.view(3, 4) * 2, x.view(-1), x.view(2, 1, -1)), x
    yield "view.dtype", lambda x: x.view(f64) * 2, X
    yield "view_as", lambda x, y: x.view_as(y) * y, (6,), X
    yield "reshape", lambda x: (x.reshape(6, 2), x.transpose(0, 2).reshape(-1), torch.reshape(x, (4, -1))), x
    yield "reshape_as", lambda x, y: x.reshape_as(y) * y, (6,), X
    yield "flatten.using_ints", lambda x: (x.flatten(), x.flatten(1), x.flatten(0, 1)), x
    yield "unflatten.int", lambda x: x.unflatten(1, (2, -1)), (2, 4)
    yield "permute", lambda x: x.permute(2, 0, -2), x
    yield "transpose.int", lambda x: (x.transpose(0, 2), x.transpose(-1, -2), x.mT), x
    yield "t", lambda x: (x.t(), x.T), X
    yield "swapaxes", lambda x: (x.swapaxes(0, 1), x.swapdims(1, 2)), x
    yield "movedim", lambda x: (x.movedim(0, 2), torch.moveaxis(x, (0, 1), (1, 2))), x
    yield "squeeze", lambda x: x.squeeze(), (1, 3, 1)
    yield "squeeze.dim", lambda x: (x.squeeze(0), x.squeeze(1), x.squeeze(-1)), (1, 3, 1)
    yield "squeeze.dims", lambda x: x.squeeze((0, 2)), (1, 3, 1)
    yield "unsqueeze", lambda x: (x.unsqueeze(0), x[:, None, ..., None], x.unsqueeze(-1)), X
    yield "expand", lambda x: (x.expand(2, 3), x.expand(-1, 3), x.expand(2, 2, 3)), (1, 3)
    yield "expand_as", lambda x, y: x.expand_as(y) * y, (3,), X
    yield "broadcast_to", lambda x: x.broadcast_to(2, 3), (3,)
    yield "broadcast_tensors", lambda x, y: torch.broadcast_tensors(x, y), (3,), (2, 1)
    yield "repeat", lambda x: (x.repeat(2), x.repeat(2, 1)), (3,)
    yield "tile", lambda x: x.tile((2,)), X
    yield "repeat_interleave", lambda x: (x.repeat_interleave(2), x.repeat_interleave(2, dim=1)), X
    yield "repeat_interleave.Tensor", lambda x: x.repeat_interleave(torch.tensor([1, 2]), dim=0, output_size=3), X
    yield "cat", lambda x, y: (torch.cat([x, y], 1), torch.cat([x, x], -2)), X, X
    yield "cat.promote", lambda x, y: torch.cat([x, y]), (2,), ids(1, 2)
    yield "stack", lambda x, y: (torch.stack([x, y]), torch.stack([x, y], -1)), X, X
    yield "hstack", lambda x, y: (torch.hstack([x, y]), torch.vstack([x, y])), X, X
    yield "chunk", lambda x: x.chunk(3, 0), y
    yield "chunk.dim", lambda x: [c * c for c in x.chunk(2, -1)], (2, 4)
    yield "split.Tensor", lambda x: x.split(3), y
    yield "split_with_sizes", lambda x: [c * c for c in torch.split(x, [1, 3], 0)], y
    yield "tensor_split", lambda x: x.tensor_split(3), y
    yield "unbind.int", lambda x: [c * c for c in x.unbind(1)], X
    yield "select.int", lambda x: (x[0], x[:, -1], x.select(1, 1)), X
    yield "slice.Tensor", lambda x: (x[1:], x[:-1], x[:, ::2], x[1:3, 1:], x[-3:-1], x[:100]), (4, 4)
    yield "narrow", lambda x: x.narrow(1, 1, 2), X
    yield "index.Tensor", lambda x, i: (x[i], x[:, i], x[i, i]), (3, 3), ids(2, 0)
    yield "index.None", lambda x, i, j: (x[:, i, j], x[i, :, j], x[i[:, None], j]), (2, 3, 2), ids(1, 0), ids(0, 1)
    yield "index.bool", lambda x, m: x[m], X, mask([1, 0, 0], [0, 1, 1])
    yield "index_select", lambda x, i: (x.index_select(0, i), x.index_select(1, i)), X, ids(1, 0, 1)
    yield "gather", lambda x, i: (x.gather(1, i), x.gather(0, i)), X, ids([1, 0, 1], [0, 1, 1])
    yield "take_along_dim", lambda x, i: x.take_along_dim(i, 1), X, ids([1], [2])
    yield "scatter", lambda x, i, y: x.scatter(1, i, y), X, ids([1, 0], [2, 1]), (2, 2)
    yield "scatter.value", lambda x, i: x.scatter(1, i, 2.5), X, ids([1, 0], [2, 1])
    yield "scatter_add", lambda x, i, y: x.scatter_add(0, i, y), X, ids([1, 1, 0]), (1, 3)
    yield "scatter_reduce", lambda x, i, y: (x.scatter_reduce(0, i, y, "sum"), x.scatter_reduce(0, i, y, "amax"), x.scatter_reduce(0, i, y, "mean", include_self=False)), (3,), ids(1, 1, 0), (3,)
    yield "scatter_", lambda x, i, y: x.clone().scatter_(1, i, y) * 2, X, ids([1, 0], [2, 1]), (2, 2)
    yield "index_add", lambda x, i, y: x.index_add(0, i, y, alpha=2), X, ids(1, 1), X
    yield "index_put", lambda x, i, y: (x.index_put((i,), y), x.index_put((i, i), y[0, 0], accumulate=True)), X, ids(1, 0), X
    yield "masked_select", lambda x, m: x.masked_select(m), (3,), mask(1, 0, 1)
    yield "flip", lambda x: (x.flip(0), x.flip((0, 1)), x.fliplr()), X
    yield "roll", lambda x: (x.roll(1), x.roll((1, -1), (0, 1)), x.roll(2, -1)), X
    yield "rot90", lambda x: (x.rot90(), x.rot90(2, (0, 1)), x.rot90(-1, (1, 0))), X
    yield "tril", lambda x: (x.tril(), x.tril(-1), x.triu(), x.triu(1)), (3, 3)
    yield "tril.mask", lambda x: x.masked_fill(torch.ones(3, 3).tril() == 0, -inf).softmax(-1), (3, 3)
    yield "triu.mask", lambda x: x.masked_fill(torch.triu(torch.ones(3, 3, dtype=torch.bool), 1), -1e9).softmax(-1), (3, 3)
    yield "triu.full", lambda x: (x + torch.triu(torch.full((3, 3), -inf), diagonal=1)).softmax(-1), (3, 3)
    yield "causal", causal, (3, 3)
    yield "tril_indices", lambda x: x[tuple(torch.tril_indices(3, 3))], (3, 3)
    yield "diagonal", lambda x: (x.diagonal(), x.diagonal(1), torch.diag(x), torch.diag(x[0])), (3, 3)
    yield "diag_embed", lambda x: torch.diag_embed(x), X
    yield "meshgrid", lambda x, y: torch.meshgrid(x, y, indexing="ij"), (2,), (3,)
    yield "meshgrid.xy", lambda x, y: torch.meshgrid(x, y, indexing="xy"), (2,), (3,)
    yield "unfold", lambda x: (x.unfold(0, 2, 1), x.unfold(-1, 3, 2)), (3, 5)
    yield "as_strided", lambda x: x.as_strided((2, 2), (1, 2), 1) * 2, (6,)
    yield "one_hot", lambda i: (F.one_hot(i, 4), F.one_hot(i, 4).float()), ids(2, 0)
    yield "pixel_shuffle", lambda x: F.pixel_shuffle(x, 2), (1, 4, 2, 1)
    yield "pixel_unshuffle", lambda x: F.pixel_unshuffle(x, 2), (1, 1, 4, 2)
    yield "im2col", lambda x: F.unfold(x, 2, padding=1, stride=2), (1, 2, 3, 3)
    yield "im2col.dilation", lambda x: F.unfold(x, (2, 1), dilation=2), (1, 1, 4, 3)
    yield "col2im", lambda x: F.fold(x, (3, 3), 2), (1, 4, 4)
    yield "col2im.padding", lambda x: F.fold(x, (4, 3), 2, padding=1, stride=2), (1, 4, 6)
    yield "pad", lambda x: (F.pad(x, (1, 2)), F.pad(x, (0, 1, 2, 0), value=1.5), F.pad(x, (-1, 1))), X
    yield "pad.reflect", lambda x: F.pad(x, (1, 2, 2, 1), mode="reflect"), (1, 3, 3)
    yield "pad.replicate", lambda x: F.pad(x, (1, 2, 0, 1), mode="replicate"), (1, 1, 2, 3)
    yield "pad.circular", lambda x: F.pad(x, (1, 2, 1, 0), mode="circular"), (1, 1, 2, 3)
    yield "pad.reflect1d", lambda x: (F.pad(x, (1, 2), mode="reflect"), F.pad(x, (2, 1), mode="replicate"), F.pad(x, (2, 1), mode="circular")), (1, 1, 4)
    yield "pad.modules", lambda x: (nn.ZeroPad2d(1)(x), nn.ReflectionPad2d(1)(x), nn.ConstantPad2d((1, 0, 0, 1), 0.5)(x)), (1, 1, 2, 2)
    yield "zeros", lambda x: x + torch.zeros(3) + torch.ones(2, 1) + torch.full((2, 3), 0.5), X
    yield "zeros.int", lambda x: x[torch.zeros(2, dtype=i64)] * torch.ones((2, 1), dtype=torch.bool) * torch.full((1,), 2), X
    yield "zeros_like", lambda x: x + torch.zeros_like(x) + torch.ones_like(x) * 2 + torch.full_like(x, 0.5), X
    yield "ones_like.dtype", lambda x: x * torch.ones_like(x, dtype=i64) + torch.zeros_like(x, dtype=torch.bool), X
    yield "new_zeros", lambda x: x + x.new_zeros(3) + x.new_ones((2, 1)) + x.new_full((2, 3), 0.5) + x.new_tensor([1.0, 2.0, 3.0]), X
    yield "new_ones.dtype", lambda x: x.new_ones((2, 3), dtype=torch.bool) & (x > 0), X
    yield "empty", lambda x: torch.empty(3).fill_(2.0) * x + torch.empty_like(x).zero_() + x.new_empty(3).fill_(1), X
    yield "eye", lambda x: x @ torch.eye(3, dtype=f64) + torch.eye(2, 3), X
    yield "linspace", lambda x: x * torch.linspace(-1, 1, 3) + torch.linspace(0, 1, 3, dtype=f64), X
    yield "arange", lambda x: x * torch.arange(3) + torch.arange(1, 4) + torch.arange(0, 6, 2), X
    yield "arange.float", lambda x: x * torch.arange(3.0) + torch.arange(0.5, 2, 0.5) + torch.arange(3, dtype=f32) + torch.arange(0, 3, 1, dtype=f64), X
    yield "arange.down", lambda x: x + torch.arange(3, 0, -1), X
    yield "scalar_tensor", lambda x: torch.where(x > 0, x, torch.scalar_tensor(-1.0)) * torch.tensor(0.1), X
    yield "tensor.complex_free_rotary", rotary, (1, 2, 4)
    yield "size", lambda x: x.reshape(x.shape[1], x.size(0)) * x.numel() / x.dim(), X
    yield "unique_list", lambda x: [x, [x * 2, x * 3]], (2,)


def linear():
    yield "linear", F.linear, X, (2, 3), (2,)
    yield "linear.no_bias", F.linear, (2, 2, 3), (2, 3)
    yield "linear.vector", F.linear, (3,), (2, 3), (2,)
    yield "bilinear", F.bilinear, (2, 2), (2, 3), (2, 2, 3), (2,)
    yield "matmul", lambda x, y: x @ y, (2, 3), (3, 2)
    yield "matmul.batch", torch.matmul, (2, 2, 3), (3, 2)
    yield "matmul.broadcast", torch.matmul, (2, 1, 2, 3), (2, 3, 1)
    yield "matmul.vectors", lambda x, y, z: (x @ y, z @ y, y @ z.t()), (3,), (3,), (2, 3)
    yield "mm", torch.mm, (2, 3), (3, 2)
    yield "bmm", torch.bmm, (2, 2, 3), (2, 3, 1)
    yield "mv", torch.mv, (2, 3), (3,)
    yield "dot", lambda x, y: (torch.dot(x, y), torch.vdot(x, y), torch.inner(x, y)), (3,), (3,)
    yield "outer", torch.outer, (2,), (3,)
    yield "addmm", lambda x, y, z: (torch.addmm(x, y, z), torch.addmm(x, y, z, beta=0.5, alpha=2)), (2,), (2, 3), (3, 2)
    yield "baddbmm", lambda x, y, z: torch.baddbmm(x, y, z, beta=0.5, alpha=2), (2, 2, 2), (2, 2, 3), (2, 3, 2)
    yield "addbmm", lambda x, y, z: torch.addbmm(x, y, z), (2, 2), (2, 2, 3), (2, 3, 2)
    yield "addmv", lambda x, y, z: torch.addmv(x, y, z), (2,), (2, 3), (3,)
    yield "einsum", lambda x, y: torch.einsum("bij,bkj->bik", x, y), (2, 2, 3), (2, 1, 3)
    yield "einsum.three", lambda x, y, z: torch.einsum("i,ij,j->", x, y, z), (2,), (2, 3), (3,)
    yield "einsum.ellipsis", lambda x, y: (torch.einsum("...i,ij->...j", x, y), torch.einsum("ii->i", x @ y)), X, (3, 2)
    yield "tensordot", lambda x, y: (torch.tensordot(x, y, 1), torch.tensordot(x, y, dims=([0, 1], [1, 0]))), (2, 3), (3, 2)
    yield "weight_norm", lambda x, v, g: F.linear(x, torch._weight_norm(v, g, 0)), X, (2, 3), (2, 1)
    yield "embedding", F.embedding, ids([1, 0, 2], [2, 2, 0]), (3, 2)
    yield "embedding.padding_idx", lambda i, w: F.embedding(i, w, padding_idx=2) ** 2, ids([1, 0, 2], [2, 2, 0]), (3, 2)


def convolutions():
    w, b = (2, 2, 3, 3), (2,)
    yield "conv1d", F.conv1d, (1, 2, 4), (2, 2, 2), b
    yield "conv1d.options", lambda x, w: F.conv1d(x, w, None, 2, 1, 1, 2), (1, 2, 5), (2, 1, 3)
    yield "conv2d", F.conv2d, (2, 2, 3, 3), (2, 2, 2, 2), b
    yield "conv2d.stride", lambda x, w: F.conv2d(x, w, stride=2), IMAGE, (2, 1, 3, 3)
    yield "conv2d.padding", lambda x, w, b: F.conv2d(x, w, b, (1, 2), (1, 0)), (1, 2, 3, 3), w, b
    yield "conv2d.groups", lambda x, w: F.conv2d(x, w, groups=2), (1, 2, 3, 3), (4, 1, 2, 2)
    yield "conv2d.dilation", lambda x, w: F.conv2d(x, w, dilation=2), IMAGE, (1, 1, 2, 2)
    yield "conv2d.same", lambda x, w, b: F.conv2d(x, w, b, padding="same"), (1, 2, 3, 3), w, b
    yield "conv2d.same_even", lambda x, w: F.conv2d(x, w, padding="same", dilation=(1, 2)), (1, 2, 3, 3), (1, 2, 2, 2)
    yield "conv2d.valid", lambda x, w: F.conv2d(x, w, padding="valid"), (1, 2, 3, 3), (1, 2, 2, 2)
    yield "conv2d.unbatched", lambda x, w: F.conv2d(x, w), (2, 3, 3), (1, 2, 2, 2)
    yield "conv1d.same", lambda x, w: F.conv1d(x, w, padding="same"), (1, 2, 4), (1, 2, 3)
    yield "conv3d", lambda x, w, b: F.conv3d(x, w, b, padding=(0, 1, 0)), (1, 1, 2, 2, 3), (2, 1, 2, 2, 2), b
    yield "conv_transpose1d", lambda x, w, b: F.conv_transpose1d(x, w, b, 2), (1, 2, 3), (2, 2, 2), b
    yield "conv_transpose2d", lambda x, w, b: F.conv_transpose2d(x, w, b), (1, 2, 2, 2), (2, 2, 2, 2), b
    yield "conv_transpose2d.options", lambda x, w: F.conv_transpose2d(x, w, None, 2, 1, 1, 2, 1), (1, 2, 2, 2), (2, 1, 3, 3)
    yield "conv_transpose3d", lambda x, w: F.conv_transpose3d(x, w), (1, 1, 1, 2, 2), (1, 1, 2, 2, 2)
    yield "convolution", lambda x, w: aten.convolution(x, w, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1), (1, 2, 3, 3), (1, 2, 3, 3)
    yield "max_pool1d", lambda x: F.max_pool1d(x, 2), (1, 1, 5)
    yield "max_pool2d", lambda x: F.max_pool2d(x, 2), IMAGE
    yield "max_pool2d.options", lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True), (1, 1, 4, 4)
    yield "max_pool2d.dilation", lambda x: F.max_pool2d(x, (2, 1), 1, 0, 2), (1, 1, 4, 4)
    yield "max_pool2d.indices", lambda x: F.max_pool2d(x, 2, return_indices=True), (1, 1, 4, 4)
    yield "max_pool3d", lambda x: F.max_pool3d(x, 2), (1, 1, 2, 2, 4)
    yield "avg_pool1d", lambda x: F.avg_pool1d(x, 2), (1, 2, 4)
    yield "avg_pool2d", lambda x: F.avg_pool2d(x, 2), IMAGE
    yield "avg_pool2d.options", lambda x: (F.avg_pool2d(x, 3, 2, 1, True, False), F.avg_pool2d(x, 2, divisor_override=3), F.avg_pool2d(x, 3, 2, 1)), (1, 1, 4, 4)
    yield "avg_pool3d", lambda x: F.avg_pool3d(x, 2), (1, 1, 2, 2, 2)
    yield "adaptive_avg_pool1d", lambda x: F.adaptive_avg_pool1d(x, 2), (1, 2, 3)
    yield "adaptive_avg_pool2d", lambda x: (F.adaptive_avg_pool2d(x, 1), F.adaptive_avg_pool2d(x, (2, 3)), F.adaptive_avg_pool2d(x, (None, 1))), (1, 1, 4, 4)
    yield "adaptive_avg_pool3d", lambda x: F.adaptive_avg_pool3d(x, 1), (1, 1, 2, 2, 2)
    yield "adaptive_max_pool2d", lambda x: F.adaptive_max_pool2d(x, 2), (1, 1, 3, 3)
    yield "upsample_nearest1d", lambda x: F.interpolate(x, scale_factor=2), (1, 2, 2)
    yield "upsample_nearest2d.scale", lambda x: F.interpolate(x, scale_factor=2, mode="nearest"), (1, 1, 2, 3)
    yield "upsample_nearest2d.size", lambda x: F.interpolate(x, size=(3, 5), mode="nearest"), (1, 1, 2, 3)
    yield "upsample_nearest_exact2d", lambda x: F.interpolate(x, size=(3, 5), mode="nearest-exact"), (1, 1, 2, 3)
    yield "upsample_nearest3d", lambda x: F.interpolate(x, scale_factor=2), (1, 1, 1, 2, 2)
    yield "upsample_linear1d", lambda x: F.interpolate(x, size=5, mode="linear"), (1, 1, 3)
    yield "upsample_bilinear2d.scale", lambda x: F.interpolate(x, scale_factor=(2, 1.5), mode="bilinear"), (1, 1, 2, 2)
    yield "upsample_bilinear2d.size", lambda x: F.interpolate(x, size=(3, 4), mode="bilinear", align_corners=True), (1, 1, 2, 2)
    yield "upsample_bilinear2d.antialias", lambda x: F.interpolate(x, size=(2, 2), mode="bilinear", antialias=True), (1, 1, 4, 3)
    yield "upsample_bilinear2d.recompute", lambda x: F.interpolate(x, scale_factor=1.7, mode="bilinear", recompute_scale_factor=True), (1, 1, 2, 2)
    yield "upsample_bicubic2d", lambda x: F.interpolate(x, size=(3, 4), mode="bicubic"), (1, 1, 2, 3)
    yield "upsample_bicubic2d.align", lambda x: F.interpolate(x, scale_factor=2, mode="bicubic", align_corners=True), (1, 1, 2, 2)
    yield "upsample_trilinear3d", lambda x: F.interpolate(x, size=(2, 2, 3), mode="trilinear"), (1, 1, 1, 2, 2)
    yield "interpolate.area", lambda x: F.interpolate(x, size=(2, 2), mode="area"), (1, 1, 4, 3)
    yield "grid_sample", lambda x, g: (F.grid_sample(x, g, align_corners=False), F.grid_sample(x, g, padding_mode="border", align_corners=True)), (1, 1, 3, 3), (1, 2, 2, 2)


def norms():
    m, v, w, b = fixed(2), fixed(2), (2,), (2,)
    yield "batch_norm.eval", lambda x, m, v, w, b: F.batch_norm(x, m, v, w, b), (2, 2, 2), m, v, w, b
    yield "batch_norm.plain", lambda x, m, v: F.batch_norm(x, m, v, eps=0.01), (2, 2, 1, 2), m, v
    yield "batch_norm.train", lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), (3, 2, 2), w, b
    yield "batch_norm.running", running, (3, 2), m, v, w, b
    yield "layer_norm", lambda x, w, b: F.layer_norm(x, (3,), w, b), X, (3,), (3,)
    yield "layer_norm.plain", lambda x: F.layer_norm(x, (2, 3), eps=0.01), (2, 2, 3)
    yield "layer_norm.weight", lambda x, w: F.layer_norm(x, (2, 3), w), (2, 2, 3), (2, 3)
    yield "group_norm", lambda x, w, b: F.group_norm(x, 2, w, b), (1, 4, 2), (4,), (4,)
    yield "group_norm.plain", lambda x: F.group_norm(x, 2, eps=0.01), (2, 2, 2, 1)
    yield "instance_norm", lambda x, w, b: F.instance_norm(x, weight=w, bias=b), (1, 2, 3), w, b
    yield "instance_norm.plain", lambda x: F.instance_norm(x, eps=0.01), (2, 2, 2, 2)
    yield "instance_norm.running", lambda x, m, v: F.instance_norm(x, m, v, use_input_stats=False), (2, 2, 3), m, v
    yield "rms_norm", lambda x, w: F.rms_norm(x, (3,), w, 1e-5), X, (3,)
    yield "rms_norm.plain", lambda x: F.rms_norm(x, (3,)), X
    yield "local_response_norm", lambda x: F.local_response_norm(x, 2), (1, 3, 2)


def attention():
    yield "scaled_dot_product_attention", F.scaled_dot_product_attention, *QKV
    yield "scaled_dot_product_attention.causal", lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), *QKV
    yield "scaled_dot_product_attention.scale", lambda q, k, v: F.scaled_dot_product_attention(q, k, v, scale=0.25), *QKV
    yield "scaled_dot_product_attention.mask", lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, m), *QKV, (1, 1, 2, 2)
    yield "scaled_dot_product_attention.bool", lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, attn_mask=m), *QKV, mask([1, 0], [1, 1])
    yield "scaled_dot_product_attention.cross", lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, m, dropout_p=0.0, scale=0.75), (1, 1, 2, 3), (1, 1, 4, 3), (1, 1, 4, 2), mask([1, 0, 1, 1])
    yield "scaled_dot_product_attention.gqa", lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True), (1, 2, 2, 2), (1, 1, 2, 2), (1, 1, 2, 2)
    yield "scaled_dot_product_attention.three", lambda q, k, v: F.scaled_dot_product_attention(q, k, v), *((2, 2, 3),) * 3
    yield "attention.plain", lambda q, k, v: (q @ k.transpose(-2, -1) / 2.0).softmax(-1) @ v, *QKV
    yield "multi_head_attention", lambda x, w, b, o, c: F.multi_head_attention_forward(x, x, x, 4, 2, w, b, None, None, False, 0.0, o, c, False, need_weights=False)[0], (2, 1, 4), unit(12, 4), unit(12), unit(4, 4), unit(4)


def recurrent():
    size = 2
    for name, of, gates in [("lstm", torch.lstm, 4), ("gru", torch.gru, 3), ("rnn_tanh", torch.rnn_tanh, 1), ("rnn_relu", torch.rnn_relu, 1)]:
        for layers, both, batch_first, biases in [(1, False, True, True), (2, False, False, False), (1, True, True, True), (2, True, True, False)] if gates > 1 else [(1, False, True, True)]:
            states = [((2 if both else 1) * layers, 1, 1)] * (2 if of is torch.lstm else 1)
            form = "".join(["2" if layers == 2 else "1", ".both" if both else "", "" if biases else ".no_bias"])
            yield f"{name}.{form}", lstm(layers, both, batch_first, of, biases), (1, 2, size) if batch_first else (2, 1, size), *states, *weights(layers, both, gates, size, 1, biases)
    yield "lstm_cell", lambda x, h, c, *w: torch.lstm_cell(x, (h, c), *w), (1, 2), (1, 1), (1, 1), (4, 2), (4, 1), (4,), (4,)
    yield "gru_cell", lambda x, h, *w: torch.gru_cell(x, h, *w), (1, 2), (1, 1), (3, 2), (3, 1), (3,), (3,)


def sizes():
    """(name, function, shapes traced, shapes run, …): a batch of 4 traced, others run. Modules of one input of a dynamic first size."""
    x = (4, 6)
    def case(name, f, n, traced=x): return name, f, traced, (n, *traced[1:])
    yield case("sizes.view", lambda x: x.view(x.shape[0] * x.shape[1]) * 2, 3)
    yield case("sizes.mul", lambda x: x.reshape(x.shape[0] * 2, 3), 5)
    yield case("sizes.floordiv", lambda x: x.reshape(-1, x.shape[1] // 2)[: x.shape[0] // 2] * (x.shape[0] // 3), 7)
    yield case("sizes.mod", lambda x: x * (x.shape[0] % 3), 5)
    yield case("sizes.add", lambda x: torch.cat([x, torch.zeros(x.shape[0] + 1, 6)]), 3)
    yield case("sizes.sub", lambda x: x[: x.shape[0] - 1] - x[1:], 3)
    yield case("sizes.rsub", lambda x: x * (10 - x.shape[0]), 3)
    yield case("sizes.neg", lambda x: x * -x.shape[0], 3)
    yield case("sizes.pow", lambda x: x * x.shape[0] ** 2, 3)
    yield case("sizes.truediv", lambda x: x.sum(0) / x.shape[0] + x.mean(0) * (x.shape[0] / 4), 3)
    yield case("sizes.sqrt", lambda x: x * x.shape[0] ** -0.5, 5)
    yield case("sizes.sym_sqrt", lambda x: x / torch.sym_sqrt(x.shape[0]), 5)
    yield case("sizes.max", lambda x: x.new_zeros(torch.sym_max(x.shape[0], 5), 1) + x.sum(0), 7)
    yield case("sizes.min", lambda x: x[: torch.sym_min(x.shape[0], 5)] * torch.sym_max(x.shape[0], 3), 7)
    yield case("sizes.sym_int", lambda x: x[: torch.sym_int(x.shape[0] / 2)], 7)
    yield case("sizes.sym_float", lambda x: x * torch.sym_float(x.shape[0]), 3)
    yield case("sizes.sym_ite", lambda x: x * torch.sym_ite(x.shape[0] > 5, 2, 3), 7)
    yield case("sizes.sym_not", lambda x: x * torch.sym_ite(torch.sym_not(x.shape[0] > 5), 2, 3), 7)
    yield case("sizes.eq", lambda x: x * torch.sym_ite(x.shape[0] == 7, 2, 3), 7)
    yield case("sizes.ceil", lambda x: x.new_ones(-(-x.shape[0] // 3)).sum() * x, 7)
    yield case("sizes.numel", lambda x: x * x.numel() / x.size(0), 3)
    yield case("sizes.arange", lambda x: x + torch.arange(x.shape[0])[:, None], 3)
    yield case("sizes.arange_step", lambda x: x[torch.arange(0, x.shape[0], 2)], 7)
    yield case("sizes.arange_expression", lambda x: torch.arange(1, 2 * x.shape[0] + 1).sum() * x, 5)
    yield case("sizes.full", lambda x: x + torch.full((x.shape[0], 1), 0.5) + torch.ones(x.shape[0], 6) + x.new_zeros(x.shape[0], 1), 3)
    yield case("sizes.expand", lambda x: x[:1].expand(x.shape[0], -1) * x, 3)
    yield case("sizes.repeat", lambda x: x.repeat(2, x.shape[0]), 3, (4, 2))
    yield case("sizes.chunk", lambda x: [c * c for c in x.t().chunk(2)], 3)
    yield case("sizes.split", lambda x: [c * c for c in x.split([1, x.shape[0] - 1])], 3)
    yield case("sizes.unflatten", lambda x: x.reshape(x.shape[0], 2, -1).permute(1, 0, 2).reshape(2 * x.shape[0], 3).unflatten(0, (2, -1)), 3)
    yield case("sizes.slice_end", lambda x: x[-2:] + x[x.shape[0] - 2 :] + x[: x.shape[0] // 2].sum(), 5)
    yield case("sizes.roll", lambda x: x.roll(x.shape[0] - 1, 0), 3)
    yield case("sizes.pad", lambda x: F.pad(x, (0, 0, 0, x.shape[0] % 2 + 1)), 3)
    yield case("sizes.tril", lambda x: (torch.ones(x.shape[0], x.shape[0]).tril().to(x.dtype) @ x), 3)
    yield case("sizes.causal", lambda x: causal(x @ x.t() / x.shape[1] ** 0.5), 3)
    yield case("sizes.batch_one", lambda x: x.view(x.shape[0], -1).softmax(-1), 1)
    yield case("sizes.assert", checked, 6)
    yield case("sizes.branch", lambda x: x * 2 if x.shape[0] > 1 else x, 3)
    yield case("sizes.interpolate", lambda x: F.interpolate(x[None, None], size=(x.shape[0] * 2, 3), mode="bilinear"), 3)
    yield case("sizes.scale", lambda x: F.interpolate(x[None, None], scale_factor=1.5), 3)
    yield case("sizes.attention", lambda x: F.scaled_dot_product_attention(*x.view(x.shape[0], 3, 1, 2).permute(1, 2, 0, 3).unbind(0)[:3]), 3)
    yield case("sizes.windows", lambda x: x.view(x.shape[0], 2, 2, 2, 2).permute(0, 1, 3, 2, 4).reshape(-1, 4).view(x.shape[0] * 4, -1).sum(1).view(-1, 4), 3, (4, 4, 4))
    yield case("sizes.item_free", lambda x: x[x.shape[0] // 2] * x[x.shape[0] - 1], 5)


def checked(x):
    torch._check(x.shape[0] % 2 == 0)
    torch._check(x.shape[0] < 100)
    return x.view(x.shape[0] // 2, 2, 6).sum(1)


# Everything that must occur in a program of operators.json, by its full name without "aten.".
COVER = """
__and__.Tensor _assert_tensor_metadata adaptive_avg_pool2d add.Tensor add_.Tensor addcmul addmm alias arange avg_pool2d batch_norm
bitwise_not cat chunk clamp_min contiguous conv2d conv_transpose2d.input cos cumsum diff div.Tensor div.Tensor_mode dropout einsum
embedding eq.Tensor exp expand expand_as flatten.using_ints gather ge.Scalar gelu group_norm gru.input hardsigmoid hardswish hardswish_
hardtanh hardtanh_ index.Tensor instance_norm layer_norm le.Tensor leaky_relu linalg_vector_norm linear lstm.input matmul max_pool2d
mean.dim mul.Tensor ne.Scalar neg new_ones ones pad permute pow.Scalar pow.Tensor_Scalar relu relu6 relu_ reshape reshape_as roll rsqrt
scaled_dot_product_attention select.int sigmoid silu silu_ sin slice.Tensor softmax.int split.Tensor split_with_sizes squeeze.dim stack
sub.Tensor sum.dim_IntList tanh to.device to.dtype to.dtype_layout transpose.int type_as unbind.int unflatten.int unsqueeze
upsample_bicubic2d.vec upsample_bilinear2d.vec upsample_nearest2d.vec view zeros eq.Scalar fill_.Tensor log_softmax.int lift_fresh_copy
masked_fill.Scalar new_zeros dropout_
rms_norm prelu elu softplus mish var.correction amax amin max.dim sqrt log reciprocal clamp where.self bmm baddbmm tril triu masked_fill.Tensor full
full_like zeros_like ones_like topk sort scatter.src scatter.value scatter_add index_select repeat repeat_interleave.self_int flip conv1d
conv3d avg_pool1d adaptive_avg_pool1d max_pool1d im2col col2im pixel_shuffle mv vdot outer _weight_norm one_hot logsumexp
ne.Tensor lt.Tensor lt.Scalar le.Scalar gt.Tensor gt.Scalar ge.Tensor logical_and logical_or logical_not logical_xor bitwise_and.Tensor
bitwise_or.Tensor clone detach mul_.Tensor sub_.Tensor div_.Tensor masked_fill_.Scalar index_put_ copy_ max min min.dim pow.Tensor_Tensor
sum mean cumprod std.correction einsum tensordot bilinear cosine_similarity glu selu celu log_sigmoid hardshrink threshold erf expm1 log1p
atan2 remainder.Scalar remainder.Tensor fmod.Scalar fmod.Tensor maximum minimum addbmm movedim.int rot90 meshgrid.indexing swapaxes unfold
argmax argmin argsort isnan nan_to_num floor ceil round sign abs linspace eye as_strided
"""


def targets(graph):
    for node in graph["nodes"]:
        yield node["target"]
        for a in node["inputs"]:
            if "as_graph" in a["arg"]:
                yield from targets(a["arg"]["as_graph"]["graph"])


def names(cases):
    found = {t for c in cases for t in targets(c["model"]["graph_module"]["graph"])}
    return sorted(t.removeprefix("torch.ops.").removeprefix("aten.").removesuffix(".default") for t in found)


def write(name, cases):
    with open(os.path.join(HERE, name), "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(c, separators=(",", ":"), allow_nan=False) for c in cases) + "\n]\n")
    print(f"{name}: {len(cases)} cases, {os.path.getsize(os.path.join(HERE, name))} bytes")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only")
    only = parser.parse_args().only
    failed, cases, dynamic = [], [], []
    for family in [elementwise, binary, reductions, shapes, linear, convolutions, norms, attention, recurrent]:
        for name, function, *inputs in family():
            if only and only not in name:
                continue
            try:
                cases.append(golden(name, function, inputs))
            except Exception as e:
                failed.append((name, str(e)[:300]))
    batch = torch.export.Dim("n", min=1, max=4096)
    for name, function, traced, run in sizes():
        if only and only not in name:
            continue
        for n in [batch, torch.export.Dim.DYNAMIC]:
            try:
                dynamic.append(golden(name, function, [traced], [{0: n}], [run]))
                break
            except Exception as e:
                error = str(e)[:300]
        else:
            failed.append((name, error))
    for name, error in failed:
        print(f"{name} failed: {error}")
    if only:
        return print(json.dumps(cases + dynamic, indent=1))
    assert len({c["name"] for c in cases}) == len(cases)
    found = names(cases)
    missing = [n for n in COVER.split() if n not in found]
    print("operators:", *found, "\nof sizes:", *[n for n in names(dynamic) if n not in found], "\nmissing:", *missing)
    write("operators.json", cases)
    write("sizes.json", dynamic)


if __name__ == "__main__":
    main()
