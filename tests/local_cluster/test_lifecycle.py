"""The local cluster comes up, mends itself, and leaves the machine as it was.

These tests use the second cluster, which shares nothing with the one that other tests and people use.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from second_cluster import assert_nothing_left, command, first_process, listing

from claims_cluster import addons, settings
from claims_cluster.deploy import NAMESPACE

pytestmark = pytest.mark.timeout(900)


def test_down_leaves_the_machine_as_it_was_and_a_killed_cluster_mends_itself(cluster: settings.Cluster) -> None:
    before = listing()

    command("up")
    assert json.loads(command("status").stdout)["ready"] is True
    addons.kubectl(cluster, "create", "configmap", "kept", "--from-literal=key=value")
    with urllib.request.urlopen(f"http://127.0.0.1:{cluster.port(19090)}/-/ready", timeout=5) as answer:
        assert answer.status == 200

    again = command("up")
    assert " done " not in again.stdout + again.stderr, "an `up` of a cluster that is up does nothing"

    # As after a power cut: everything is gone at once, the files are still there.
    os.kill(first_process(), signal.SIGKILL)
    assert command("status", check=False).returncode == 1
    command("up")
    assert json.loads(command("status").stdout)["ready"] is True
    assert "kept" in addons.kubectl(cluster, "get", "configmap", "kept", "-o", "name")

    command("down")
    assert_nothing_left(before)


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


@pytest.mark.soak
def test_an_install_whose_helm_was_killed_goes_on(cluster: settings.Cluster) -> None:
    command("up")
    process = subprocess.Popen(
        [sys.executable, "-m", "claims_cluster", "--name", "second", "install"],
        env={**os.environ, "PYTHONPATH": str(settings.HERE)},
        stderr=subprocess.DEVNULL,
    )
    while not (
        releases := addons.kubectl(cluster, "get", "secrets", "-n", NAMESPACE, "-l", "owner=helm", "-o", "name")
    ):
        assert process.poll() is None, "Helm wrote no release"
    subprocess.run(["pkill", "--parent", str(process.pid), "--signal", "KILL"], check=True)
    assert process.wait() == 1
    assert len(releases.split()) == 1
    assert json.loads(addons.helm(cluster, "list", "--pending", "--namespace", NAMESPACE, "--output", "json")) != []

    command("install")
    assert json.loads(addons.helm(cluster, "list", "--pending", "--namespace", NAMESPACE, "--output", "json")) == []


def test_a_port_in_use_is_said_before_anything_changes(cluster: settings.Cluster) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", cluster.port(18080)))
        taken.listen()
        done = command("up", check=False)
    assert done.returncode == 1
    assert f"port {cluster.port(18080)}" in done.stderr
    assert "ss -ltnp" in done.stderr
    assert not cluster.state.exists()
