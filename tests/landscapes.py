"""What PyTorch says of `hw1 analyse`'s lines between two solutions and surfaces around one. By hand, not in CI.

    python tests/landscapes.py make OUT [--data DIR]        two solutions of each network of tests/trained.py (3 minutes each, one thread)
    python tests/landscapes.py line RUN NETWORK DATA FIRST SECOND
    python tests/landscapes.py surface RUN NETWORK DATA WEIGHTS
    python tests/landscapes.py time RUN NETWORK DATA WEIGHTS --threads T        (pip install loss-landscapes)

NETWORK is resnet or gpt, DATA its .npz, RUN the folder of a study; FIRST, SECOND and WEIGHTS are .safetensors.

make     OUT/resnet and OUT/gpt: the data (a link to that of --data, where trained.py wrote it; else drawn), seed0.safetensors and
         seed1.safetensors, trained from torch seeds 0 and 1, the program of seed 0 as .pt2, and in checkpoints/ ten states of seed
         0's training from step-0.safetensors to the last. What is there already is kept.
line     of RUN/metrics.json the trial "line" (--trial): loss and accuracy of (1-α)θ1 + αθ2, buffers likewise, in eval mode; the
         series recalibrated_… after torch.optim.swa_utils.update_bn over the training samples in batches of
         --recalibration-batch in the order of the file (as one batch without it). hw1 shuffles, so these are the same only
         where one batch holds all. Prints the largest relative difference of each series.
surface  of RUN/surface.npz x, y and train_loss [y, x], and of RUN/trials/*.safetensors (--directions) "direction_1.<parameter>"
         along x and "direction_2.<parameter>" along y: the loss at θ + x d1 + y d2, buffers as they are. Prints the largest
         relative difference, and the seconds of the loop.
time     seconds a point of the same loop, and of loss_landscapes.random_plane on as many points (the next square number), its
         metric the same loop over batches; with --one-batch the package's own Loss, of all samples as one batch, too.

--samples N takes the first N training samples, --samples-from FILE (.npy, or text) the rows that it lists; --every K every
K-th point, row by row. Of loss-landscapes 3.0.6, as measured: it moves parameters(), so BatchNorm's weight and bias and not its
running statistics, and leaves the mode as it is: in train mode every point is with batch statistics, and the running ones of the
model given change. The weights given are left moved without deepcopy_model. Its directions are uniform on [0, 1], and filter
normalisation after orthogonal_to undoes that (a cosine of 0.5 in a small network). In vectors (biases, BatchNorm) every number is
a filter: the first direction is |θ| there, the second ±|θ|, up to a factor; a number of 0, as in a bias before training, ends
it with a ZeroDivisionError. Every second column of its grid is shifted by a point against its neighbours.
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
from safetensors.torch import load_file, save_file
from torch.optim.optimizer import register_optimizer_step_post_hook

import trained

NETWORKS = {  # as trained.py has them: the class, what draws training and test samples, the training, the input
    "resnet": (trained.ResNet, lambda rng: (trained.images(10_000, rng), trained.images(2_000, rng)), dict(epochs=2, rate=2e-3, batch=50), "1,3,32,32"),
    "gpt": (trained.Gpt, lambda rng: (trained.tokens(8_000, rng), trained.tokens(1_000, rng)), dict(epochs=3, rate=4e-3, batch=50), f"1,{trained.CONTEXT}:int64"),
}
SEEDS, CHECKPOINTS = [0, 1], 10


def save(model, path):
    # Under a name of its own until it is whole; tied weights under each of their names, as hw1_export.py writes them.
    part = path.with_suffix(".part")
    save_file({name: tensor.detach().clone().contiguous() for name, tensor in model.state_dict().items()}, part, {"format": "pt"})
    part.rename(path)


def make(args):
    for name, (kind, draw, settings, shape) in NETWORKS.items():
        if args.only not in (None, name):
            continue
        folder = args.out / name
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.npz"
        if not path.exists() and args.data:
            path.symlink_to((args.data / path.name).resolve(strict=True))
        elif not path.exists():
            (x, y), (x_test, y_test) = draw(np.random.default_rng(1))
            np.savez(path, x_train=x, y_train=y, x_test=x_test, y_test=y_test)
        data = np.load(path)
        steps = settings["epochs"] * (len(data["y_train"]) // settings["batch"])
        for seed in SEEDS:
            weights = folder / f"seed{seed}.safetensors"
            if weights.exists():
                continue
            print(f"{name} from torch seed {seed}, {steps} steps", flush=True)
            torch.manual_seed(seed)
            model, done = kind(), 0
            kept = {round(i * steps / (CHECKPOINTS - 1)) for i in range(CHECKPOINTS)} if seed == SEEDS[0] else set()

            def keep():
                if done in kept:
                    save(model, folder / "checkpoints" / f"step-{done}.safetensors")

            def stepped(*_):
                nonlocal done
                done += 1
                keep()

            keep()
            hook = register_optimizer_step_post_hook(stepped)
            trained.train(model, data, **settings)
            hook.remove()
            assert done == steps
            save(model, weights)
        program = folder / f"{name}.pt2"
        if not program.exists():
            subprocess.run([sys.executable, trained.ROOT / "python" / "hw1_export.py", f"{trained.__file__}:{kind.__name__}",
                            "--weights", folder / f"seed{SEEDS[0]}.safetensors", "--input", shape, "-o", program], check=True)
        for path in sorted([*folder.glob("seed*.safetensors"), *folder.glob("checkpoints/*.safetensors")], key=lambda p: (p.parent.name, len(p.name), p.name)):
            model = loaded(name, path)
            said = [f"{split} loss {loss:.4f} and accuracy {right:.4f}" for split in ["train", "test"] for loss, right in [evaluate(model, batches(data, split, None))]]
            print(f"{path.relative_to(args.out)}: {', '.join(said)}", flush=True)


def fill(model, state):
    """Loads a state of which tied weights need be there under one name only."""
    missing, unexpected = model.load_state_dict(state, strict=False)
    own = model.state_dict(keep_vars=True)
    given = {id(own[name]) for name in state if name in own}
    if unexpected or any(id(own[name]) not in given for name in missing):
        raise SystemExit(f"The weights do not fit: without a weight {missing[:5]}, not in the network {unexpected[:5]}.")


def loaded(name, path, double=False):
    model = NETWORKS[name][0]().eval().requires_grad_(False)
    fill(model, load_file(path))
    return model.double() if double else model


def rows_of(args):
    if args.samples_from:
        rows = np.load(args.samples_from) if args.samples_from.suffix == ".npy" else np.loadtxt(args.samples_from, ndmin=1)
        return rows.astype("int64").reshape(-1)
    return slice(args.samples)


def batches(data, split, rows, size=256, double=False):
    x, y = (data[f"{part}_{split}"][rows if rows is not None else slice(None)] for part in "xy")
    x, y = trained.scaled(x), torch.as_tensor(y)
    x = x.double() if double and x.is_floating_point() else x
    return list(zip(x.split(size), y.split(size)))


def evaluate(model, parts):
    """(mean loss, accuracy) of all samples, in eval mode."""
    loss, right, samples, answers = 0.0, 0, 0, 0
    with torch.no_grad():
        for x, y in parts:
            outputs = model(x)
            loss += trained.loss_of(outputs, y).item() * len(x)
            right += (outputs.argmax(-1) == y).sum().item()
            samples, answers = samples + len(x), answers + y.numel()
    loss /= samples
    return loss, right / answers if math.isfinite(loss) else math.nan


def difference(ours, theirs):
    """|a - b| as a share of the larger, elementwise; what is no number in both is alike, in one only infinitely far."""
    a, b = (np.array([math.nan if v is None else v for v in values], "float64") for values in [np.ravel(ours), np.ravel(theirs)])
    assert a.shape == b.shape, f"{a.shape} against {b.shape} values"
    finite = np.isfinite(a) & np.isfinite(b)
    off = np.where(np.isfinite(a) == np.isfinite(b), 0.0, math.inf)
    off[finite] = abs(a - b)[finite] / np.maximum(np.maximum(abs(a), abs(b)), 1e-300)[finite]
    return off


def tell(what, ours, theirs, where):
    off = difference(ours, theirs)
    worst = int(off.argmax())
    theirs, ours = np.ravel(theirs)[worst], np.ravel(ours)[worst]
    print(f"{what:28s} largest relative difference {off[worst]:.3g} at {where(worst)}: hw1 {theirs}, PyTorch {ours}; median {np.median(off):.3g}, "
          f"{np.isinf(off).sum()} of {len(off)} a number in one only", flush=True)


def line(args):
    trials = json.loads((args.run / "metrics.json").read_text())["trials"]
    found = [t for t in trials if t["label"] == args.trial]
    if len(found) != 1:
        raise SystemExit(f"{len(found)} trials are called {args.trial}: there are {[t['label'] for t in trials]}.")
    theirs = found[0]["series"]
    first, second = load_file(args.first), load_file(args.second)
    model, data = loaded(args.network, args.first, args.double), np.load(args.data)
    splits = {"train": batches(data, "train", rows_of(args), double=args.double), "test": batches(data, "test", slice(args.test_samples), double=args.double)}
    inputs = torch.cat([x for x, _ in splits["train"]])
    recalibrated = any(name.startswith("recalibrated_") for name in theirs)
    size = args.recalibration_batch or len(inputs)
    print(f"{args.network}: {len(inputs)} training and {sum(len(x) for x, _ in splits['test'])} test samples, {len(theirs['alpha'])} α")
    if recalibrated:
        print(f"update_bn over batches of {size} in the file's order{', the last smaller but as heavy' if len(inputs) % size else ''}")
    else:
        print("no series recalibrated_…")
    ours = {}
    for alpha in theirs["alpha"]:
        # In float64, whatever the weights: then rounded once.
        fill(model, {name: ((1 - alpha) * a.double() + alpha * second[name].double()) if a.is_floating_point() else a for name, a in first.items()})
        for prefix in ["", "recalibrated_"] if recalibrated else [""]:
            if prefix:
                torch.optim.swa_utils.update_bn(inputs.split(size), model)
                assert not model.training
            for split, parts in splits.items():
                for what, value in zip(["loss", "accuracy"], evaluate(model, parts)):
                    ours.setdefault(f"{prefix}{split}_{what}", []).append(value)
    for name in [n for n in ours if n not in theirs]:
        print(f"{name:28s} is not in the run")
    for name in [n for n in theirs if n not in ours and n != "alpha"]:
        print(f"{name:28s} is not compared")
    for name in [n for n in ours if n in theirs]:
        tell(name, ours[name], theirs[name], lambda i: f"α = {theirs['alpha'][i]:.6g}")


class Plane:
    """The points of a run's surface: θ + x d1 + y d2 into the network, and what hw1 measured there."""

    def __init__(self, args):
        [path] = [args.run] if args.run.suffix == ".npz" else sorted(args.run.rglob("surface.npz"))
        surface = np.load(path)
        self.x, self.y, self.loss = surface["x"], surface["y"], surface["train_loss"]
        assert self.loss.shape == (len(self.y), len(self.x)), f"train_loss is {self.loss.shape} for {len(self.y)} y and {len(self.x)} x"
        self.points = [(y, x) for y in range(len(self.y)) for x in range(len(self.x))][:: args.every]
        directions = {}
        for file in [args.directions] if args.directions else sorted((args.run / "trials").glob("*.safetensors")):
            tensors = load_file(file)
            if any(name.startswith("direction_1.") for name in tensors):
                assert not directions, "several trials hold directions: say which with --directions"
                directions = tensors
        self.model = loaded(args.network, args.weights, args.double)
        own = dict(self.model.named_parameters(remove_duplicate=False))
        self.parameters = list(self.model.parameters())
        self.start = [p.double().clone() for p in self.parameters]
        self.directions = []
        for which in [1, 2]:
            prefix = f"direction_{which}."
            named = {n.removeprefix(prefix): v for n, v in directions.items() if n.startswith(prefix)}
            foreign = [n for n in named if n not in own or own[n].shape != named[n].shape]
            if foreign or not named:
                raise SystemExit(f"Direction {which} {f'does not fit the network: {foreign}' if named else 'is in no file'}.")
            of = {id(own[n]): v.double() for n, v in named.items()}
            left = [n for n, p in self.model.named_parameters() if id(p) not in of]
            if left:
                print(f"note: direction {which} does not say where to {', '.join(left)}; they stay")
            self.directions.append([of.get(id(p), torch.zeros_like(s)) for p, s in zip(self.parameters, self.start)])
        self.parts = batches(np.load(args.data), "train", rows_of(args), args.batch, args.double)
        self.samples = sum(len(x) for x, _ in self.parts)
        # As the weights are, so that no point pays for a conversion; in float64 only with --double.
        kind = self.parameters[0].dtype
        self.start, *self.directions = [[t.to(kind) for t in tensors] for tensors in [self.start, *self.directions]]

    def at(self, point):
        y, x = float(self.y[point[0]]), float(self.x[point[1]])
        with torch.no_grad():
            for p, start, d1, d2 in zip(self.parameters, self.start, *self.directions):
                p.copy_(start + x * d1 + y * d2)

    def losses(self):
        """(the loss at each point, the seconds of the loop)"""
        start, values = time.perf_counter(), []
        for point in self.points:
            self.at(point)
            total = 0.0
            with torch.no_grad():
                for x, y in self.parts:
                    total += trained.loss_of(self.model(x), y).item() * len(x)
            values.append(total / self.samples)
        return values, time.perf_counter() - start

    def say(self, network):
        print(f"{network}: {len(self.points)} of {self.loss.size} points, {self.samples} samples, {torch.get_num_threads()} threads", flush=True)


