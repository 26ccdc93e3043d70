"""Two trained networks for `hw1 analyse`, and what others measure of them. By hand, not in CI.

    python tests/trained.py OUT                 trains (about a minute each on one thread), exports
    python tests/trained.py OUT --peers         and compares (pip install curvlinops-for-pytorch hessian-eigenthings pyhessian)

Into OUT: resnet.npz, .pth, .safetensors, .pt2: a ResNet of BasicBlocks 2-2-2-2 and BatchNorm, width 16, on 12,000 drawn
colour images of 10 shapes; gpt.…: 4 layers of width 64, tied weights, on text of a small grammar, 64 characters a sample.
What is there already is kept. With --peers, OUT/peers.json and a table: of the first --subset training samples in batches of
--batch, in eval mode, float32 and float64, with attention's plain formula: loss, accuracy, gradient norm; the 5 largest
eigenvalues of the Hessian as each peer finds them with --products Hessian-vector products, the trace of as many by
pyhessian, and the seconds each took: of the processor, on one thread, which other work on the machine sways less, and by
the clock. First, how far a product of curvlinops and hessian-eigenthings is from one of autograd's double backward, as a
share of its largest entry: curvlinops 3.0.1 is off at the weights of LayerNorms (differences of the gradient side with
autograd), so do not hold the GPT's numbers to its. More than 50 products make hessian-eigenthings leave reorthogonalisation
out, and repeat eigenvalues.
"""
import argparse
import json
import math
import pathlib
import subprocess
import sys
import time
import warnings

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

ROOT = pathlib.Path(__file__).resolve().parent.parent
CHARACTERS = " .abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
CONTEXT = 64


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.downsample = nn.Sequential()
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True))) + self.downsample(x), inplace=True)


class ResNet(nn.Module):
    def __init__(self, width=16, classes=10):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        sizes = [width * 2**i for i in range(4)]
        self.layers = nn.Sequential(*[nn.Sequential(Block(a, b, s), Block(b, b, 1)) for a, b, s in zip([width, *sizes], sizes, [1, 2, 2, 2])])
        self.fc = nn.Linear(sizes[-1], classes)

    def forward(self, x):
        return self.fc(self.layers(F.relu(self.bn1(self.conv1(x)), inplace=True)).mean((2, 3)))


class Layer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.norm1, self.norm2 = heads, nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        n, places, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(n, places, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        h = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.project(h.transpose(1, 2).reshape(n, places, width))
        return x + self.mlp(self.norm2(x))


class Gpt(nn.Module):
    def __init__(self, layers=4, width=64, heads=4):
        super().__init__()
        self.embed, self.place = nn.Embedding(len(CHARACTERS), width), nn.Embedding(CONTEXT, width)
        self.layers, self.norm = nn.ModuleList(Layer(width, heads) for _ in range(layers)), nn.LayerNorm(width)
        self.head = nn.Linear(width, len(CHARACTERS), bias=False)
        for module in [self.embed, self.place]:
            nn.init.normal_(module.weight, std=0.02)
        self.head.weight = self.embed.weight

    def forward(self, ids):
        x = self.embed(ids) + self.place(torch.arange(ids.shape[1], device=ids.device))
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))


def images(n, rng):
    """uint8 [n, 3, 32, 32] and labels: one of ten shapes, in some colour, place, size and turn, on a noisy ground."""
    y = rng.integers(0, 10, n)
    rows, columns = np.mgrid[0:32, 0:32]
    x = np.empty((n, 3, 32, 32), "uint8")
    for i, label in enumerate(y):
        r, turn = rng.uniform(7, 12), rng.uniform(-0.3, 0.3)
        u, v = rows - rng.uniform(12, 20), columns - rng.uniform(12, 20)
        u, v = u * math.cos(turn) - v * math.sin(turn), u * math.sin(turn) + v * math.cos(turn)
        d, box = np.hypot(u, v), np.maximum(abs(u), abs(v))
        inside = [d < r, (d < r) & (d > 0.6 * r), box < 0.85 * r, (box < 0.9 * r) & (box > 0.5 * r), (abs(v) < (u + r) / 2) & (u < 0.8 * r),
                  (box < r) & (np.minimum(abs(u), abs(v)) < 0.25 * r), (box < r) & (np.sin(u * 1.2) > 0), (box < r) & (np.sin(v * 1.2) > 0),
                  (box < r) & (np.sin(u) * np.sin(v) > 0), abs(u) + abs(v) < r][label]
        ground, colour = rng.uniform(40, 215, (2, 3, 1, 1))
        ramp = rng.uniform(-1, 1) * (rows - 16) + rng.uniform(-1, 1) * (columns - 16)
        picture = np.where(inside, 0.2 * ground + 0.8 * colour, ground) + ramp + rng.normal(0, 18, (3, 32, 32))
        x[i] = picture.clip(0, 255)
    return x, y


