"""Golden numbers from PyTorch for BatchNorm's running statistics taken anew. Writes recalibration.json beside this script.

    python recalibration.py        (torch 2.11.0, transformers, numpy; any venv outside the repository)

Of networks/resnet.pt2 and networks/mobilenet.pt2, in float64 over their golden's own 8 samples in the file's order:

"update_bn"  {batch: …}: torch.optim.swa_utils.update_bn in batches of 8, 4 and 3 (3, 3 and 2: the last weighs as much as the
             others): the running statistics, then outputs, loss and accuracy in eval mode.
"line"       of the resnet, from its own weights to a second solution: every parameter t becomes 0.8 t + 0.02 w(i), every
             running mean 0.5 t, every running variance 1.5 t, with w(i) = ((7 i i + 3 i) % 11 - 5) / 5 at the flat index i of
             the tensor. Losses and accuracies of (1-α)θ1 + αθ2, buffers likewise, in eval mode; and after update_bn over all 8
             samples as one batch.

Activations by the Program oracle of networks.py, whose loss it first finds again to 1e-9.
"""
import json
import pathlib
import sys

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import networks
import operators
import torch
from torch.nn import functional as F
from torch.optim.swa_utils import update_bn

ALPHAS = [0.0, 0.25, 0.5, 0.75, 1.0]


def second(name, t):
    i = torch.arange(t.numel(), dtype=torch.int64)
    w = (((7 * i * i + 3 * i) % 11) - 5).double() / 5
    if "running_mean" in name:
        return 0.5 * t
    return 1.5 * t if "running_var" in name else 0.8 * t + 0.02 * w.reshape(t.shape)


def looked(model, x, y):
    with operators.oracle(), torch.no_grad():
        outputs = model(x)
    return outputs, F.cross_entropy(outputs, y).item(), (outputs.argmax(-1) == y).double().mean().item()


def main():
    torch.set_num_threads(1)
    found = {"about": __doc__, "torch": torch.__version__, "update_bn": {}, "line": {}}
    for name in ["resnet", "mobilenet"]:
        facts = json.loads((HERE / "networks" / f"{name}.json").read_text())
        program = torch.export.load(HERE / "networks" / f"{name}.pt2")
        x = torch.tensor(facts["x"]["data"], dtype=torch.float64).reshape(facts["x"]["shape"])
        y = torch.tensor(facts["y"]["data"])
        own = {k: v.double() if v.is_floating_point() else v for k, v in program.state_dict.items()}
        model = networks.NETWORKS[name]().double().eval()
        model.load_state_dict(own)
        assert abs(looked(model, x, y)[1] - facts["loss"]) < 1e-9, name
        found["update_bn"][name] = {}
        for size in [8, 4, 3]:
            model.load_state_dict(own)
            with operators.oracle():
                update_bn(x.split(size), model)
            outputs, loss, accuracy = looked(model, x, y)
            buffers = {k: b.reshape(-1).tolist() for k, b in model.named_buffers() if "running" in k}
            found["update_bn"][name][size] = {"buffers": buffers, "outputs": outputs.reshape(-1).tolist(), "loss": loss, "accuracy": accuracy}
        if name != "resnet":
            continue
        other = {k: second(k, v) if v.is_floating_point() else v for k, v in own.items()}
        rows = []
        for alpha in ALPHAS:
            model.load_state_dict({k: (1 - alpha) * v + alpha * other[k] if v.is_floating_point() else v for k, v in own.items()})
            plain = looked(model, x, y)[1:]
            with operators.oracle():
                update_bn([x], model)
            rows.append(plain + looked(model, x, y)[1:])
        names = ["train_loss", "train_accuracy", "recalibrated_train_loss", "recalibrated_train_accuracy"]
        found["line"] = {"alpha": ALPHAS} | {name: [row[at] for row in rows] for at, name in enumerate(names)}
    (HERE / "recalibration.json").write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
