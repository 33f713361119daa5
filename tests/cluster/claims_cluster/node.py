"""The first process of a node: it sets its namespaces up, starts everything in them, and starts again what ends.

It runs as process 1 of its own process namespace, so that the kernel ends every program and every pod of the node
when it ends.
"""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from claims_cluster import components, settings
from claims_cluster.shell import run, succeeds

RESTART_DELAY_SECONDS = 1.0
STOP_TIMEOUT_SECONDS = 8.0


@dataclasses.dataclass
class Program:
    """A command that is to be running, and where its output goes."""

    name: str
    command: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    not_before: float = 0.0

    def start(self) -> None:
        """Start the program; its log goes on where it ended."""
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self.command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True
            )


def set_up_mounts(cluster: settings.Cluster) -> None:
    """Give the node directories of its own where programs have a fixed place, so that the host sees none of it."""
    tmpfs = ("mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs")
    run("mount", "-t", "proc", "proc", "/proc")
    run(*tmpfs, "/mnt")
    run("mount", "--bind", cluster.run, _directory("/mnt/kept"))
    run(*tmpfs, "/run")
    run("mount", "--move", "/mnt/kept", _directory(str(cluster.run)))
    for place in components.PRIVATE_PLACES:
        run(*tmpfs, _directory(place))
    # Last: a mount cannot be moved under a shared one, and kubelet needs shared ones for its pods' volumes.
    run("mount", "--make-rshared", "/")


def _directory(path: str) -> Path:
    place = Path(path)
    place.mkdir(parents=True, exist_ok=True)
    return place


def set_up_network(cluster: settings.Cluster, node: settings.Node) -> None:
    """Wait for the cable from the host and set addresses and routes."""
    deadline = time.monotonic() + 30
    while not components.interfaces_ready("eth0"):
        if time.monotonic() > deadline:
            raise SystemExit("The host did not connect eth0 within 30 s.")
        time.sleep(0.05)
    run("ip", "link", "set", "lo", "up")
    run("ip", "address", "add", f"{node.address}/24", "dev", "eth0")
    run("ip", "link", "set", "eth0", "up")
    run("ip", "route", "add", "default", "via", cluster.host_address)
    for other in (1, 2):
        if other != node.index:
            peer = cluster.node(other)
            run("ip", "route", "add", peer.pod_range, "via", peer.address)
    for name in (
        "net/ipv4/ip_forward",
        "net/bridge/bridge-nf-call-iptables",
        "net/ipv4/conf/all/route_localnet",
    ):
        setting = Path("/proc/sys") / name
        if setting.exists():
            setting.write_text("1")


def set_up_cgroups(cluster: settings.Cluster, node: settings.Node) -> None:
    """Make the cgroup of the pods in every hierarchy."""
    for controller in components.controllers():
        place = controller / components.cgroup(cluster, node)
        place.mkdir(exist_ok=True)
        if (controller / "cpuset.cpus").exists():
            for name in ("cpuset.cpus", "cpuset.mems"):
                (place / name).write_text((controller / name).read_text())


def supervise(programs: list[Program]) -> None:
    """Keep the programs running until told to stop; reap every orphan, as process 1 has to."""
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    while not stopping:
        now = time.monotonic()
        for program in programs:
            if program.process is None and now >= program.not_before:
                program.start()
        _reap(programs)
        time.sleep(0.1)
    for program in reversed(programs):
        if program.process is not None:
            program.process.terminate()
    deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
    while time.monotonic() < deadline and any(program.process for program in programs):
        _reap(programs)
        time.sleep(0.05)


def _reap(programs: list[Program]) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        for program in programs:
            if program.process is not None and program.process.pid == pid:
                program.process.returncode = os.waitstatus_to_exitcode(status)
                print(f"{program.name} ended with code {program.process.returncode}", flush=True)
                program.process = None
                program.not_before = time.monotonic() + RESTART_DELAY_SECONDS


def main() -> None:
    """Run one node: ``python -m claims_cluster.node CLUSTER INDEX``."""
    cluster = settings.cluster(sys.argv[1])
    node = cluster.node(int(sys.argv[2]))
    set_up_mounts(cluster)
    set_up_network(cluster, node)
    set_up_cgroups(cluster, node)
    if succeeds("hostname", node.name):
        print(f"node {node.name} at {node.address}", flush=True)
    commands = components.node_agents(cluster, node)
    if node.index == 1:
        commands = {**components.control_plane(cluster), **commands}
    logs = node.state / "logs"
    supervise([Program(name, command, logs / f"{name}.log") for name, command in commands.items()])


if __name__ == "__main__":
    main()
