"""Cost of one unit of each workload for the peers a user would pick instead of hw1.

    python peers.py STYLE THREADS [WORKLOAD ...]      STYLE: notebook | tuned | compile | jax

Prints one line a workload: name, style, threads, milliseconds per unit (the median of several windows).
A unit is one full-batch epoch (function fitting), one mini-batch step at batch 128 (MNIST training),
one forward pass over 10,000 images (eval), one exact Hessian (hessian).
"""
import os, sys, time, statistics as st
STYLE, THREADS = sys.argv[1], int(sys.argv[2])
PICK = sys.argv[3:]
if STYLE == "jax":
    eigen = "--xla_cpu_multi_thread_eigen=" + ("false" if THREADS == 1 else "true")
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {eigen}".strip()
    if THREADS == 1:
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[0]})
HERE = os.path.dirname(os.path.abspath(__file__))
MNIST = os.environ.get("MNIST_DIR", os.path.join(HERE, "mnist"))  # compare.py sets it
MLPS = {
    "dnn1": ([1, 10, 20, 20, 20, 20, 20, 20, 1], 4000), "dnn2": ([1, 10, 20, 30, 20, 1], 4000), "dnn3": ([1, 20, 30, 1], 4000),
    "nl1": ([1, 5, 10, 10, 10, 10, 10, 5, 1], 6000), "nl2": ([1, 10, 18, 15, 4, 1], 6000), "nl3": ([1, 190, 1], 6000),
    "grad-norm": ([1, 10, 30, 30, 30, 1], 100000), "min-ratio": ([1, 10, 20, 30, 1], 2000),
}
CNNS = {"cnn1": (5, 15, [128]), "cnn2": (16, 32, [128]), "cnn3": (32, 64, [256, 128]), "cnn-8-16": (8, 16, [128]),
        "cnn-rgb": (16, 32, [128])}  # the last on images of 3x32x32
DIGITS = {"mlp-256": [784, 256, 128, 64, 10], "mlp-128": [784, 128, 64, 10], "mlp-22": [784, 22, 11, 10], "mlp-4": [784, 4, 2, 10]}

def median_ms(step, n, windows=5, warm=3):
    for _ in range(warm): step()
    out = []
    for _ in range(windows):
        t = time.perf_counter()
        for _ in range(n): step()
        out.append((time.perf_counter() - t) / n * 1e3)
    return st.median(out)

def say(name, ms): print(f"{name:12s} {STYLE:9s} {THREADS} {ms:.4f}", flush=True)
def want(name): return not PICK or name in PICK

