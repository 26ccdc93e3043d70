"""Golden numbers from PyTorch, for the tests. Writes the JSON files beside this script.

    python tests/goldens/make.py        (torch 2.11, numpy and scikit-learn; any venv outside the repository)

Initial weights come from a formula that both sides compute exactly, so that no weights are stored.
"""
import json
import os

import numpy as np
import torch
from sklearn.decomposition import PCA

HERE = os.path.dirname(os.path.abspath(__file__))
torch.set_num_threads(1)


def write(name, value):
    with open(os.path.join(HERE, name), "w") as file:
        json.dump(value, file, separators=(",", ":"))
        file.write("\n")


def knuth(count):
    """Scrambled but exact: Knuth's multiplicative hash of 1 … count, scaled into [-1, 1)."""
    return [((i * 2654435761) % 2**32) / 2**31 - 1 for i in range(1, count + 1)]


def optimizers():
    """50 steps in float64 along a gradient that is no potential's and never settles."""
    size = 7
    settings = [
        ("adam", 1e-3, 0.0, 0.0),
        ("adam", 3e-2, 0.0, 0.1),
        ("sgd", 1e-2, 0.0, 0.0),
        ("sgd", 1e-2, 0.9, 0.0),
        ("sgd", 1e-2, 0.5, 0.1),
    ]
    goldens = []
    for name, learning_rate, momentum, weight_decay in settings:
        initial = knuth(size)
        theta = torch.nn.Parameter(torch.tensor(initial, dtype=torch.float64))
        scale = torch.linspace(0.1, 3.0, size, dtype=torch.float64)
        if name == "adam":
            optimizer = torch.optim.Adam([theta], lr=learning_rate, weight_decay=weight_decay)
        else:
            optimizer = torch.optim.SGD([theta], lr=learning_rate, momentum=momentum, weight_decay=weight_decay)
        for step in range(50):
            theta.grad = ((theta * scale + step).sin() * scale).detach()
            optimizer.step()
        goldens.append({
            "optimizer": name, "learning_rate": learning_rate, "momentum": momentum, "weight_decay": weight_decay,
            "initial": initial, "final": theta.tolist(),
        })
    write("optimizers.json", goldens)


SIMULATE = [
    ("sin-sq", (-2, 2), 4000, ["1-10-20-20-20-20-20-20-1", "1-10-20-30-20-1", "1-20-30-1"]),
    ("sign-sin", (-1, 1), 6000, ["1-5-10-10-10-10-10-5-1", "1-10-18-15-4-1", "1-190-1"]),
]
TARGETS = {"sin-sq": lambda x: np.sin(x) + x**2, "sign-sin": lambda x: np.sign(np.sin(5 * np.pi * x))}


def mlp(text):
    """A ReLU network by its widths, with weights from the formula."""
    widths = [int(width) for width in text.split("-")]
    layers = []
    for inputs, outputs in zip(widths, widths[1:]):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    numbers = iter(knuth(sum(p.numel() for p in model.parameters())))
    with torch.no_grad():
        for layer in layers[::2]:
            for parameter in (layer.weight, layer.bias):
                values = [next(numbers) / layer.in_features**0.5 for _ in range(parameter.numel())]
                parameter.copy_(torch.tensor(values, dtype=torch.float64).reshape(parameter.shape))
    return model


def simulate():
    """The report's models from given initial weights: the losses of the first 100 epochs."""
    goldens = []
    for function, domain, points, models in SIMULATE:
        grid = np.linspace(*domain, points)
        x = torch.tensor(grid, dtype=torch.float32).reshape(-1, 1)
        y = torch.tensor(TARGETS[function](grid), dtype=torch.float32).reshape(-1, 1)
        for text in models:
            model = mlp(text)
            optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
            losses = []
            for _ in range(100):
                optimizer.zero_grad()
                loss = torch.nn.MSELoss()(model(x), y)
                loss.backward()
                optimizer.step()
                losses.append(float(f"{loss.item():.7g}"))
            goldens.append({"function": function, "model": text, "train_loss": losses})
    write("simulate.json", goldens)


CLASSIFIERS = {
    "conv5-conv15-128-10": ([5, 15], [128]),
    "conv16-conv32-128-10": ([16, 32], [128]),
    "conv32-conv64-256-128-10": ([32, 64], [256, 128]),
    "784-128-64-10": ([], [128, 64]),
}
BATCHES, BATCH_SIZE = 12, 16


