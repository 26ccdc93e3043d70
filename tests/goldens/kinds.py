"""Golden numbers from PyTorch for models and data that the program does not know. Writes kinds.json beside this script.

    python kinds.py        (torch 2.11.0, numpy and scipy; any venv outside the repository)

All in float64 on one thread. Nothing random: all inputs follow from formulas in integers divided by powers of two,
exact on both sides. Indices count from 0; % is never taken of a negative number.

    q(i)      = (7 i i + 37 i + 11) % 251
    images    x[i] = (q(i) - 125) / 64, i the flat index in [n, 3, 8, 8], training and then test samples
    tokens    x[i] = q(i) % 11, i the flat index in [n, 6], training and then test samples
    features  x[i] = (q(i) - 125) / 64, i the flat index in [n, 3], training and then test samples
    labels    y[i] = q(i + 500) % classes, i the sample, training and then test samples
    targets   y[i] = (q(i + 1000) - 125) / 128, i the flat index in [n, 2], training and then test samples
    θ         theta[j] = ((11 j j + 53 j + 29) % 257 - 128) / 512, j the flat index over all parameters in their order;
              1 is added to the weights of norms (bn1.weight, bn2.weight, norm.weight)
    buffers   running means 0, running variances 1
    vectors   v(k)[j] = (((2 k + 3) j j + (19 + k) j + 5 k + 7) % 127 - 63) / 64
              products: H v(0), H v(1), H v(2); slices along v(3) / 4; filter-normalised from v(4)

Models (parameters in named_parameters' order; [weight, bias] of every layer):
    residual/residual  h = relu(bn1(conv1(x))); h = relu(h + bn2(conv2(h))); fc(mean of h over the 8x8 places)
                       conv1 3->4, conv2 4->4, both 3x3 with padding 1 and bias; bn eps 1e-5, momentum 0.1; fc 4->5
    pictures/mlp       192-7-5, relu; fc1, fc2
    pictures/cnn       conv1 3->4, 3x3, padding 1; maxpool 2; relu; flatten; fc1 64->6; relu; fc2 6->5
    tokens/bag         embed 11x5; norm (LayerNorm 5, eps 1e-5); tanh(fc1 5->6); mean over the 6 places; fc2 6->4
    values/tanh        fc1 3->5; tanh; fc2 5->2
Samples, training + test: images 24 + 10, tokens 20 + 8, values 16 + 6. Classes: images 5, tokens 4.

Loss: mean cross entropy; for values (1/n) sum_i |f(x_i) - y_i|^2. Fits: 3 epochs, batches of 8 in order, the last one
smaller; SGD(0.05) and Adam(0.01), each from the initial theta. Norms in training mode while fitting, else in eval mode.
Everything but the fits is at the final theta and buffers of the SGD fit, over the training set unless it says test.

Where "every" is more than 1, of gradient, products, filter_normalised and the Adam fit's theta only entries 0, every,
2 every, ... are stored; "norms" are those of the whole vectors. Scalars, the SGD fit's theta and buffers are stored in
full precision; other vectors to 11 digits, and as 0 below 1e-14.

Everything is computed a second way and compared, here: forward passes, running statistics, losses and accuracies by NumPy,
fits by the formulas of SGD and Adam, gradients, Hessians and Jacobians by finite differences, Hessians also forward over
reverse (but the bag's) and by products, eigenvalues by SciPy, input gradients from the Jacobians. And nothing hangs
on rounding: no relu's input, no two pooled values and no two largest outputs are within 1e-6 (of 0, of each other).
"""
import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from math import sqrt

import numpy as np
import scipy.linalg
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
EPOCHS, BATCH, SENSITIVITY_BATCH, LARGE, EVERY = 3, 8, 4, 1000, 13


# Closed forms.

def q(i):
    return (7 * i * i + 37 * i + 11) % 251


def vector(k, count):
    j = torch.arange(count)
    return (((2 * k + 3) * j * j + (19 + k) * j + 5 * k + 7) % 127 - 63).double() / 64


def reals(shape, shift=0, divisor=64):
    count = int(np.prod(shape))
    return ((q(torch.arange(count) + shift) - 125).double() / divisor).reshape(shape)


