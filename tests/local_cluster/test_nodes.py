"""Two nodes: pods reach each other across them, one can be lost and comes back, and an autoscaler gets its metrics.

Volumes lie on node 1, as the control plane does: node 2 is the one to lose.
"""

import json
import os
import signal
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from second_cluster import assert_nothing_left, command, first_process, listing

from claims_cluster import addons, images, settings
from claims_cluster.shell import Failure

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

PORT = 8080
NODE_PORT = 30777


def web(name: str, node: settings.Node) -> list[dict[str, Any]]:
    """A web server on one node, and its Service."""
    image = next(image.reference for image in images.part_images() if image.with_base)  # It has Python.
    container = {
        "name": "web",
        "image": image,
        "command": ["python3", "-m", "http.server", str(PORT), "--directory", "/usr/share"],
        "resources": {"requests": {"cpu": "10m"}},
        "readinessProbe": {"httpGet": {"path": "/", "port": PORT}, "periodSeconds": 1},
    }
    pod = {"nodeSelector": {"kubernetes.io/hostname": node.name}, "containers": [container]}
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "selector": {"matchLabels": {"app": name}},
                "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"selector": {"app": name}, "ports": [{"port": PORT}]},
        },
    ]


def wait_for(what: str, look: Callable[[], object], limit_seconds: float) -> None:
    deadline = time.monotonic() + limit_seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what} did not come within {limit_seconds} s, last: {found!r}"
        time.sleep(1)


def reaches(cluster: settings.Cluster, pod: str, service: str) -> bool:
    """Ask a Service by its name in DNS from inside a pod, five times on connections of their own."""
    script = (
        "import urllib.request\n"
        f"for _ in range(5): print(urllib.request.urlopen('http://{service}:{PORT}', timeout=5).status)"
    )
    try:
        answers = addons.kubectl(cluster, "exec", f"deployment/{pod}", "--", "python3", "-c", script)
    except Failure:
        return False
    return answers.split() == ["200"] * 5


def assert_both_ways(cluster: settings.Cluster) -> None:
    """Each node's pod reaches the other's; the nodes' rules follow within seconds."""
    for pod, service in (("web-1", "web-2"), ("web-2", "web-1")):
        wait_for(f"an answer of {service} to {pod}", partial(reaches, cluster, pod, service), limit_seconds=30)


def conditions(cluster: settings.Cluster, kind: str, name: str) -> dict[str, str]:
    found = json.loads(addons.kubectl(cluster, "get", kind, name, "-o", "json"))
    return {each["type"]: each["status"] for each in found["status"].get("conditions", [])}


def wait_available(cluster: settings.Cluster) -> None:
    addons.kubectl(cluster, "wait", "deployment", "--all", "--for=condition=Available", "--timeout=90s")


def test_two_nodes_reach_each_other_and_the_second_can_be_lost(cluster: settings.Cluster) -> None:
    before = listing()
    command("up", "--nodes", "2")
    apart = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "apart", "namespace": "default"},
        "spec": {"type": "NodePort", "selector": {"app": "web-2"}, "ports": [{"port": PORT, "nodePort": NODE_PORT}]},
    }
    addons.apply(cluster, [*web("web-1", cluster.node(1)), *web("web-2", cluster.node(2)), apart])
    wait_available(cluster)

    assert_both_ways(cluster)
    with urllib.request.urlopen(f"http://{cluster.node(1).address}:{NODE_PORT}", timeout=5) as answer:
        assert answer.status == 200, "a port of node 1 leads to a pod on node 2"

    addons.kubectl(cluster, "autoscale", "deployment", "web-2", "--min=1", "--max=2", "--cpu=50%")
    wait_for(
        "the autoscaler's metric",
        lambda: conditions(cluster, "hpa", "web-2").get("ScalingActive") == "True",
        limit_seconds=120,
    )

    os.kill(first_process(node=2), signal.SIGKILL)
    wait_for(
        "node 2 to be missed",
        lambda: conditions(cluster, "node", cluster.node(2).name)["Ready"] == "Unknown",
        limit_seconds=120,
    )
    assert reaches(cluster, "web-1", "web-1")

    command("up")
    assert conditions(cluster, "node", cluster.node(2).name)["Ready"] == "True"
    wait_available(cluster)
    assert_both_ways(cluster)

    command("down")
    assert_nothing_left(before)