class Classifier(torch.nn.Module):
    def __init__(self, channels, hidden, inputs=1, side=28):
        super().__init__()
        self.convolutions = torch.nn.ModuleList()
        for outputs in channels:
            self.convolutions.append(torch.nn.Conv2d(inputs, outputs, 3, padding=1))
            inputs = outputs
        side >>= len(channels)
        widths = [inputs * side * side, *hidden, 10]
        self.linears = torch.nn.ModuleList(torch.nn.Linear(a, b) for a, b in zip(widths, widths[1:]))

    def forward(self, x):
        for convolution in self.convolutions:
            x = torch.nn.functional.max_pool2d(torch.relu(convolution(x)), 2)
        x = x.flatten(1)
        for linear in self.linears[:-1]:
            x = torch.relu(linear(x))
        return torch.log_softmax(self.linears[-1](x), 1)


def scramble(model, first=1):
    """Weights from Knuth's numbers first, first + 1, …, scaled by 1/√fan_in."""
    parameters = sum(p.numel() for p in model.parameters())
    numbers = iter(knuth(first - 1 + parameters)[first - 1:])
    with torch.no_grad():
        for layer in [*model.convolutions, *model.linears]:
            fan_in = layer.weight[0].numel()
            for parameter in (layer.weight, layer.bias):
                values = [next(numbers) / fan_in**0.5 for _ in range(parameter.numel())]
                parameter.copy_(torch.tensor(values, dtype=torch.float64).reshape(parameter.shape))