def text(length, rng):
    names, things = "Anna Bob Carla Dirk Eve Finn Greta Hugo Ida Jan Kim Lea".split(), "cat dog bird book lamp tree ship stone apple door quilt fox".split()
    verbs, colours = "sees takes finds draws buys wants jumps zaps".split(), "red blue green grey white yellow violet".split()
    pick = lambda words: words[rng.integers(len(words))]
    def number(): return str(rng.integers(2, 100))
    def thing(): return f"{number()} {pick(colours)} {pick(things)}s" if rng.random() < 0.5 else f"the {pick(colours)} {pick(things)}"
    def clause(): return f"{pick(names)} {pick(verbs)} {thing()}"
    def total():
        a, b = rng.integers(1, 50, 2)
        return f"{a} and {b} is {a + b}"
    kinds = [clause, lambda: f"{clause()} and {clause()}", lambda: f"When {clause()} then {clause()}", total, lambda: f"{pick(names)} says that {clause()}"]
    parts, size = [], 0
    while size < length:
        parts.append(pick(kinds)() + ". ")
        size += len(parts[-1])
    return "".join(parts)[:length]


def tokens(n, rng):
    ids = np.array([CHARACTERS.index(c) for c in text(n * CONTEXT + 1, rng)], "int64")
    return ids[:-1].reshape(n, CONTEXT), ids[1:].reshape(n, CONTEXT)


def scaled(x):
    """What hw1 gives a network: bytes as shares of 1."""
    return torch.as_tensor(x).float() / 255 if x.dtype == np.uint8 else torch.as_tensor(x)


def loss_of(outputs, y):
    return F.cross_entropy(outputs.reshape(-1, outputs.shape[-1]), y.reshape(-1))


def accuracy(model, x, y):
    with torch.no_grad():
        right = [(model(scaled(x[i : i + 250])).argmax(-1) == torch.as_tensor(y[i : i + 250])).double().mean().item() for i in range(0, len(x), 250)]
    return float(np.mean(right))


