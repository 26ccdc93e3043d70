"""hw1 beside what a user would pick instead: PyTorch tuned, torch.compile, JAX, interleaved.

    python benches/compare.py PYTHON --data-dir MNIST [--rounds 3] [--threads 1] [--styles tuned,jax,compile]

PYTHON is that of a virtual environment with torch, jax and optax:

    pip install torch==2.11.0 torchvision==0.26.0 numpy jax optax pillow

Round after round every contestant measures all workloads (benches/peers.py, hw1 bench); a contestant's time is the
median of its rounds. Prints the README's table. Needs target/release/hw1 and a quiet machine.
"""
import argparse, json, math, os, pathlib, shutil, statistics, subprocess, sys

HERE = pathlib.Path(__file__).resolve().parent


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("python")
    arguments.add_argument("--data-dir", required=True)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--threads", default="1")
    arguments.add_argument("--styles", default="tuned,jax,compile")
    chosen = arguments.parse_args()
    hw1 = HERE.parent / "target" / "release" / "hw1"
    if not hw1.exists():
        arguments.error(f"{hw1} is not there; build it with scripts/hw1 doctor")
    if not shutil.which(chosen.python):
        arguments.error(f"there is no program '{chosen.python}'; name the Python that has torch, jax and optax")
    environment = dict(os.environ, MNIST_DIR=str(pathlib.Path(chosen.data_dir).resolve()))
    times, limits = {}, {}
    for _ in range(chosen.rounds):
        command = [hw1, "bench", "--json", "--threads", chosen.threads, "--data-dir", chosen.data_dir]
        ran = subprocess.run(command, check=True, capture_output=True)
        for workload in json.loads(ran.stdout)["workloads"]:
            name = workload["workload"]
            times.setdefault(name, {}).setdefault("hw1", []).append(workload["milliseconds"])
            if workload["share_of_limit"] is not None:
                limits.setdefault(name, []).append(workload["share_of_limit"])
        for style in chosen.styles.split(","):
            command = [chosen.python, HERE / "peers.py", style, chosen.threads]
            ran = subprocess.run(command, env=environment, capture_output=True, text=True)
            for line in ran.stdout.splitlines():
                name, _, _, milliseconds = line.split()
                times.setdefault(name, {}).setdefault(style, []).append(float(milliseconds))
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