def classifiers():
    """Mini-batch Adam on scrambled images: the loss of each batch before its step."""
    images = torch.tensor(knuth(BATCHES * BATCH_SIZE * 784), dtype=torch.float32).reshape(-1, 1, 28, 28)
    labels = torch.arange(BATCHES * BATCH_SIZE) * 7 % 10
    goldens = []
    for text, (channels, hidden) in CLASSIFIERS.items():
        model = Classifier(channels, hidden)
        scramble(model)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        losses = []
        for x, y in zip(images.split(BATCH_SIZE), labels.split(BATCH_SIZE)):
            optimizer.zero_grad()
            loss = torch.nn.functional.nll_loss(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(float(f"{loss.item():.7g}"))
        goldens.append({"model": text, "batch_size": BATCH_SIZE, "loss": losses})
    write("classifiers.json", goldens)


CIFAR_TRAIN, CIFAR_BATCH = 640, 32


def cifar_byte(i):
    """Bytes that look like nothing, but for the light of a class's own square: exact on both sides."""
    noise = (i * 2654435761 % 2**32) >> 25
    image, number = divmod(i, 3072)
    channel, place = divmod(number, 1024)
    row, column = divmod(place, 32)
    label = image * 7 % 10
    is_lit = row // 7 == label % 4 and column // 11 == label // 4 and channel != label % 3
    return noise + 100 * is_lit


def cifar():
    """CIFAR's binary records: normalised by channel, then Adam over them in their order, five times."""
    raw = np.array([cifar_byte(i) for i in range(CIFAR_TRAIN * 3072)], dtype=np.uint8).reshape(-1, 3, 32, 32)
    mean, deviation = [f(raw / 255, axis=(0, 2, 3)).reshape(1, 3, 1, 1) for f in (np.mean, np.std)]
    images = torch.tensor((raw / 255 - mean) / deviation, dtype=torch.float32)
    labels = torch.arange(CIFAR_TRAIN) * 7 % 10
    model = Classifier([32, 64], [256], inputs=3, side=32)
    scramble(model)
    # Slow enough that rounding does not grow into another path.
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    losses = []
    for _ in range(5):
        for x, y in zip(images.split(CIFAR_BATCH), labels.split(CIFAR_BATCH)):
            optimizer.zero_grad()
            loss = torch.nn.functional.nll_loss(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(float(f"{loss.item():.7g}"))
    assert len(losses) == 100
    write("cifar.json", {
        "mean": mean.ravel().tolist(), "deviation": deviation.ravel().tolist(), "batch_size": CIFAR_BATCH, "loss": losses,
    })


HESSIANS = [("1-5-4-3-1", 30), ("1-10-20-30-1", 2000)]


def hessians():
    """Hessians of the mean squared error on cos(x)/x in float64: all entries of a small one, and for the
    report's its product with a vector and its eigenvalues."""
    goldens = []
    for text, points in HESSIANS:
        model = mlp(text).double()
        x = torch.linspace(1, 5, points, dtype=torch.float64).reshape(-1, 1)
        y = torch.cos(x) / x
        parameters = dict(model.named_parameters())
        sizes = [p.numel() for p in parameters.values()]
        theta = torch.cat([p.detach().reshape(-1) for p in parameters.values()])

        def loss(flat):
            pieces = zip(parameters.items(), flat.split(sizes))
            named = {name: piece.reshape(p.shape) for (name, p), piece in pieces}
            return torch.nn.functional.mse_loss(torch.func.functional_call(model, named, (x,)), y)

        hessian = torch.func.hessian(loss)(theta)
        golden = {"model": text, "points": points, "loss": loss(theta).item()}
        golden["product"] = (hessian @ torch.tensor(knuth(len(theta)), dtype=torch.float64)).tolist()
        if len(theta) < 100:
            golden["entries"] = hessian.reshape(-1).tolist()
        golden["eigenvalues"] = torch.linalg.eigvalsh(hessian).tolist()
        goldens.append(golden)
    write("hessians.json", goldens)


def principal_components():
    """scikit-learn's PCA of rows of the formula's numbers, of very different size."""
    rows, length = 12, 400
    x = np.array(knuth(rows * length)).reshape(rows, length) * np.logspace(0, -3, length) + np.arange(length) / 100
    pca = PCA(n_components=3, svd_solver="full")
    scores = pca.fit_transform(x)
    write("pca.json", {
        "rows": rows, "length": length, "scores": scores.T.tolist(),
        "explained_variance_ratio": pca.explained_variance_ratio_.tolist(),
    })


LINE_AND_SENSITIVITY = {"conv8-conv16-128-10": ([8, 16], [128]), "784-128-64-10": ([], [128, 64])}
SAMPLES = 48


def scrambled_images():
    """In float64, as MNIST's are: most of a picture is one grey. And labels."""
    images = torch.tensor(knuth(SAMPLES * 784), dtype=torch.float64).reshape(-1, 1, 28, 28)
    return images.clamp(min=0) * 3 - 0.4242, torch.arange(SAMPLES) * 7 % 10


def sensitivity():
    """Both sensitivities by autograd, sample by sample and batch by batch, in float64."""
    images, _ = scrambled_images()
    goldens = []
    for text, (channels, hidden) in LINE_AND_SENSITIVITY.items():
        model = Classifier(channels, hidden).double()
        scramble(model)
        norms = []
        for x in images.split(BATCH_SIZE):
            x = x.clone().requires_grad_()
            log_p = model(x)
            loss = torch.nn.functional.nll_loss(log_p, log_p.argmax(1))
            norms.append(torch.autograd.grad(loss, x)[0].norm())
        jacobians = [
            torch.autograd.functional.jacobian(lambda x: model(x[None])[0].exp(), x).norm() for x in images
        ]
        goldens.append({
            "model": text, "batch_size": BATCH_SIZE, "input_gradient_norm": torch.stack(norms).mean().item(),
            "jacobian_norm": torch.stack(jacobians).mean().item(),
        })
    write("sensitivity.json", goldens)


def interpolation():
    """Loss and accuracy between, and beyond, two networks: Knuth's numbers 1 … n, and those behind."""
    images, labels = scrambled_images()
    goldens = []
    for text, (channels, hidden) in LINE_AND_SENSITIVITY.items():
        first, second, model = [Classifier(channels, hidden).double() for _ in range(3)]
        scramble(first)
        scramble(second, first=1 + sum(p.numel() for p in first.parameters()))
        points = []
        for alpha in [-1.0, 0.0, 0.3, 1.0, 2.5, 20.0]:
            one, two = first.state_dict(), second.state_dict()
            model.load_state_dict({name: one[name].lerp(two[name], alpha) for name in one})
            with torch.no_grad():
                log_p = model(images)
            accuracy = (log_p.argmax(1) == labels).double().mean().item()
            points.append([alpha, torch.nn.functional.nll_loss(log_p, labels).item(), accuracy])
        goldens.append({"model": text, "points": points})
    write("interpolation.json", goldens)


if __name__ == "__main__":
    optimizers()
    simulate()
    classifiers()
    cifar()
    sensitivity()
    interpolation()
    hessians()
    principal_components()
