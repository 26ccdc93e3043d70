"""Cost of a Hessian-vector product, in milliseconds a vector, for the peers a user would pick instead of hw1.

    python peers_hvp.py THREADS [NAME ...]     NAME: hvp-120 hvp-400 hvp-cnn; each in float64 and float32

Prints one line each: the workload as `hw1 bench` calls it, the way, threads, milliseconds.

hvp-120, hvp-400: 1-120-120-1 and 1-400-400-1 on 2000 points of cos(x)/x, mean squared error; hvp-cnn:
conv8-conv16-128-10 on 2000 digits, cross entropy. Peers: autograd (double backward), retained (the gradient's graph kept
and walked again), jvp (torch.func: forward over reverse), vmap8 (that over eight vectors), curvlinops (a matrix of eight),
pyhessian's product. pip install torch==2.11.0 curvlinops-for-pytorch pyhessian
"""
import os, sys, time, statistics as st
THREADS, PICK = int(sys.argv[1]), sys.argv[2:]
import numpy as np, torch, gzip
from torch import nn
from torch.func import functional_call, grad, jvp, vmap
torch.set_num_threads(THREADS)
HERE = os.path.dirname(os.path.abspath(__file__))
MNIST = os.environ.get("MNIST_DIR", os.path.join(HERE, "mnist"))  # compare.py sets it


def median_ms(step, seconds=2.0):
    begin = time.perf_counter()
    step()
    if time.perf_counter() - begin > 5 * seconds:
        return (time.perf_counter() - begin) * 1e3  # a minute for three more would tell nothing new
    out, stop = [], time.perf_counter() + seconds
    while time.perf_counter() < stop or len(out) < 3:
        t = time.perf_counter(); step(); out.append((time.perf_counter() - t) * 1e3)
    return st.median(out)


def workload(name, dtype):
    torch.manual_seed(0)
    if name == "hvp-cnn":
        f = lambda n, o: np.frombuffer(gzip.open(os.path.join(MNIST, n)).read()[o:], dtype=np.uint8)
        x = ((f("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)[:2000] / 255.0) - 0.1307) / 0.3081
        y = torch.tensor(f("t10k-labels-idx1-ubyte.gz", 8)[:2000].astype("int64"))
        model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
        return model.to(dtype), nn.CrossEntropyLoss(), torch.tensor(x, dtype=dtype), y
    w = int(name.split("-")[1])
    x = torch.linspace(-4, 4, 2000, dtype=torch.float64)[:, None]
    return nn.Sequential(nn.Linear(1, w), nn.ReLU(), nn.Linear(w, w), nn.ReLU(), nn.Linear(w, 1)).to(dtype), nn.MSELoss(), x.to(dtype), (torch.cos(x) / x).to(dtype)


for name in PICK or ["hvp-120", "hvp-400", "hvp-cnn"]:
    for dtype in (torch.float64, torch.float32):
        model, loss, x, y = workload(name, dtype)
        params = list(model.parameters())
        vector = [torch.randn_like(p) for p in params]
        names = [n for n, _ in model.named_parameters()]
        theta = {n: p.detach() for n, p in model.named_parameters()}
        direction = dict(zip(names, vector))

        def autograd():
            g = torch.autograd.grad(loss(model(x), y), params, create_graph=True)
            return torch.autograd.grad(g, params, vector)

        kept = torch.autograd.grad(loss(model(x), y), params, create_graph=True)
        retained = lambda: torch.autograd.grad(kept, params, vector, retain_graph=True)
        value = (lambda out: ((out - y) ** 2).mean()) if isinstance(loss, nn.MSELoss) else (lambda out: loss(out, y))  # jvp of mse_loss fails in 2.11
        gradient = grad(lambda t: value(functional_call(model, t, (x,))))
        forward = lambda v: jvp(gradient, (theta,), (v,))[1]
        eight = {n: torch.randn(8, *p.shape, dtype=dtype) for n, p in theta.items()}
        ways = {"autograd": (autograd, 1), "retained": (retained, 1), "jvp": (lambda: forward(direction), 1), "vmap8": (lambda: vmap(forward)(eight), 8)}
        try:
            from curvlinops import HessianLinearOperator
            H = HessianLinearOperator(model, loss, params, [(x, y)], check_deterministic=False)
            V = torch.randn(H.shape[1], 8, dtype=dtype)
            ways["curvlinops8"] = (lambda: H @ V, 8)
        except Exception as e: print("curvlinops:", e, file=sys.stderr)
        try:
            from pyhessian.utils import hessian_vector_product
            ways["pyhessian"] = (lambda: hessian_vector_product(kept, params, vector), 1)
        except Exception as e: print("pyhessian:", e, file=sys.stderr)
        for way, (step, n) in ways.items():
            try: print(f"{name}-f{torch.finfo(dtype).bits} {way:12s} {THREADS} {median_ms(step) / n:.3f}", flush=True)
            except Exception as e: print(f"{name} {way}: {str(e).splitlines()[0]}", file=sys.stderr)
