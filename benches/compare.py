"""hw1 beside what a user would pick instead: PyTorch tuned, torch.compile, JAX, interleaved.

    python benches/compare.py PYTHON --data-dir MNIST [--rounds 3] [--threads 1] [--styles tuned,jax,compile,hvp]
        [--vector avx2] [--workloads mlp-22,hvp-400-f32]

PYTHON is that of a virtual environment with torch, jax and optax, and for Hessian-vector products curvlinops and PyHessian:

    pip install torch==2.11.0 torchvision==0.26.0 numpy jax optax pillow curvlinops-for-pytorch pyhessian

Round after round every contestant measures all workloads (benches/peers.py and peers_hvp.py, hw1 bench); a contestant's
time is the median of its rounds. Prints the README's table. Needs target/release/hw1 and a quiet machine. --vector avx2
keeps all of them to AVX2 on a processor that has wider vectors.
"""
import argparse, json, math, os, pathlib, shutil, statistics, subprocess, sys

HERE = pathlib.Path(__file__).resolve().parent


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("python")
    arguments.add_argument("--data-dir", required=True)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--threads", default="1")
    arguments.add_argument("--styles", default="tuned,jax,compile,hvp")
    arguments.add_argument("--vector", choices=["native", "avx2"], default="native")
    arguments.add_argument("--workloads", default="")
    chosen = arguments.parse_args()
    hw1 = HERE.parent / "target" / "release" / "hw1"
    if not hw1.exists():
        arguments.error(f"{hw1} is not there; build it with scripts/hw1 doctor")
    if not shutil.which(chosen.python):
        arguments.error(f"there is no program '{chosen.python}'; name the Python that has torch, jax and optax")
    environment = dict(os.environ, MNIST_DIR=str(pathlib.Path(chosen.data_dir).resolve()))
    if chosen.vector == "avx2":
        environment |= {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2",
                        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2"}
    names = chosen.workloads.split(",") if chosen.workloads else []
    times, limits = {}, {}
    for _ in range(chosen.rounds):
        command = [hw1, "bench", "--json", "--threads", chosen.threads, "--data-dir", chosen.data_dir]
        command += ["--vector", chosen.vector, *names]
        ran = subprocess.run(command, check=True, capture_output=True)
        for workload in json.loads(ran.stdout)["workloads"]:
            name = workload["workload"]
            times.setdefault(name, {}).setdefault("hw1", []).append(workload["milliseconds"])
            if workload["share_of_limit"] is not None:
                limits.setdefault(name, []).append(workload["share_of_limit"])
        for style in chosen.styles.split(","):
            is_hvp = lambda name: name.startswith("hvp-")
            wanted = [name for name in names if is_hvp(name) == (style == "hvp")]
            if names and not wanted:
                continue
            if style == "hvp":
                wanted = sorted({name.rsplit("-", 1)[0] for name in wanted})
                command = [chosen.python, HERE / "peers_hvp.py", chosen.threads, *wanted]
            else:
                command = [chosen.python, HERE / "peers.py", style, chosen.threads, *wanted]
            ran = subprocess.run(command, env=environment, capture_output=True, text=True)
            for line in ran.stdout.splitlines():
                name, way, _, milliseconds = line.split()
                who = way if style == "hvp" else style
                if not names or name in names:
                    times.setdefault(name, {}).setdefault(who, []).append(float(milliseconds))
            if ran.returncode:
                print(f"{style}: {ran.stderr.strip().splitlines()[-1]}", file=sys.stderr)
    print("| workload | best peer, ms | hw1, ms | times as fast | share of sgemm |\n|---|---|---|---|---|")
    ratios = []
    for name, of in times.items():
        medians = {who: statistics.median(values) for who, values in of.items()}
        ours = medians.pop("hw1")
        share = f"{100 * statistics.median(limits[name]):.0f} %" if name in limits else "-"
        if not medians:
            print(f"| {name} | - | {ours:.3g} | - | {share} |")
            continue
        best = min(medians, key=medians.get)
        ratios.append(medians[best] / ours)
        print(f"| {name} | {best} {medians[best]:.3g} | {ours:.3g} | {ratios[-1]:.2f} | {share} |")
    print(f"\nGeometric mean {math.exp(statistics.mean(map(math.log, ratios))):.2f}, lowest {min(ratios):.2f}")
    print(json.dumps(times), file=sys.stderr)


main()
