"""The second local cluster, for tests: its command, and what it may not leave behind on the host."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from claims_cluster import components, host, settings

CLUSTER = settings.cluster("second")

MARKS = (f"/{CLUSTER.name}/", f"{CLUSTER.name}-node", f"claims_cluster.node {CLUSTER.name}", f"{CLUSTER.network}.")
"""What is in the command line of each of its processes."""


def command(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "claims_cluster", "--name", CLUSTER.name, *arguments],
        env={**os.environ, "PYTHONPATH": str(settings.HERE)},
        capture_output=True,
        text=True,
        check=False,
    )
    if check and done.returncode:
        pytest.fail(f"claims_cluster {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return done


def output(*words: str) -> set[str]:
    return set(subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines())


def programs_running() -> set[str]:
    """Command lines of every process that is a part of the second cluster."""
    found = set()
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            words = place.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if any(mark in words for mark in MARKS):
                found.add(words)
    return found


def listing() -> dict[str, set[str]]:
    """What the cluster may not leave behind: everything of the host that it changes while it runs."""
    return {
        "mounts": {line.split(" ", 4)[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()},
        "interfaces": {line.split(": ")[1] for line in output("ip", "-o", "link")},
        "routes": output("ip", "route"),
        "namespaces": output("ip", "netns", "list"),
        "rules": {line for line in output("iptables-save") if not line.startswith(("#", ":"))},
        "cgroups": {str(place) for root in components.controllers() for place in root.iterdir() if place.is_dir()},
        "files in /run": {str(place) for place in Path("/run").glob("*")},
        "files in /var/lib": {str(place) for place in Path("/var/lib").glob("*")},
        "programs": programs_running(),
    }


def first_process(node: int = 1) -> int:
    pid = host.process_of(CLUSTER.node(node).pid_file, "claims_cluster.node")
    assert pid is not None
    return pid


def assert_nothing_left(before: dict[str, set[str]]) -> None:
    after = listing()
    assert {name: sorted(found - before[name]) for name, found in after.items()} == {name: [] for name in after}
    assert {name: sorted(found - after[name]) for name, found in before.items()} == {name: [] for name in before}
