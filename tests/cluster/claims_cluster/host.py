"""What is asked of the host, and what is changed on it: packages, one bridge, one cable for each node."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from claims_cluster import components, parts, settings
from claims_cluster.progress import Progress
from claims_cluster.shell import Failure, run, succeeds

BUILDING_DISK_BYTES = 20 * 1024**3
"""With Go's caches, which are its user's and stay."""
RUNNING_DISK_BYTES = 4 * 1024**3
"""Once the programs are built."""
NEEDED_MEMORY_BYTES = 6 * 1024**3


def check(cluster: settings.Cluster, *, ports: bool) -> None:
    """Find what would stop the cluster, before anything is changed.

    ``ports``: the loopback ports have to be free; false while our own forwarder has them.

    Raises:
        Failure: names every obstacle and its remedy.
    """
    problems = [
        problem
        for problem in (
            _not_root(),
            _not_linux(),
            _missing_kernel_features(),
            _small_disk(cluster),
            _small_memory(),
            _ports_in_use(cluster) if ports else "",
            _network_in_use(cluster),
        )
        if problem
    ]
    if problems:
        raise Failure("The cluster cannot start here:\n" + "\n".join(f"- {problem}" for problem in problems))


def check_builder() -> None:
    """Find what would stop images from being built for a cluster that is not ours.

    Raises:
        Failure: names every obstacle and its remedy.
    """
    problems = []
    if os.geteuid() != 0:
        problems.append("buildah mounts layers, which needs root. Run the command with sudo.")
    if not _is_debian():
        problems.append("The base image is made of Debian packages, on Debian or a relative of it.")
    if problems:
        raise Failure("Images cannot be built here:\n" + "\n".join(f"- {problem}" for problem in problems))


def _not_root() -> str:
    if os.geteuid() != 0:
        return "It needs root for namespaces and mounts. Run the command with sudo."
    return ""


def _not_linux() -> str:
    if not _is_debian():
        return "It needs Debian or a relative of it. Use another cluster with CLUSTER=existing."
    return ""


def _is_debian() -> bool:
    return sys.platform == "linux" and Path("/etc/debian_version").exists()


def _missing_kernel_features() -> str:
    missing = []
    if "overlay" not in Path("/proc/filesystems").read_text():
        missing.append("overlay file systems (modprobe overlay)")
    if not Path("/proc/sys/net/bridge/bridge-nf-call-iptables").exists():
        missing.append("packet filtering on bridges (modprobe br_netfilter)")
    if not components.controllers():
        missing.append("cgroups (mount them under /sys/fs/cgroup)")
    missing.extend(
        f"{name} namespaces"
        for name in ("mnt", "net", "pid", "ipc", "uts")
        if not Path(f"/proc/self/ns/{name}").exists()
    )
    return "The kernel lacks " + ", ".join(missing) + "." if missing else ""


def _small_disk(cluster: settings.Cluster) -> str:
    for place in (settings.cache_directory(), cluster.state):
        existing = next(parent for parent in (place, *place.parents) if parent.exists())
        free = shutil.disk_usage(existing).free
        needed = RUNNING_DISK_BYTES if parts.are_built() else BUILDING_DISK_BYTES
        if free < needed:
            return (
                f"{existing} has {free / 1024**3:.1f} GiB free and {needed / 1024**3:.0f} are needed. "
                "Free some, or set CLAIMS_CACHE to a folder on a larger disk."
            )
    return ""


def _small_memory() -> str:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if total < NEEDED_MEMORY_BYTES:
        return (
            f"The machine has {total / 1024**3:.1f} GiB of memory and {NEEDED_MEMORY_BYTES / 1024**3:.0f} are needed."
        )
    return ""


def _ports_in_use(cluster: settings.Cluster) -> str:
    taken = []
    for port, _ in cluster.forwards.values():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                taken.append(str(port))
    if taken:
        return f"Something else listens on 127.0.0.1 port {', '.join(taken)}. Find it with: ss -ltnp"
    return ""


def _network_in_use(cluster: settings.Cluster) -> str:
    if not shutil.which("ip"):
        return ""
    for line in run("ip", "-4", "route", "show", f"{cluster.network}.0/24").splitlines():
        if f"dev {cluster.bridge}" not in line:
            return f"The network {cluster.network}.0/24 is in use: {line.strip()}. Remove that route first."
    return ""


def install_packages(progress: Progress, names: Sequence[str] = settings.PACKAGES) -> None:
    """Install the Debian packages that are not there, without starting their services."""
    missing = [name for name in names if "install ok installed" not in _package_status(name)]
    if not missing:
        return
    with progress.step(f"install {len(missing)} Debian packages", 60) as step:
        step.say(", ".join(missing))
        log = settings.cache_directory() / "install-packages.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        policy = Path("/usr/sbin/policy-rc.d")  # Debian's own way to keep a package from starting its service.
        ours = not policy.exists()
        if ours:
            policy.write_text("#!/bin/sh\nexit 101\n")
            policy.chmod(0o755)
        try:
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            run("apt-get", "update", "-q", log=log, env=environment, timeout_seconds=600)
            run(
                "apt-get",
                "install",
                "-q",
                "-y",
                "--no-install-recommends",
                *missing,
                log=log,
                env=environment,
                timeout_seconds=1200,
            )
        finally:
            if ours:
                policy.unlink()


def _package_status(name: str) -> str:
    return subprocess.run(
        ["dpkg-query", "-W", "-f", "${Status}", name], capture_output=True, text=True, check=False
    ).stdout


def connect(cluster: settings.Cluster, node: settings.Node, pid: int) -> None:
    """Join a node's network namespace to the host by the cluster's bridge."""
    if not succeeds("ip", "link", "show", cluster.bridge):
        run("ip", "link", "add", cluster.bridge, "type", "bridge")
        run("ip", "address", "add", f"{cluster.host_address}/24", "dev", cluster.bridge)
    run("ip", "link", "set", cluster.bridge, "up")
    succeeds("ip", "link", "delete", node.interface)
    run("ip", "link", "add", node.interface, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
    run("ip", "link", "set", node.interface, "master", cluster.bridge, "up")


def disconnect(cluster: settings.Cluster) -> None:
    """Remove the bridge; the cables went with the nodes' namespaces."""
    succeeds("ip", "link", "delete", cluster.bridge)


def remove_cgroups(cluster: settings.Cluster) -> None:
    """Remove the cgroups of every node of the cluster; they are empty once its processes have ended."""
    for controller in components.controllers():
        for place in controller.glob(f"claims-cluster-{cluster.name}-*"):
            folders = sorted((path for path in place.rglob("*") if path.is_dir()), reverse=True)
            for folder in (*folders, place):
                _remove_cgroup(folder)


def _remove_cgroup(folder: Path) -> None:
    for _ in range(50):
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:  # A process that was killed is still on its way out.
            time.sleep(0.1)
        else:
            return


def process_of(pid_file: Path, mark: str) -> int | None:
    """Return the pid in a file if that process lives and its command line holds ``mark``; pids are used again."""
    try:
        pid = int(pid_file.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    return pid if mark in command else None


def end(pid: int, timeout_seconds: float) -> None:
    """Ask a process to end, and kill it when it has not after the time-out."""
    for number, patience in ((signal.SIGTERM, timeout_seconds), (signal.SIGKILL, 5.0)):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if not Path(f"/proc/{pid}").exists() or _is_zombie(pid):
                return
            time.sleep(0.05)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