def labels(n, classes):
    return q(torch.arange(n) + 500) % classes


def initial(model):
    count = sum(p.numel() for p in model.parameters())
    j = torch.arange(count)
    theta = ((11 * j * j + 53 * j + 29) % 257 - 128).double() / 512
    norms = [torch.full((p.numel(),), float(name in ("bn1.weight", "bn2.weight", "norm.weight")))
             for name, p in model.named_parameters()]
    return theta + torch.cat(norms)


# Kinks: nothing that is compared may hang on rounding.

WATCH = {"on": True, "least": float("inf")}


def watch(distances):
    if WATCH["on"] and distances.numel():
        WATCH["least"] = min(WATCH["least"], distances.detach().min().item())
        assert WATCH["least"] > 1e-6, WATCH


@contextmanager
def unwatched():
    WATCH["on"] = False
    yield
    WATCH["on"] = True


def relu(x):
    watch(x.abs())
    return torch.relu(x)


def max_pool(x):
    if WATCH["on"]:
        n, c, h, w = x.shape
        windows = x.reshape(n, c, h // 2, 2, w // 2, 2).transpose(3, 4).reshape(-1, 4)
        top = windows.topk(2).values
        watch((top[:, 0] - top[:, 1])[top[:, 0] > 0])
    return F.max_pool2d(x, 2)


# Models, each with a second, NumPy, version: by_hand(x, p, buffers, training), which updates the buffers.

def np_conv(x, weight, bias):
    h, w = x.shape[2:]
    x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    corners = [(a, b) for a in range(3) for b in range(3)]
    places = [np.einsum("nchw,oc->nohw", x[:, :, a:a + h, b:b + w], weight[:, :, a, b]) for a, b in corners]
    return sum(places) + bias[:, None, None]


def np_batch_norm(x, name, p, buffers, training):
    mean, var = buffers[name + ".running_mean"], buffers[name + ".running_var"]
    if training:
        size = x.size // x.shape[1]
        running = [(mean, x.mean((0, 2, 3))), (var, x.var((0, 2, 3)) * size / (size - 1))]
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
        for old, new in running:
            old[:] = 0.9 * old + 0.1 * new
    scale = p[name + ".weight"] / np.sqrt(var + 1e-5)
    return (x - mean[:, None, None]) * scale[:, None, None] + p[name + ".bias"][:, None, None]


def np_linear(x, name, p):
    return x @ p[name + ".weight"].T + p[name + ".bias"]


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 5)
        self.bn1.num_batches_tracked = self.bn2.num_batches_tracked = None

    def forward(self, x):
        h = relu(self.bn1(self.conv1(x)))
        h = relu(h + self.bn2(self.conv2(h)))
        return self.fc(h.mean((2, 3)))

    @staticmethod
    def by_hand(x, p, buffers, training):
        h = np_batch_norm(np_conv(x, p["conv1.weight"], p["conv1.bias"]), "bn1", p, buffers, training).clip(0)
        h = (h + np_batch_norm(np_conv(h, p["conv2.weight"], p["conv2.bias"]), "bn2", p, buffers, training)).clip(0)
        return np_linear(h.mean((2, 3)), "fc", p)


