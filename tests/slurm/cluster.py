"""A real Slurm cluster on one machine, for tests: munged, slurmctld and a slurmd a node.

Every node has its own host name, address, process table and port space (Linux namespaces), so that
what a launch script does with names and ports is put to the test. The GPUs are fake: Slurm counts
and hands them out, nothing computes on them. Nothing of the host changes, and killing one process
(the outer ``unshare``) ends all of it.

Needs root and Debian's slurmctld, slurmd, slurm-client, munge and iproute2.
"""

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = (
    "slurmctld",
    "slurmd",
    "munged",
    "sbatch",
    "srun",
    "scontrol",
    "unshare",
    "setpriv",
    "ip",
)
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "DEADLINE")
POLL_S = 0.1


def missing_programs() -> list[str]:
    """Return what the cluster needs and this machine lacks."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    return missing if os.geteuid() == 0 else ["root", *missing]


def slurm_conf(folder: Path, n_nodes: int, gpus_per_node: int) -> str:
    """Return slurm.conf: two partitions, of which ``high`` preempts ``main`` by requeueing."""
    nodes = f"NodeName=n[1-{n_nodes}] NodeAddr=10.77.0.[1-{n_nodes}]"
    return f"""
ClusterName=lab
SlurmctldHost=login(10.77.0.254)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# cred_expire is also how long a requeued job waits before it may start again (default: 120 s).
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=1000
GresTypes=gpu
SlurmdParameters=config_overrides
ReturnToService=2
JobRequeue=1
EnforcePartLimits=ALL
MinJobAge=86400
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,sched_min_interval=0,bf_interval=1,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
PriorityType=priority/basic
SlurmctldTimeout=30
SlurmdTimeout=20
BatchStartTimeout=20
MessageTimeout=10
TCPTimeout=5
InactiveLimit=0
KillWait=5
KillOnBadExit=0
WaitTime=0
{nodes} CPUs=64 RealMemory=512000 Gres=gpu:{gpus_per_node}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=120
PartitionName=high Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""


def write_configuration(folder: Path, n_nodes: int, gpus_per_node: int) -> None:
    """Write Slurm's files, a munge key and the hosts file into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)  # munged wants a socket that all can reach
    for name in ("etc", "state", "log", "dev"):
        (folder / name).mkdir(parents=True)
        (folder / name).chmod(0o755)
    for index in range(gpus_per_node):  # slurmd wants a character device; a link to one will do
        (folder / "dev" / f"gpu{index}").symlink_to("/dev/null")
    key = folder / "etc" / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    devices = f"{folder}/dev/gpu[0-{gpus_per_node - 1}]"
    hosts = ["127.0.0.1 localhost", "10.77.0.254 login"]
    hosts += [f"10.77.0.{i} n{i}" for i in range(1, n_nodes + 1)]
    files = {
        "slurm.conf": slurm_conf(folder, n_nodes, gpus_per_node),
        # Named, because autodetection ends slurmd where /sys/fs/cgroup is not mounted.
        "cgroup.conf": "CgroupAutomount=no\nCgroupPlugin=cgroup/v1\n",
        "gres.conf": f"AutoDetect=off\nNodeName=n[1-{n_nodes}] Name=gpu File={devices}\n",
        "hosts": "\n".join(hosts) + "\n",
    }
    for name, text in files.items():
        (folder / "etc" / name).write_text(text)


# PID 1 of the cluster: the login node, a bridge, munged, slurmctld, and the nodes.
INIT = r"""
set -euo pipefail
folder=$1 n_nodes=$2
hostname login
mount --make-rprivate /
mkdir -p /etc/slurm
mount --bind "$folder/etc" /etc/slurm
mount --bind "$folder/etc/hosts" /etc/hosts
ip link set lo up
ip link add br0 type bridge
ip addr add 10.77.0.254/24 dev br0
ip link set br0 up
munged --key-file="$folder/etc/munge.key" --socket="$folder/munge.socket" \
    --pid-file="$folder/munged.pid" --log-file="$folder/log/munged.log" \
    --seed-file="$folder/munged.seed" --num-threads=4
slurmctld -D & controller=$!
for ((i = 1; i <= n_nodes; i++)); do
    go="$folder/n$i.go"
    mkfifo "$go"
    mkdir -p "$folder/spool.n$i"
    setsid unshare --net --uts --pid --mount --fork --mount-proc --kill-child bash -c '
        hostname "n$1"
        mount -t tmpfs -o mode=1777 shm /dev/shm
        read -r _ <"$2"  # the network cable is plugged in from outside
        ip link set lo up
        ip addr add "10.77.0.$1/24" dev eth0
        ip link set eth0 up
        slurmd -D -N "n$1" &
        while :; do wait -n || [ $? != 127 ] || break; done' _ "$i" "$go" \
        </dev/null >>"$folder/log/n$i.out" 2>&1 &
    node=$!
    child=
    until [[ -n $child ]]; do read -r child _ <"/proc/$node/task/$node/children" || true; done
    while [[ $(readlink "/proc/$child/ns/net") == "$(readlink /proc/self/ns/net)" ]]; do
        sleep 0.01
    done
    ip link add "v$i" type veth peer name eth0 netns "$child"
    ip link set "v$i" master br0 up
    echo go >"$go"