def surface(args):
    plane = Plane(args)
    plane.say(args.network)
    values, seconds = plane.losses()
    def where(i): return f"x = {plane.x[plane.points[i][1]]:.6g}, y = {plane.y[plane.points[i][0]]:.6g}"
    tell("train_loss", values, [plane.loss[p] for p in plane.points], where)
    print(f"PyTorch {seconds:.2f} s, {seconds / len(values):.4f} s a point")


def timed(args):
    import loss_landscapes
    from loss_landscapes.metrics import Loss, Metric

    plane = Plane(args)
    plane.say(args.network)
    plane.at(plane.points[0])
    plane.model(plane.parts[0][0])  # the first pass makes what later ones have
    _, seconds = plane.losses()
    print(f"PyTorch loop, batches of {args.batch}: {seconds / len(plane.points):.4f} s a point ({seconds:.2f} s)", flush=True)

    class Batches(Metric):
        def __call__(self, wrapper):
            return sum(trained.loss_of(wrapper.forward(x), y).item() * len(x) for x, y in plane.parts) / plane.samples

    class Watched(Metric):
        def __init__(self, inner):
            self.inner, self.seconds, self.calls = inner, 0.0, 0

        def __call__(self, wrapper):
            start = time.perf_counter()
            value = self.inner(wrapper)
            self.seconds, self.calls = self.seconds + time.perf_counter() - start, self.calls + 1
            return value

    steps = math.ceil(math.sqrt(len(plane.points)))
    metrics = {f"batches of {args.batch}": Batches()}
    if args.one_batch:
        metrics["its Loss, one batch"] = Loss(trained.loss_of, *(torch.cat(part) for part in zip(*plane.parts)))
    for said, metric in metrics.items():
        torch.manual_seed(0)
        model, watched = loaded(args.network, args.weights, args.double), Watched(metric)
        before = {name: tensor.clone() for name, tensor in model.named_buffers()}
        start = time.perf_counter()
        values = loss_landscapes.random_plane(model, watched, distance=1, steps=steps, normalization="filter")
        seconds = time.perf_counter() - start
        assert watched.calls == steps**2 and all(torch.equal(before[n], b) for n, b in model.named_buffers())
        print(f"loss-landscapes, {said}: {seconds / steps**2:.4f} s a point ({seconds:.2f} s for {steps} x {steps}, {watched.seconds:.2f} s of them in its metric; "
              f"losses {np.min(values):.4g} to {np.max(values):.4g})", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, run in [("make", make), ("line", line), ("surface", surface), ("time", timed)]:
        command = commands.add_parser(name)
        command.set_defaults(do=run)
        command.add_argument("--threads", type=int, default=1)
        if name == "make":
            command.add_argument("out", type=pathlib.Path)
            command.add_argument("--data", type=pathlib.Path)
            command.add_argument("--only", choices=NETWORKS)
            continue
        command.add_argument("run", type=pathlib.Path)
        command.add_argument("network", choices=NETWORKS)
        command.add_argument("data", type=pathlib.Path)
        for weights in ["first", "second"] if name == "line" else ["weights"]:
            command.add_argument(weights, type=pathlib.Path)
        command.add_argument("--samples", type=int)
        command.add_argument("--samples-from", type=pathlib.Path)
        command.add_argument("--double", action="store_true", help="in float64")
        if name == "line":
            command.add_argument("--test-samples", type=int)
            command.add_argument("--recalibration-batch", type=int)
            command.add_argument("--trial", default="line")
        else:
            command.add_argument("--directions", type=pathlib.Path)
            command.add_argument("--every", type=int, default=1)
            command.add_argument("--batch", type=int, default=256)
        if name == "time":
            command.add_argument("--one-batch", action="store_true")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(args.threads)
    args.do(args)


if __name__ == "__main__":
    main()
