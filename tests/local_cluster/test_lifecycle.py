"""The local cluster comes up, mends itself, and leaves the machine as it was.

These tests use the second cluster, which shares nothing with the one that other tests and people use.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from claims_cluster import addons, components, host, settings

CLUSTER = settings.cluster("second")

pytestmark = pytest.mark.timeout(900)


def command(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "claims_cluster", "--name", "second", *arguments],
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
    """Command lines of every process that could be a part of the second cluster."""
    found = set()
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            words = place.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if "second" in words and str(os.getpid()) != place.parent.name and "pytest" not in words:
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


@pytest.fixture
def cluster() -> Iterator[settings.Cluster]:
    command("down")
    yield CLUSTER
    command("down")


def first_process() -> int:
    pid = host.process_of(CLUSTER.node(1).pid_file, "claims_cluster.node")
    assert pid is not None
    return pid


def test_down_leaves_the_machine_as_it_was_and_a_killed_cluster_mends_itself(cluster: settings.Cluster) -> None:
    Path("/run/claims-cluster").mkdir(exist_ok=True)
    Path("/var/lib/claims-cluster").mkdir(exist_ok=True)
    before = listing()

    command("up")
    assert json.loads(command("status").stdout)["ready"] is True
    addons.kubectl(cluster, "create", "configmap", "kept", "--from-literal=key=value")
    with urllib.request.urlopen(f"http://127.0.0.1:{cluster.port(19090)}/-/ready", timeout=5) as answer:
        assert answer.status == 200

    started = time.monotonic()
    command("up")
    assert time.monotonic() - started < 30, "an `up` of a cluster that is up does next to nothing"

    # As after a power cut: everything is gone at once, the files are still there.
    os.kill(first_process(), signal.SIGKILL)
    assert command("status", check=False).returncode == 1
    command("up")
    assert json.loads(command("status").stdout)["ready"] is True
    assert "kept" in addons.kubectl(cluster, "get", "configmap", "kept", "-o", "name")

    command("down")
    after = listing()
    assert {name: sorted(found - before[name]) for name, found in after.items()} == {name: [] for name in after}
    assert {name: sorted(found - after[name]) for name, found in before.items()} == {name: [] for name in before}


def test_an_interrupted_up_goes_on_from_where_it_was(cluster: settings.Cluster) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "claims_cluster", "--name", "second", "up"],
        env={**os.environ, "PYTHONPATH": str(settings.HERE)},
        stderr=subprocess.DEVNULL,
    )
    time.sleep(8)
    process.kill()
    process.wait()
    command("up")
    assert json.loads(command("status").stdout)["ready"] is True


def test_a_port_in_use_is_said_before_anything_changes(cluster: settings.Cluster) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", cluster.port(18080)))
        taken.listen()
        done = command("up", check=False)
    assert done.returncode == 1
    assert f"port {cluster.port(18080)}" in done.stderr
    assert "ss -ltnp" in done.stderr
    assert not cluster.state.exists()