def load():
    import gzip, numpy as np
    f = lambda n, o: np.frombuffer(gzip.open(os.path.join(MNIST, n)).read()[o:], dtype=np.uint8)
    return f("train-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28), f("train-labels-idx1-ubyte.gz", 8)

if STYLE != "jax":
    import torch, torch.nn as nn, torch.nn.functional as F
    torch.set_num_threads(THREADS); torch.manual_seed(0)
    class MLP(nn.Module):
        def __init__(s, d):
            super().__init__(); s.fcs = nn.ModuleList([nn.Linear(a, b) for a, b in zip(d, d[1:])])
        def forward(s, x):
            x = x.flatten(1)
            for l in s.fcs[:-1]: x = F.relu(l(x))
            return s.fcs[-1](x)
    class CNN(nn.Module):
        def __init__(s, c1, c2, fc, c0=1, places=49):
            super().__init__(); s.c1 = nn.Conv2d(c0, c1, 3, padding=1); s.c2 = nn.Conv2d(c1, c2, 3, padding=1); s.head = MLP([c2 * places] + fc + [10])
        def forward(s, x):
            x = F.max_pool2d(F.relu(s.c1(x)), 2); x = F.max_pool2d(F.relu(s.c2(x)), 2)
            return F.log_softmax(s.head(x), 1)
    def trainer(model, loss, read=True):
        fused = STYLE != "notebook"
        opt = torch.optim.Adam(model.parameters(), lr=1e-3, fused=fused)
        if STYLE == "compile": torch._dynamo.reset()
        f = torch.compile(model) if STYLE == "compile" else model
        def step(x, y):
            opt.zero_grad(); l = loss(f(x), y); l.backward(); opt.step()
            if read: l.item()
        return step
    for name, (d, n) in MLPS.items():
        if not want(name): continue
        x = torch.linspace(-2, 2, n).reshape(-1, 1); y = torch.sin(x) + x ** 2
        s = trainer(MLP(d), nn.MSELoss()); say(name, median_ms(lambda: s(x, y), 5 if n > 50000 else 60))
    if any(want(n) for n in list(CNNS) + list(DIGITS)):
        im, la = load()
        if STYLE == "notebook":
            import torchvision, torchvision.transforms as T
            from PIL import Image
            tf = T.Compose([T.ToTensor(), T.Normalize((0.1307,), (0.3081,))])
            class DS(torch.utils.data.Dataset):       # torchvision.datasets.MNIST.__getitem__, without its files
                def __len__(s): return len(la)
                def __getitem__(s, i): return tf(Image.fromarray(im[i], mode="L")), int(la[i])
            ld = torch.utils.data.DataLoader(DS(), batch_size=128, shuffle=True)
        else:
            X = ((torch.tensor(im).float() / 255 - 0.1307) / 0.3081).unsqueeze(1); Y = torch.tensor(la).long(); P = torch.randperm(60000)
        for name, mk in [(k, lambda v=v: CNN(*v)) for k, v in CNNS.items()] + [(k, lambda v=v: MLP(v)) for k, v in DIGITS.items()]:
            if not want(name): continue
            if name == "cnn-rgb":
                if STYLE == "notebook": continue
                m = CNN(*CNNS[name], 3, 64); X2, Y2, size = torch.randn(10240, 3, 32, 32), torch.arange(10240) % 10, 80
            else: m = mk(); X2, Y2, size = (X, Y, 460) if STYLE != "notebook" else (None, None, 0)
            cl = STYLE != "notebook" and name.startswith("cnn")
            if cl: m = m.to(memory_format=torch.channels_last)
            s = trainer(m, nn.CrossEntropyLoss())
            if STYLE == "notebook":
                it = iter(ld)
                def unit():
                    x, y = next(it); s(x, y)
            else:
                k = [0]
                def unit():
                    i = P[k[0] % size * 128:][:128] % len(X2); k[0] += 1; x = X2[i]
                    s(x.contiguous(memory_format=torch.channels_last) if cl else x, Y2[i])
            say(name, median_ms(unit, 20 if name != "cnn3" else 8))
    if want("eval") and STYLE != "notebook":
        m = CNN(*CNNS["cnn-8-16"]); X = torch.randn(10000, 1, 28, 28)
        def ev():
            with torch.inference_mode():
                for i in range(0, 10000, 500): m(X[i:i + 500])
        say("eval", median_ms(ev, 1, windows=3, warm=1))
    if want("hessian"):
        d, n = MLPS["min-ratio"]; m = MLP(d); x = torch.linspace(1, 5, n).reshape(-1, 1); y = torch.cos(x) / x
        if STYLE == "notebook":
            def hs():
                g = torch.autograd.grad(F.mse_loss(m(x), y), m.parameters(), create_graph=True); v = torch.cat([t.reshape(-1) for t in g])
                for e in v: torch.autograd.grad(e, m.parameters(), retain_graph=True, allow_unused=True)
        else:
            from torch.func import functional_call, hessian
            names = [k for k, _ in m.named_parameters()]; shapes = [p.shape for p in m.parameters()]; sizes = [p.numel() for p in m.parameters()]
            th = torch.cat([p.detach().reshape(-1) for p in m.parameters()])
            def L(v): return F.mse_loss(functional_call(m, {k: t.view(s) for k, t, s in zip(names, v.split(sizes), shapes)}, (x,)), y)
            h = hessian(L)
            def hs(): h(th)
        say("hessian", median_ms(hs, 1, windows=3, warm=1))
else:
    import jax, jax.numpy as jnp, optax
    def init(d, key):
        p = []
        for a, b in zip(d, d[1:]):
            key, k = jax.random.split(key); p.append((jax.random.uniform(k, (a, b), minval=-1, maxval=1) / a ** .5, jnp.zeros(b)))
        return p
    def mlp(p, x):
        for w, b in p[:-1]: x = jax.nn.relu(x @ w + b)
        return x @ p[-1][0] + p[-1][1]
    opt = optax.adam(1e-3)
    def scan_bench(loss, p, data, n):
        o = opt.init(p)
        def step(c, d):
            p, o = c; l, g = jax.value_and_grad(loss)(p, d); u, o = opt.update(g, o); return (optax.apply_updates(p, u), o), l
        run = jax.jit(lambda c: jax.lax.scan(lambda c, i: step(c, data(i)), c, jnp.arange(n)))
        c, l = run((p, o)); jax.block_until_ready(l); out = []
        for _ in range(5):
            t = time.perf_counter(); c, l = run(c); jax.block_until_ready(l); out.append((time.perf_counter() - t) / n * 1e3)
        return st.median(out)
    for name, (d, n) in MLPS.items():
        if not want(name): continue
        x = jnp.linspace(-2, 2, n).reshape(-1, 1); y = jnp.sin(x) + x ** 2
        say(name, scan_bench(lambda p, d: jnp.mean((mlp(p, d[0]) - d[1]) ** 2), init(d, jax.random.key(0)), lambda i: (x, y), 5 if n > 50000 else 60))
    if any(want(n) for n in list(CNNS) + list(DIGITS)):
        im, la = load(); X = jnp.asarray(((im / 255 - 0.1307) / 0.3081)[..., None], jnp.float32); Y = jnp.asarray(la.astype("int32"))
        batch = lambda i: (jax.lax.dynamic_slice_in_dim(X, i * 128, 128), jax.lax.dynamic_slice_in_dim(Y, i * 128, 128))
        xe = lambda lg, y: optax.softmax_cross_entropy_with_integer_labels(lg, y).mean()
        pool = lambda x: jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        conv = lambda x, w, b: jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")) + b
        def cnn(p, x):
            x = pool(jax.nn.relu(conv(x, *p[0]))); x = pool(jax.nn.relu(conv(x, *p[1]))); return mlp(p[2], x.reshape(x.shape[0], -1))
        for name, v in list(CNNS.items()) + list(DIGITS.items()):
            if not want(name): continue
            k = jax.random.key(1)
            if name == "cnn-rgb":
                c1, c2, fc = v; p = [(jax.random.normal(k, (3, 3, 3, c1)) * .1, jnp.zeros(c1)), (jax.random.normal(k, (3, 3, c1, c2)) * .1, jnp.zeros(c2)), init([c2 * 64] + fc + [10], k)]
                X3, Y3 = jax.random.normal(k, (2560, 32, 32, 3)), jnp.arange(2560) % 10
                of3 = lambda i: (jax.lax.dynamic_slice_in_dim(X3, i * 128, 128), jax.lax.dynamic_slice_in_dim(Y3, i * 128, 128))
                say(name, scan_bench(lambda p, d: xe(cnn(p, d[0]), d[1]), p, of3, 6))
            elif name.startswith("cnn"):
                c1, c2, fc = v; p = [(jax.random.normal(k, (3, 3, 1, c1)) * .1, jnp.zeros(c1)), (jax.random.normal(k, (3, 3, c1, c2)) * .1, jnp.zeros(c2)), init([c2 * 49] + fc + [10], k)]
                say(name, scan_bench(lambda p, d: xe(cnn(p, d[0]), d[1]), p, batch, 20 if name != "cnn3" else 6))
            else:
                say(name, scan_bench(lambda p, d: xe(mlp(p, d[0].reshape(128, -1)), d[1]), init(v, k), batch, 60))
    if want("hessian"):
        d, n = MLPS["min-ratio"]; x = jnp.linspace(1, 5, n).reshape(-1, 1); y = jnp.cos(x) / x
        from jax.flatten_util import ravel_pytree
        th, un = ravel_pytree(init(d, jax.random.key(0))); h = jax.jit(jax.hessian(lambda t: jnp.mean((mlp(un(t), x) - y) ** 2)))
        say("hessian", median_ms(lambda: jax.block_until_ready(h(th)), 1, windows=3, warm=1))
