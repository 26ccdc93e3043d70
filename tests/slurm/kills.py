#!/usr/bin/env python3
"""Kills what shares a run, at random moments, until it was often enough, and holds what is left against one process's:
kills.py shards|slurm HW1 KILLS [SEED]

`shards`: three `hw1 … --shard i/3` side by side, each killed (kill -9) and started again. `slurm`: arrays of `hw1 slurm` on a
Slurm of two nodes (see cluster.py, which needs root), of which tasks and nodes are killed, tasks are requeued and told that
their time is up. By hand, as either takes minutes. Ends with 1 where a record was lost, differs or is half-written.
"""

import collections
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
STUDIES = ["--only", "simulate,grad-norm,interpolate,pca-weights,min-ratio"]
STUDY = ["all", "--preset", "smoke", *STUDIES, "--quiet"]
wrong = []


def trials(run):
    names = (path for path in run.glob("*/trials/*") if path.suffix in (".json", ".safetensors"))
    return {str(path.relative_to(run)): path.read_bytes() for path in names if not path.name.startswith(".")}


def complain(what):
    wrong.append(what)
    print(f"WRONG: {what}", flush=True)


def compare(hw1, run, expected, env):
    """Of a run that is over."""
    found = trials(run)
    for name, content in expected.items():
        if name not in found:
            complain(f"{name} is lost")
        elif found[name] != content:
            complain(f"{name} differs")
    for name in found.keys() - expected.keys():
        complain(f"{name} is left over")
    for path in [*run.rglob(".hw1-*"), *run.rglob(".progress*"), *run.glob("*/log.*.jsonl"), *run.rglob("*.checkpoint")]:
        complain(f"{path.relative_to(run)} is left over")
    verified = subprocess.run([hw1, "verify", "--out", run], capture_output=True, text=True, env=env)
    if verified.returncode != 0:
        complain(f"verify: {verified.stdout[-500:]}{verified.stderr[-500:]}")
    if not (run / "report.html").exists():
        complain("no page")


def report(hw1, run, env):
    done = subprocess.run([hw1, "report", "--out", run], capture_output=True, text=True, env=env)
    if done.returncode != 0 or done.stderr:
        complain(f"report: {done.returncode} {done.stderr[-500:]}")


def shards(hw1, kills, root, expected, env):
    done = rounds = 0
    while done < kills:
        rounds += 1
        run, running, finished = root / f"run{rounds}", {}, set()
        words = [hw1, *STUDY, "--jobs", "2", "--out", run, "--shard"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "env": env}
        while len(finished) < 3 and done < kills:
            for shard in {0, 1, 2} - finished - running.keys():
                running[shard] = subprocess.Popen([*words, f"{shard}/3"], **quiet), time.time() + random.uniform(0.02, 2.5)
            time.sleep(0.01)
            for shard, (process, until) in list(running.items()):
                if process.poll() is not None:
                    if process.returncode != 0:
                        complain(f"shard {shard} ended with {process.returncode}: {process.stderr.read()[-500:]}")
                    finished.add(shard)
                    del running[shard]
                elif time.time() > until:
                    process.kill()
                    process.wait()
                    del running[shard]
                    done += 1
        for process, _ in running.values():
            process.kill()
            process.wait()
            done += 1
        for shard in range(3):
            subprocess.run([*words, f"{shard}/3"], check=True, **{**quiet, "stderr": None})
        report(hw1, run, env)
        compare(hw1, run, expected, env)
        shutil.rmtree(run)
    return collections.Counter({"kills": done}), rounds


