#!/usr/bin/env python3
"""A Slurm of two nodes on this machine, for tests: cluster.py start FOLDER [MAX_ARRAY_SIZE] | stop FOLDER | slurmd FOLDER NODE

Needs root, and Debian's slurmctld, slurmd, slurm-client and munge. All that it writes is in FOLDER. After `start` commands of
Slurm find it by SLURM_CONF=FOLDER/slurm.conf. `slurmd` starts the daemon of a node again that was killed. Ends with 3 and a
line where it cannot be had.
"""

import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time

NODES = ["n1", "n2"]
PROGRAMS = ["munged", "slurmctld", "slurmd", "sbatch", "scontrol", "squeue", "sinfo"]
# A requeued task waits for cred_expire seconds, of which Slurm takes 5 at least, else 120.
CONF = """\
ClusterName=hw1
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={at}/munge.socket,cred_expire=5
StateSaveLocation={at}/state
SlurmdSpoolDir={at}/spool.%n
SlurmctldPidFile={at}/slurmctld.pid
SlurmdPidFile={at}/slurmd.%n.pid
SlurmctldLogFile={at}/slurmctld.log
SlurmdLogFile={at}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
MaxArraySize={most}
MinJobAge=300
SlurmdTimeout=15
KillWait=5
InactiveLimit=0
ReturnToService=2
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 RealMemory={memory}
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 RealMemory={memory}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""


def refuse(why):
    print(f"no Slurm here: {why}", file=sys.stderr)
    sys.exit(3)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def environment(at):
    return {**os.environ, "SLURM_CONF": f"{at}/slurm.conf"}


def daemon(at, *words):
    done = subprocess.run(words, env=environment(at), capture_output=True, text=True)
    if done.returncode != 0:
        stop(at)
        refuse(f"{words[0]} ended with {done.returncode}: {done.stderr.strip()[-300:]}")


def slurmd(at, node):
    daemon(at, "slurmd", "-N", node)


def start(at, most):
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        refuse(f"{', '.join(missing)} not installed (apt-get install slurmctld slurmd slurm-client munge)")
    if os.geteuid() != 0:
        refuse("its daemons need root")
    at.mkdir(parents=True, exist_ok=True)
    # munged asks that nobody else can write the folders above its files, and anyone can reach its socket.
    at.chmod(0o755)
    (at / "munge.key").write_bytes(secrets.token_bytes(128))
    (at / "munge.key").chmod(0o400)
    for folder in ["state", *(f"spool.{node}" for node in NODES)]:
        (at / folder).mkdir(exist_ok=True)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**21
    host = socket.gethostname().split(".")[0]
    (at / "slurm.conf").write_text(CONF.format(at=at, host=host, ports=free_ports(3), most=most, memory=memory))
    daemon(at, "munged", "--force", f"--key-file={at}/munge.key", f"--socket={at}/munge.socket",
           f"--pid-file={at}/munged.pid", f"--log-file={at}/munged.log", f"--seed-file={at}/munged.seed")
    daemon(at, "slurmctld")
    for node in NODES:
        slurmd(at, node)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        told = subprocess.run(["sinfo", "-h", "-o", "%T %D"], env=environment(at), capture_output=True, text=True)
        if told.stdout.split() == ["idle", str(len(NODES))]:
            return
        time.sleep(0.3)
    stop(at)
    refuse(f"its nodes did not come up within a minute: {told.stdout.strip()} {told.stderr.strip()[-300:]}")


def stop(at):
    subprocess.run(["scancel", "--user", "root"], env=environment(at), capture_output=True)
    # Whatever is left of this folder's: daemons by their words, what ran on nodes by its environment.
    for _ in range(2):
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                words = [(process / name).read_bytes().split(b"\0") for name in ("cmdline", "environ")]
                own = any(f"{at}/munge".encode() in word for word in words[0]) or f"SLURM_CONF={at}/slurm.conf".encode() in words[1]
                if own and int(process.name) != os.getpid():
                    os.kill(int(process.name), signal.SIGKILL)
            except OSError:
                continue
        time.sleep(0.2)


def main():
    verb, at, rest = sys.argv[1], pathlib.Path(sys.argv[2]).resolve(), sys.argv[3:]
    if verb == "start":
        start(at, rest[0] if rest else "1001")
    elif verb == "stop":
        stop(at)
    elif verb == "slurmd":
        slurmd(at, rest[0])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