done
wait "$controller"
"""


@dataclass
class Cluster:
    """A running cluster.

    Attributes:
        folder: Scratch folder; short, because a Unix socket's path is.
        n_nodes: Nodes n1, n2, …
        gpus_per_node: Fake GPUs of each.
    """

    folder: Path
    n_nodes: int = 2
    gpus_per_node: int = 2

    def up(self) -> None:
        """Start it; returns when every node is idle.

        Raises:
            RuntimeError: A daemon did not start; the message holds its log.
        """
        write_configuration(self.folder, self.n_nodes, self.gpus_per_node)
        namespaces = ["--mount", "--uts", "--net", "--pid", "--fork", "--mount-proc"]
        init = ["bash", "-c", INIT, "_", str(self.folder), str(self.n_nodes)]
        self._outer = subprocess.Popen(
            # pdeathsig: it ends with the test run, however that ends.
            ["setpriv", "--pdeathsig", "KILL", "unshare", *namespaces, "--kill-child", *init],
            stdin=subprocess.DEVNULL,
            stdout=(self.folder / "log" / "init.out").open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        deadline = time.monotonic() + 60
        while self._n_idle() < self.n_nodes:
            if self._outer.poll() is not None or time.monotonic() > deadline:
                self.down()
                raise RuntimeError(f"the cluster did not start:\n{self.logs()}")
            time.sleep(POLL_S)

    def down(self) -> None:
        """Stop everything that was started."""
        if self._outer.poll() is None:
            os.killpg(self._outer.pid, signal.SIGKILL)  # --kill-child takes the namespaces along
        self._outer.wait()

    def logs(self) -> str:
        """Return the last lines of every daemon's log."""
        parts = []
        for path in sorted((self.folder / "log").iterdir()):
            lines = path.read_text(errors="replace").splitlines()[-15:]
            parts += [f"== {path.name}", *lines]
        return "\n".join(parts)

    def run(
        self, command: Sequence[str], *, cwd: Path, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run ``command`` on the login node."""
        inherited = {k: v for k, v in os.environ.items() if not re.match("SLURM|SBATCH|SRUN", k)}
        return subprocess.run(
            [*self._enter(), f"--wd={cwd}", *command],
            env=inherited | (env or {}),
            capture_output=True,
            text=True,
        )

    def job(self, job_id: str) -> dict[str, str]:
        """Return what the controller says of a job, by key (JobState, Restarts, Reason, …)."""
        shown = self.run(["scontrol", "-o", "show", "job", job_id], cwd=self.folder).stdout
        return dict(re.findall(r"(\w+)=(\S*)", shown.splitlines()[-1] if shown else ""))

    def wait(self, job_id: str, timeout_s: float, states: Sequence[str] = ENDED) -> str:
        """Wait until a job is in one of ``states`` and return it.

        Raises:
            TimeoutError: It is not within ``timeout_s``; the message says where it stands.
        """
        deadline = time.monotonic() + timeout_s
        while (state := self.job(job_id).get("JobState", "")) not in states:
            if time.monotonic() > deadline:
                raise TimeoutError(f"job {job_id} is {state}: {self.job(job_id)}")
            time.sleep(POLL_S)
        return state

    def clear(self) -> None:
        """Cancel every job and wait until none is left."""
        self.run(["scancel", "--user=root", "--full"], cwd=self.folder)
        while self.run(["squeue", "--noheader"], cwd=self.folder).stdout.strip():
            time.sleep(POLL_S)

    def _n_idle(self) -> int:
        shown = self.run(
            ["sinfo", "-h", "-N", "-p", "main", "-t", "idle", "-o", "%n"], cwd=self.folder
        )
        return len(shown.stdout.split())

    def _enter(self) -> list[str]:
        """Return the command that enters the login node's namespaces."""
        outer = self._outer.pid
        children = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
        if not children:
            return ["false"]
        return ["nsenter", "-t", children[0], "-m", "-u", "-n", "-p"]


if __name__ == "__main__":  # by hand: python -m tests.slurm.cluster FOLDER COMMAND …
    cluster = Cluster(Path(sys.argv[1]))
    cluster.up()
    try:
        done = cluster.run(sys.argv[2:], cwd=Path.cwd())
        print(done.stdout, done.stderr)
    finally:
        cluster.down()