class Slurm:
    def __init__(self, at):
        self.at, self.env = at, {**os.environ, "SLURM_CONF": f"{at}/slurm.conf"}
        subprocess.run([sys.executable, HERE / "cluster.py", "start", at], check=True)
        self.dead = {}

    def ask(self, *words):
        return subprocess.run(words, capture_output=True, text=True, env=self.env).stdout.split("\n")[:-1]

    def running(self):
        """Jobs that run, as "12_3", or "14" of what is no array."""
        return self.ask("squeue", "-h", "-t", "R", "-o", "%i")

    def processes(self, is_one):
        """(process, its parent, name) whose environment holds this."""
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if is_one((path / "environ").read_bytes().split(b"\0")):
                    stat = (path / "stat").read_text().rsplit(")", 1)[1].split()
                    found.append((int(path.name), int(stat[1]), (path / "comm").read_text().strip()))
            except (OSError, IndexError):
                continue
        return found

    def kill_task(self):
        """Of a task, with which its node goes on."""
        mine = f"SLURM_CONF={self.at}/slurm.conf".encode()
        hw1s = [pid for pid, _, name in self.processes(lambda env: mine in env and any(
            word.startswith(b"SLURM_JOB_ID=") for word in env)) if name == "hw1"]
        if not hw1s:
            return False
        os.kill(random.choice(hw1s), signal.SIGKILL)
        return True

    def kill_node(self):
        node = random.choice(["n1", "n2"])
        if self.dead:
            return False
        mine, named = f"SLURM_CONF={self.at}/slurm.conf".encode(), f"SLURMD_NODENAME={node}".encode()
        of_node = self.processes(lambda env: mine in env and named in env)
        if not any(name == "hw1" for *_, name in of_node):
            return False
        daemon = int((self.at / f"slurmd.{node}.pid").read_text())
        parents = {parent for _, parent, _ in of_node if parent > 1}
        for pid in [daemon, *parents, *(pid for pid, *_ in of_node)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        # Before or after Slurm gives it up.
        self.dead[node] = time.time() + random.choice([2, 25])
        return True

    def revive(self):
        for node, when in list(self.dead.items()):
            if time.time() > when:
                subprocess.run([sys.executable, HERE / "cluster.py", "slurmd", self.at, node], check=True)
                del self.dead[node]

    def tell(self, *words):
        running = [job for job in self.running() if "_" in job]
        if not running:
            return False
        return subprocess.run([*words, random.choice(running)], capture_output=True, env=self.env).returncode == 0


def slurm(hw1, kills, root, expected, env):
    cluster, counts, rounds = Slurm(root / "slurm"), collections.Counter(), 0
    actions = {
        "a task killed": cluster.kill_task,
        "a node killed": cluster.kill_node,
        "requeued": lambda: cluster.tell("scontrol", "requeue"),
        "USR1 to the shell": lambda: cluster.tell("scancel", "--signal=USR1", "--batch"),
        "USR1 to all": lambda: cluster.tell("scancel", "--signal=USR1", "--full"),
    }
    env = {**env, **cluster.env}
    try:
        while counts["a task killed"] + counts["a node killed"] < kills:
            rounds += 1
            run, submitted = root / f"run{rounds}", 0
            while not (run / "report.html").exists() or len(trials(run)) < len(expected):
                submitted += 1
                if submitted > 5:
                    complain(f"{run.name} is not done after {submitted} submissions")
                    break
                words = [hw1, "slurm", *STUDY, "--out", run, "--tasks", "5", "--submit"]
                # Now and then a second array beside the first.
                for _ in range(random.choice([1, 1, 1, 2])):
                    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
                    counts["arrays"] += 1
                begin = time.time()
                while cluster.ask("squeue", "-h", "-o", "%i"):
                    time.sleep(random.uniform(0.2, 2.0))
                    # One that ends is one that is let alone at last.
                    if time.time() - begin < 40:
                        what = random.choice(list(actions))
                        counts[what] += actions[what]()
                    cluster.revive()
                    if time.time() - begin > 400:
                        complain(f"{run.name} is not done after {time.time() - begin:.0f} s: {cluster.ask('squeue')}")
                        subprocess.run(["scancel", "--user", "root"], env=env)
                        break
            while cluster.dead:
                time.sleep(1)
                cluster.revive()
            counts["submissions again"] += submitted - 1
            logs = "".join(path.read_text(errors="replace") for path in (run / "slurm").glob("*.log"))
            counts["went on from a checkpoint"] += len(re.findall(r"interrupted with", logs))
            shutil.rmtree(run / "slurm")
            report(hw1, run, env)
            compare(hw1, run, expected, env)
            print(f"round {rounds}: {dict(counts)}", flush=True)
            shutil.rmtree(run)
    finally:
        subprocess.run([sys.executable, HERE / "cluster.py", "stop", cluster.at])
    return counts, rounds


def main():
    # So that a cluster is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    how, hw1, kills = {"shards": shards, "slurm": slurm}[sys.argv[1]], str(pathlib.Path(sys.argv[2]).resolve()), int(sys.argv[3])
    random.seed(int(sys.argv[4]) if len(sys.argv) > 4 else 1)
    with tempfile.TemporaryDirectory() as folder:
        root, env, begin = pathlib.Path(folder), {**os.environ, "HW1_CHECKPOINT_SECONDS": "0.2"}, time.time()
        alone = root / "alone"
        subprocess.run([hw1, *STUDY, "--jobs", "2", "--out", alone], check=True, stdout=subprocess.DEVNULL, env=env)
        expected = trials(alone)
        counts, rounds = how(hw1, kills, root, expected, env)
    told = ", ".join(f"{what} {count}" for what, count in counts.items())
    print(f"{rounds} rounds in {time.time() - begin:.0f} s, {len(expected)} files each: {told}; {len(wrong)} wrong")
    sys.exit(len(wrong) > 0)


if __name__ == "__main__":
    main()