class Perceptron(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(192, 7), nn.Linear(7, 5)

    def forward(self, x):
        return self.fc2(relu(self.fc1(x.flatten(1))))

    @staticmethod
    def by_hand(x, p, buffers, training):
        return np_linear(np_linear(x.reshape(len(x), -1), "fc1", p).clip(0), "fc2", p)


class Convolutional(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.fc1, self.fc2 = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(64, 6), nn.Linear(6, 5)

    def forward(self, x):
        return self.fc2(relu(self.fc1(relu(max_pool(self.conv1(x))).flatten(1))))

    @staticmethod
    def by_hand(x, p, buffers, training):
        h = np_conv(x, p["conv1.weight"], p["conv1.bias"]).clip(0)
        h = h.reshape(len(x), 4, 4, 2, 4, 2).max((3, 5)).reshape(len(x), -1)
        return np_linear(np_linear(h, "fc1", p).clip(0), "fc2", p)


class Bag(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.norm = nn.Embedding(11, 5), nn.LayerNorm(5)
        self.fc1, self.fc2 = nn.Linear(5, 6), nn.Linear(6, 4)

    def forward(self, x):
        return self.fc2(torch.tanh(self.fc1(self.norm(self.embed(x)))).mean(1))

    @staticmethod
    def by_hand(x, p, buffers, training):
        h = p["embed.weight"][x]
        h = (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + 1e-5)
        h = h * p["norm.weight"] + p["norm.bias"]
        return np_linear(np.tanh(np_linear(h, "fc1", p)).mean(1), "fc2", p)


class Tanh(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(3, 5), nn.Linear(5, 2)

    def forward(self, x):
        return self.fc2(torch.tanh(self.fc1(x)))

    @staticmethod
    def by_hand(x, p, buffers, training):
        return np_linear(np.tanh(np_linear(x, "fc1", p)), "fc2", p)


@dataclass
class Problem:
    """A model with its data; θ and buffers come flat."""
    model: nn.Module
    x: torch.Tensor
    y: torch.Tensor
    train_samples: int

    def __post_init__(self):
        n = self.train_samples
        self.train, self.test = (self.x[:n], self.y[:n]), (self.x[n:], self.y[n:])
        self.classifies = self.y.dtype == torch.int64
        self.shapes = {name: p.shape for name, p in self.model.named_parameters()}
        self.buffer_shapes = {name: b.shape for name, b in self.model.named_buffers()}

    def views(self, theta, buffers):
        pieces = {}
        for flat, shapes in [(theta, self.shapes), (buffers, self.buffer_shapes)]:
            split = flat.split([shape.numel() for shape in shapes.values()]) if shapes else []
            pieces.update({name: piece.view(shape) for (name, shape), piece in zip(shapes.items(), split)})
        return pieces

    def initial_buffers(self):
        ones = [torch.full(shape, float("var" in name)) for name, shape in self.buffer_shapes.items()]
        return torch.cat(ones) if ones else torch.zeros(0)

    def outputs(self, theta, buffers, x, training=False):
        self.model.train(training)
        return functional_call(self.model, self.views(theta, buffers), (x,))

    def loss_of(self, outputs, y):
        return F.cross_entropy(outputs, y) if self.classifies else (outputs - y).square().sum(1).mean()

    def loss(self, theta, buffers, data):
        return self.loss_of(self.outputs(theta, buffers, data[0]), data[1])

    def gradient(self, theta, buffers, data):
        theta = theta.detach().clone().requires_grad_()
        loss = self.loss(theta, buffers, data)
        return loss.item(), torch.autograd.grad(loss, theta)[0]

    def measure(self, theta, buffers, data):
        with torch.no_grad():
            outputs = self.outputs(theta, buffers, data[0])
        measured = {"loss": self.loss_of(outputs, data[1]).item()}
        by_hand = self.by_hand(theta, buffers.clone(), data[0], False)
        check(np_loss(by_hand, data[1]), measured["loss"], 1e-13)
        if self.classifies:
            top = outputs.topk(2).values
            watch(top[:, 0] - top[:, 1])
            measured["accuracy"] = (outputs.argmax(1) == data[1]).double().mean().item()
            check((by_hand.argmax(1) == data[1].numpy()).mean(), measured["accuracy"], 1e-14)
        return measured

    def by_hand(self, theta, buffers, x, training):
        pieces = {name: piece.detach().numpy() for name, piece in self.views(theta, buffers).items()}
        return self.model.by_hand(x.numpy(), pieces, pieces, training)


def np_loss(outputs, y):
    y = y.numpy()
    if y.dtype != np.int64:
        return ((outputs - y) ** 2).sum() / len(y)
    return np.mean(np.log(np.exp(outputs).sum(1)) - outputs[np.arange(len(y)), y])


def check(one, two, tolerance):
    """Largest difference by largest value (or 1, if that is larger)."""
    one, two = [torch.as_tensor(x).detach().double() for x in (one, two)]
    assert one.shape == two.shape and torch.isfinite(one).all()
    if one.numel():
        error = ((one - two).abs().max() / max(1.0, two.abs().max())).item()
        assert error < tolerance, (error, tolerance)


# Fits.

def fit(problem, name):
    """By torch.optim on the module; beside it, by formula on the flat θ, and every batch's forward pass by NumPy."""
    model, buffers = problem.model, problem.initial_buffers()
    theta = initial(model)
    with torch.no_grad():
        for key, piece in problem.views(theta, buffers).items():
            model.state_dict()[key].copy_(piece)
    algorithm, rate = {"sgd": (torch.optim.SGD, 0.05), "adam": (torch.optim.Adam, 0.01)}[name]
    optimizer = algorithm(model.parameters(), lr=rate)
    flat = lambda tensors: torch.cat([torch.zeros(0)] + [t.detach().reshape(-1) for t in tensors])
    m, v, steps, epoch_loss = torch.zeros_like(theta), torch.zeros_like(theta), 0, []
    for _ in range(EPOCHS):
        running = 0.0
        for x, y in zip(problem.train[0].split(BATCH), problem.train[1].split(BATCH)):
            model.train()
            np_buffers = flat(model.buffers()).clone()
            np_outputs = problem.by_hand(flat(model.parameters()), np_buffers, x, True)
            optimizer.zero_grad()
            outputs = model(x)
            loss = problem.loss_of(outputs, y)
            loss.backward()
            optimizer.step()
            running += loss.item() * len(x) / problem.train_samples
            check(np_outputs, outputs, 1e-12)
            check(np_buffers, flat(model.buffers()), 1e-13)

            leaf = theta.clone().requires_grad_()
            loss = problem.loss_of(problem.outputs(leaf, buffers, x, training=True), y)
            g, steps = torch.autograd.grad(loss, leaf)[0], steps + 1
            if name == "sgd":
                theta = theta - rate * g
            else:
                m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
                theta = theta - rate * (m / (1 - 0.9**steps)) / ((v / (1 - 0.999**steps)).sqrt() + 1e-8)
        epoch_loss.append(running)
    check(theta, flat(model.parameters()), 1e-10)
    check(buffers, flat(model.buffers()), 1e-10)
    theta, buffers = flat(model.parameters()), flat(model.buffers())
    final = {part: problem.measure(theta, buffers, getattr(problem, part)) for part in ("train", "test")}
    return theta, buffers, {"epoch_loss": epoch_loss, **final}


# Measurements at a point.

def curvature(problem, theta, buffers):
    size = len(theta)
    loss, gradient = problem.gradient(theta, buffers, problem.train)
    with unwatched():
        objective = lambda t: problem.loss(t, buffers, problem.train)
        slope = lambda t: problem.gradient(t, buffers, problem.train)[1]
        with torch.no_grad():
            rises = [objective(theta + e) - objective(theta - e) for e in 1e-6 * torch.eye(size)]
        check(torch.stack(rises) / 2e-6, gradient, 1e-8)
        dense = torch.autograd.functional.hessian(objective, theta)
        # Behind LayerNorm, torch.func.hessian gets norm.weight's rows by embed.weight wrong (PyTorch 2.11).
        if not isinstance(problem.model, Bag):
            check(torch.func.hessian(objective)(theta), dense, 1e-12)
        # So small a step that no kink is crossed.
        bends = [slope(theta + e) - slope(theta - e) for e in 1e-7 * torch.eye(size)]
        check(torch.stack(bends) / 2e-7, dense, 1e-7)
        products = []
        for k in range(3):
            v = vector(k, size)
            leaf = theta.clone().requires_grad_()
            live = torch.autograd.grad(objective(leaf), leaf, create_graph=True)[0]
            products.append(torch.autograd.grad(live @ v, leaf)[0])
            check(products[-1], dense @ v, 1e-12)
    eigenvalues = torch.linalg.eigvalsh((dense + dense.T) / 2)
    check(scipy.linalg.eigvalsh(dense.numpy()), eigenvalues, 1e-12)
    trace = dense.trace().item()
    check(eigenvalues.sum(), trace, 1e-12)
    return loss, gradient, products, dense, eigenvalues, trace


def sharpness(problem, theta, buffers, epsilon=1e-2, steps=6):
    """src/analysis/sharpness.rs with one start, y = 0."""
    half = (theta.abs() + 1) * epsilon
    base, gradient = problem.gradient(theta, buffers, problem.train)
    y, loss, best, step, gradients = torch.zeros_like(theta), base, base, 2.0, 0
    points = [theta]
    while gradients < steps and step >= 1 / 64:
        assert ((gradient == 0) | (gradient.abs() > 1e-10)).all()  # no sign hangs on rounding
        following = (y + gradient.sign() * half * step).maximum(-half).minimum(half)
        there, its_gradient = problem.gradient(theta + following, buffers, problem.train)
        gradients += 1
        points.append(theta + following)
        assert abs(there - loss) > 1e-9 or following.equal(y)
        if there > loss:
            y, loss, gradient = following, there, its_gradient
        else:
            step /= 2
        best = max(best, there)
    percent = 100 * (best - base) / (1 + base)
    losses = [np_loss(problem.by_hand(t, buffers.clone(), problem.train[0], False), problem.train[1]) for t in points]
    check(100 * (max(losses) - losses[0]) / (1 + losses[0]), percent, 1e-11)
    assert all(((t - theta).abs() <= half * (1 + 1e-9)).all() for t in points)
    return {"percent": percent, "gradients": 1 + gradients}


def filter_normalised(problem, theta, raw):
    """src/analysis/surface.rs: rows as long as θ's, slices of fewer than two dimensions 0."""
    slices, sizes = [], [shape.numel() for shape in problem.shapes.values()]
    own, drawn = [dict(zip(problem.shapes, flat.split(sizes))) for flat in (theta, raw)]
    for name, shape in problem.shapes.items():
        if len(shape) < 2:
            slices.append(torch.zeros(shape))
            continue
        rows, own_rows = drawn[name].reshape(shape[0], -1), own[name].reshape(shape[0], -1)
        slices.append((rows * (own_rows.norm(dim=1) / rows.norm(dim=1))[:, None]).reshape(-1))
        for i, row in enumerate(slices[-1].reshape(shape[0], -1)):
            check(sqrt(sum(x * x for x in row.tolist())), sqrt(sum(x * x for x in own_rows[i].tolist())), 1e-13)
            check((row @ rows[i]), row.norm() * rows[i].norm(), 1e-13)
    return torch.cat(slices)


def sensitivity(problem, theta, buffers):
    """src/analysis/sensitivity.rs over the test inputs; the Jacobians also by finite differences."""
    images, norms, jacobians = problem.test[0], [], []

    def answer(x):
        outputs = problem.outputs(theta, buffers, x)
        return outputs.softmax(1) if problem.classifies else outputs

    for x in images:
        jacobians.append(torch.autograd.functional.jacobian(lambda x: answer(x[None])[0], x).reshape(-1, x.numel()))
        with unwatched(), torch.no_grad():
            moves = 1e-6 * torch.eye(x.numel()).reshape(-1, *x.shape)
            check((answer(x + moves) - answer(x - moves)).T / 2e-6, jacobians[-1], 1e-8)
    norm = torch.stack([j.norm() for j in jacobians]).mean().item()
    if not problem.classifies:
        return {"jacobian_norm_of_outputs": norm}
    by_samples = []
    for start in range(0, len(images) - SENSITIVITY_BATCH + 1, SENSITIVITY_BATCH):
        x = images[start:start + SENSITIVITY_BATCH].clone().requires_grad_()
        outputs = problem.outputs(theta, buffers, x)
        loss = F.cross_entropy(outputs, outputs.argmax(1))
        norms.append(torch.autograd.grad(loss, x)[0].norm())
        # -log p of the largest p: its gradient is minus that of p by p, from the Jacobian above.
        squares = 0.0
        for i in range(SENSITIVITY_BATCH):
            p = outputs[i].softmax(0)
            squares += (jacobians[start + i][p.argmax()] / p.max() / SENSITIVITY_BATCH).square().sum()
        by_samples.append(squares.sqrt())
    check(torch.stack(by_samples), torch.stack(norms), 1e-12)
    return {"jacobian_norm": norm, "input_gradient_norm": torch.stack(norms).mean().item()}


def short(values):
    return [0.0 if abs(x) < 1e-14 else float(f"{x:.11g}") for x in values.tolist()]


def golden(problem):
    size = sum(shape.numel() for shape in problem.shapes.values())
    every = EVERY if size > LARGE else 1
    some = lambda flat: short(flat[::every])
    theta, buffers, sgd = fit(problem, "sgd")
    adam_theta, adam_buffers, adam = fit(problem, "adam")
    loss, gradient, products, dense, eigenvalues, trace = curvature(problem, theta, buffers)
    measured = problem.measure(theta, buffers, problem.train)
    assert loss == sgd["train"]["loss"] == measured["loss"]

    t = [-1.0, -0.5, 0.0, 0.5, 1.0]
    slices = [problem.measure(theta + s * vector(3, size) / 4, buffers, problem.train)["loss"] for s in t]
    assert slices[2] == loss
    direction = filter_normalised(problem, theta, vector(4, size))
    alphas = [0.0, 0.25, 0.5, 0.75, 1.0]
    line = {"alpha": alphas}
    for part in ("train", "test"):
        data = getattr(problem, part)
        line[part] = [problem.measure(theta.lerp(adam_theta, a), buffers.lerp(adam_buffers, a), data) for a in alphas]
        assert line[part][0] == sgd[part]
        check(line[part][-1]["loss"], adam[part]["loss"], 1e-14)
    with torch.no_grad():
        outputs = problem.outputs(theta, buffers, problem.test[0][:3])
    check(problem.by_hand(theta, buffers, problem.test[0][:3], False), outputs, 1e-13)

    result = {
        "parameters": size,
        "every": every,
        "slots": [[name, list(shape)] for name, shape in problem.shapes.items()],
        "buffers": [[name, list(shape)] for name, shape in problem.buffer_shapes.items()],
        "fit": {
            "sgd": {**sgd, "theta": theta.tolist(), "buffers": buffers.tolist()},
            "adam": {**adam, "theta": some(adam_theta), "buffers": short(adam_buffers)},
        },
        **measured,
        "gradient": some(gradient),
        "products": [some(product) for product in products],
        "eigenvalues": short(eigenvalues),
        "top": eigenvalues.flip(0)[:3].tolist(),
        "trace": trace,
        "sharpness": sharpness(problem, theta, buffers),
        "slices": {"t": t, "loss": slices},
        "filter_normalised": some(direction),
        "norms": {
            "adam_theta": adam_theta.norm().item(), "gradient": gradient.norm().item(),
            "products": [product.norm().item() for product in products], "filter_normalised": direction.norm().item(),
        },
        "line": line,
        "outputs": outputs.tolist(),
    }
    if problem.x.is_floating_point():
        result["sensitivity"] = sensitivity(problem, theta, buffers)
    if not problem.classifies:
        result["hessian"] = short(dense.reshape(-1))
    return result


def main():
    images, of_images = reals((34, 3, 8, 8)), labels(34, 5)
    tokens = (q(torch.arange(28 * 6)) % 11).reshape(28, 6)
    cases = {
        "residual": {"residual": Problem(Residual(), images, of_images, 24)},
        "pictures": {
            "mlp": Problem(Perceptron(), images, of_images, 24),
            "cnn": Problem(Convolutional(), images, of_images, 24),
        },
        "tokens": {"bag": Problem(Bag(), tokens, labels(28, 4), 20)},
        "values": {"tanh": Problem(Tanh(), reals((22, 3)), reals((22, 2), 1000, 128), 16)},
    }
    assert torch.__version__.startswith("2.11.0"), torch.__version__
    goldens = {"about": __doc__, "torch": torch.__version__, "cases": {
        case: {name: golden(problem) for name, problem in models.items()} for case, models in cases.items()
    }}
    with open(os.path.join(HERE, "kinds.json"), "w") as file:
        json.dump(goldens, file, separators=(",", ":"), allow_nan=False)
        file.write("\n")
    print("nearest kink", WATCH["least"])


if __name__ == "__main__":
    main()