def train(model, data, epochs, rate, batch):
    x, y = data["x_train"], data["y_train"]
    steps = epochs * (len(x) // batch)
    optimizer = torch.optim.AdamW(model.parameters(), rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps)
    start = time.time()
    for epoch in range(epochs):
        model.train()
        for rows in torch.randperm(len(x)).split(batch)[: len(x) // batch]:
            optimizer.zero_grad()
            loss = loss_of(model(scaled(x[rows])), torch.as_tensor(y[rows]))
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"  epoch {epoch + 1} of {epochs}, {time.time() - start:.0f} s, loss of the last batch {loss.item():.4f}", flush=True)
    model.eval()
    print(f"  test accuracy {accuracy(model, data['x_test'], data['y_test']):.4f}")


def make(name, out, model, draw, settings, shape):
    if not (out / f"{name}.npz").exists():
        rng = np.random.default_rng(1)
        (x, y), (x_test, y_test) = draw(rng)
        np.savez(out / f"{name}.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    if not (out / f"{name}.pth").exists():
        print(f"{name}: {sum(p.numel() for p in model.parameters())} parameters", flush=True)
        train(model, np.load(out / f"{name}.npz"), **settings)
        torch.save(model.state_dict(), out / f"{name}.pth")
    if not (out / f"{name}.pt2").exists():
        subprocess.run([sys.executable, ROOT / "python" / "hw1_export.py", f"{__file__}:{type(model).__name__}", "--weights", out / f"{name}.pth",
                        "--input", shape, "-o", out / f"{name}.pt2", "--safetensors", out / f"{name}.safetensors"], check=True)


class Loss(nn.CrossEntropyLoss):
    """Of [n, places, classes] too."""

    def forward(self, outputs, y):
        return super().forward(outputs.reshape(-1, outputs.shape[-1]), y.reshape(-1))


def peers(name, model, out, kind, subset, batch, products):
    """What PyTorch and three peers say of a network in one precision: {what: (value, seconds of the processor, of the clock)}."""
    import curvlinops
    import hessian_eigenthings
    import pyhessian
    from scipy.sparse.linalg import ArpackNoConvergence, eigsh

    torch.set_default_dtype(kind)
    model.load_state_dict(torch.load(out / f"{name}.pth", weights_only=True))
    model.to(kind).eval()
    data = np.load(out / f"{name}.npz")
    x, y = scaled(data["x_train"][:subset]), torch.as_tensor(data["y_train"][:subset])
    x = x.to(kind) if x.is_floating_point() else x
    batches = list(zip(x.split(batch), y.split(batch)))
    assert all(len(a) == len(batches[0][0]) for a, _ in batches), "--batch must divide --subset"
    found = {}

    def timed(what, compute):
        torch.manual_seed(0)
        start = time.process_time(), time.time()
        try:
            value = compute()
        except Exception as error:
            value = f"{type(error).__name__}: {str(error)[:150]}"
        found[what] = (value, time.process_time() - start[0], time.time() - start[1])
        print(f"  {str(kind)[6:]} {what}: {value} ({found[what][1]:.1f} s, {found[what][2]:.1f} s by the clock)", flush=True)

    def own():
        parameters = list(model.parameters())
        loss, right, g = 0.0, 0.0, [torch.zeros_like(p) for p in parameters]
        for a, b in batches:
            outputs = model(a)
            value = loss_of(outputs, b)
            for total, part in zip(g, torch.autograd.grad(value, parameters)):
                total += part / len(batches)
            loss, right = loss + value.item() / len(batches), right + (outputs.argmax(-1) == b).double().mean().item() / len(batches)
        return [loss, right, math.sqrt(sum((v.double() ** 2).sum().item() for v in g))]

    def hessian():
        model.zero_grad(set_to_none=True)
        return pyhessian.hessian(model, loss_of, dataloader=batches, cuda=False) if len(batches) > 1 else pyhessian.hessian(model, loss_of, data=batches[0], cuda=False)

    def by_pyhessian():
        # Its power iteration is once for every eigenvalue; it reads gradients that a backward pass has left.
        loss_of(model(x[:1]), y[:1]).backward()
        return sorted((float(v) for v in hessian().eigenvalues(maxIter=products // 5, tol=0, top_n=5)[0]), reverse=True)

    def trace_by_pyhessian():
        loss_of(model(x[:1]), y[:1]).backward()
        values = hessian().trace(maxIter=products, tol=0)
        return [float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(len(values)))]

    def by_curvlinops():
        operator = curvlinops.HessianLinearOperator(model, Loss(), [p for p in model.parameters()], batches, check_deterministic=False)
        size = operator.shape[0]
        start = np.random.default_rng(0).standard_normal(size)
        try:
            values = eigsh(operator.to_scipy(), k=5, which="LA", ncv=products, maxiter=1, v0=start.astype("float64" if kind is torch.float64 else "float32"), tol=1e-3, return_eigenvectors=False)
        except ArpackNoConvergence as some:
            values = some.eigenvalues
        return sorted((float(v) for v in values), reverse=True)

    def by_eigenthings():
        operator = hessian_eigenthings.HessianOperator(model, batches, hessian_eigenthings.supervised_loss(loss_of))
        return sorted((float(v) for v in hessian_eigenthings.lanczos(operator, k=5, max_iter=products, which="LA", seed=0).eigenvalues), reverse=True)

    def products_off():
        parameters = list(model.parameters())
        v = [torch.randn_like(p) for p in parameters]
        g = torch.autograd.grad(loss_of(model(batches[0][0]), batches[0][1]), parameters, create_graph=True)
        exact = torch.cat([h.reshape(-1) for h in torch.autograd.grad(sum((a * b).sum() for a, b in zip(g, v)), parameters)])
        flat = torch.cat([u.reshape(-1) for u in v])
        one = batches[:1]
        curv = curvlinops.HessianLinearOperator(model, Loss(), parameters, one, check_deterministic=False) @ flat
        things = hessian_eigenthings.HessianOperator(model, one, hessian_eigenthings.supervised_loss(loss_of)).matvec(flat)
        return [((h.detach() - exact).abs().max() / exact.abs().max()).item() for h in [curv, things]]

    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        timed("products of curvlinops, eigenthings off by", products_off)
        timed("loss, accuracy, gradient norm by PyTorch", own)
        timed("top 5 by curvlinops", by_curvlinops)
        timed("top 5 by hessian-eigenthings", by_eigenthings)
        timed("top 5 by pyhessian", by_pyhessian)
        timed("trace and its error by pyhessian", trace_by_pyhessian)
    torch.set_default_dtype(torch.float32)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--subset", type=int, default=512)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--products", type=int, default=50)
    parser.add_argument("--only", choices=["resnet", "gpt"])
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    args.out.mkdir(parents=True, exist_ok=True)
    networks = {
        "resnet": (ResNet, lambda rng: (images(10_000, rng), images(2_000, rng)), dict(epochs=2, rate=2e-3, batch=50), "1,3,32,32"),
        "gpt": (Gpt, lambda rng: (tokens(8_000, rng), tokens(1_000, rng)), dict(epochs=3, rate=4e-3, batch=50), f"1,{CONTEXT}:int64"),
    }
    networks = {name: v for name, v in networks.items() if args.only in (None, name)}
    for name, (model, draw, settings, shape) in networks.items():
        make(name, args.out, model(), draw, settings, shape)
    if not args.peers:
        return
    path = args.out / "peers.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    for name, (model, *_) in networks.items():
        print(f"{name}: the first {args.subset} training samples in batches of {args.batch}, {args.products} products", flush=True)
        results[name] = {"subset": args.subset, "batch": args.batch, "products": args.products, "torch": torch.__version__}
        for kind in [torch.float32, torch.float64]:
            results[name][str(kind)[6:]] = peers(name, model(), args.out, kind, args.subset, args.batch, args.products)
            others = json.loads(path.read_text()) if path.exists() else {}  # of a run beside this one
            results = others | {k: v for k, v in results.items() if k in networks}
            path.write_text(json.dumps(results, indent=1))
    for name, of in results.items():
        print(f"\n{name}, {of['subset']} samples")
        for kind in ["float32", "float64"]:
            for what, (value, seconds, clock) in of.get(kind, {}).items():
                shown = ", ".join(f"{v:.6g}" for v in value) if isinstance(value, list) else value
                print(f"  {kind}  {what:42s} {seconds:8.1f} s ({clock:.1f} s)  {shown}")


if __name__ == "__main__":
    main()
