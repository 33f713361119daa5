"""Bring a cluster up, take it down, and tell how it is."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from claims_cluster import addons, components, host, images, parts, pki, settings
from claims_cluster.progress import Progress
from claims_cluster.shell import Failure, succeeds

NODE_STOP_SECONDS = 15.0


@contextlib.contextmanager
def locked(cluster: settings.Cluster, progress: Progress) -> Iterator[None]:
    """Hold the cluster's lock; a second run waits and says for whom."""
    root = Path("/run/claims-cluster")
    root.mkdir(mode=0o755, exist_ok=True)
    with (root / f"{cluster.name}.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            progress.note(f"Waiting for process {lock.read().strip() or '?'}, which is changing this cluster.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        lock.truncate()
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def up(cluster: settings.Cluster, node_count: int, progress: Progress) -> None:
    """Bring the cluster to where every add-on is ready, from wherever it is now.

    ``node_count``: the least number of nodes, 1 or 2; a node that is there stays until `down`.

    Raises:
        Failure: says what stands in the way and what to do.
    """
    nodes = [cluster.node(1)]
    if node_count > 1 or cluster.node(2).state.exists():
        nodes.append(cluster.node(2))
    if _is_up(cluster, nodes):
        return
    if not any(_running(node) for node in nodes):
        _stop(cluster)  # What a reboot or a kill left: a forwarder, cgroups, the bridge.
    host.check(cluster, ports=not host.process_of(cluster.run / "forward.pid", "forward"))
    host.install_packages(progress)
    parts.ensure_all(progress)
    if _recorded(cluster, "node") not in ("", _node_fingerprint()):
        with progress.step("replace the cluster of another version"):
            _stop(cluster)
            _wipe(cluster)
    with progress.step("start Kubernetes", 8):
        _start(cluster, nodes)
        (cluster.state / "node").write_text(_node_fingerprint())
        _wait_for_api(cluster, 60)
    for node in nodes:
        images.load_parts(node, progress)
    if _recorded(cluster, "addons") != _addons_fingerprint():
        addons.install(cluster, nodes, progress)
    with progress.step("wait for the nodes", 8):
        addons.kubectl(
            cluster, "wait", "node", *[node.name for node in nodes], "--for=condition=Ready", "--timeout=90s"
        )
    addons.wait_ready(cluster, progress)
    (cluster.state / "addons").write_text(_addons_fingerprint())


def down(cluster: settings.Cluster, progress: Progress) -> None:
    """End every process of the cluster and remove what it put on the host; the cache of built parts stays."""
    with progress.step("stop the cluster"):
        _stop(cluster)
        _wipe(cluster)
        for place in components.PRIVATE_PLACES:
            with contextlib.suppress(OSError):
                Path(place).rmdir()  # Mount points that we made; a host's own are not empty, or stay.


def status(cluster: settings.Cluster) -> dict[str, object]:
    """Return what is running, for people and scripts."""
    return {
        "name": cluster.name,
        "nodes": {node.name: _running(node) or 0 for node in _known_nodes(cluster)},
        "ready": _is_up(cluster, _known_nodes(cluster) or [cluster.node(1)]),
        "addresses": {name: f"127.0.0.1:{port}" for name, (port, _) in cluster.forwards.items()},
        "kubeconfig": str(cluster.kubeconfig),
    }


def running_nodes(cluster: settings.Cluster) -> list[settings.Node]:
    """Return the nodes that run, the first one first.

    Raises:
        Failure: none runs.
    """
    running = [node for node in _known_nodes(cluster) if _running(node)]
    if not running:
        raise Failure("The cluster is not up. Run: make up")
    return running


def _known_nodes(cluster: settings.Cluster) -> list[settings.Node]:
    return [cluster.node(index) for index in (1, 2) if cluster.node(index).pid_file.exists()]


def _node_fingerprint() -> str:
    """Return a digest of what runs on the nodes; a cluster with another one is replaced."""
    digest = hashlib.sha256()
    for module in sorted({program.module for program in parts.GO_PROGRAMS.values() if not program.on_request}):
        digest.update(parts.go_key(module).encode())
    here = Path(__file__).parent
    for path in (here / "components.py", here / "node.py", here / "settings.py"):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _addons_fingerprint() -> str:
    """Return a digest of what is installed into the cluster; with another one it is installed again over itself."""
    digest = hashlib.sha256()
    manifests = sorted((settings.HERE / "manifests").glob("*.yaml"))
    for path in (Path(addons.__file__), addons.SCRAPE_CONFIGURATION, *manifests):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _recorded(cluster: settings.Cluster, what: str) -> str:
    marker = cluster.state / what
    return marker.read_text() if marker.exists() else ""


def _running(node: settings.Node) -> int | None:
    return host.process_of(node.pid_file, "claims_cluster.node")


def _is_up(cluster: settings.Cluster, nodes: list[settings.Node]) -> bool:
    current = (_recorded(cluster, "node"), _recorded(cluster, "addons"))
    if current != (_node_fingerprint(), _addons_fingerprint()) or not all(_running(node) for node in nodes):
        return False
    if not host.process_of(cluster.run / "forward.pid", "forward"):
        return False
    if not _api_answers(cluster):
        return False
    listing = json.loads(addons.kubectl(cluster, "get", "nodes,deployments", "--all-namespaces", "-o", "json"))
    ready = {"Node": "Ready", "Deployment": "Available"}
    system = {"kube-system", "envoy-gateway-system", "kserve", "monitoring"}
    for found in listing["items"]:
        if found["kind"] == "Deployment" and found["metadata"]["namespace"] not in system:
            continue
        conditions = {one["type"]: one["status"] for one in found["status"].get("conditions", [])}
        if conditions.get(ready[found["kind"]]) != "True":
            return False
    return True


def _start(cluster: settings.Cluster, nodes: list[settings.Node]) -> None:
    cluster.state.mkdir(parents=True, exist_ok=True)
    pki.prepare(cluster, nodes)
    for node in nodes:
        if _running(node):
            continue
        node.run.mkdir(parents=True, exist_ok=True)
        node.state.mkdir(parents=True, exist_ok=True)
        components.containerd_root(node).mkdir(parents=True, exist_ok=True)
        components.write_files(cluster, node)
        shutil.rmtree(node.run / "containerd", ignore_errors=True)
        node.containerd_socket.unlink(missing_ok=True)  # A client waits for one that is not there, not for a dead one.
        _start_node(cluster, node)
    _start_forwarder(cluster)


def _start_node(cluster: settings.Cluster, node: settings.Node) -> None:
    command = [
        "unshare",
        "--mount",
        "--net",
        "--pid",
        "--ipc",
        "--uts",
        "--fork",
        "--kill-child=KILL",
        sys.executable,
        "-m",
        "claims_cluster.node",
        cluster.name,
        str(node.index),
    ]
    environment = {**os.environ, "PYTHONPATH": str(settings.HERE)}
    with (node.state / "logs" / "node.log").open("ab") as log:
        outer = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=environment,
            cwd="/",
        )
    children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
    deadline = time.monotonic() + 10
    while True:
        with contextlib.suppress(FileNotFoundError):
            inner = children.read_text().split()
            if inner and "claims_cluster.node" in Path(f"/proc/{inner[0]}/cmdline").read_text():
                break
        if outer.poll() is not None or time.monotonic() > deadline:
            raise Failure(f"Node {node.name} did not start. See {node.state}/logs/node.log")
        time.sleep(0.05)
    node.pid_file.write_text(inner[0])
    host.connect(cluster, node, int(inner[0]))


def _start_forwarder(cluster: settings.Cluster) -> None:
    pid_file = cluster.run / "forward.pid"
    if host.process_of(pid_file, "forward"):
        return
    first = cluster.node(1)
    arguments = [f"127.0.0.1:{port}={first.address}:{target}" for port, target in cluster.forwards.values()]
    with (cluster.state / "forward.log").open("ab") as log:
        process = subprocess.Popen(
            [parts.program("forward"), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )
    time.sleep(0.3)
    if process.poll() is not None:
        raise Failure(f"The forwarder of loopback ports ended at once. See {cluster.state}/forward.log")
    pid_file.write_text(str(process.pid))


def _wait_for_api(cluster: settings.Cluster, timeout_seconds: float) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not _api_answers(cluster):
        if time.monotonic() > deadline:
            log = cluster.node(1).state / "logs" / "kube-apiserver.log"
            raise Failure(f"The API server did not answer within {timeout_seconds:.0f} s. See {log}")
        time.sleep(0.2)


def _api_answers(cluster: settings.Cluster) -> bool:
    authority = cluster.state / "pki" / "ca.crt"
    if not authority.exists():
        return False
    context = ssl.create_default_context(cafile=str(authority))
    try:
        with urllib.request.urlopen(f"https://{cluster.api_address}/readyz", context=context, timeout=3) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _stop(cluster: settings.Cluster) -> None:
    for name in ("forward", "registry"):
        if pid := host.process_of(cluster.run / f"{name}.pid", name):
            host.end(pid, 2)
    for index in (2, 1):
        if pid := _running(cluster.node(index)):
            host.end(pid, NODE_STOP_SECONDS)
    host.remove_cgroups(cluster)
    if shutil.which("ip"):
        host.disconnect(cluster)


def _wipe(cluster: settings.Cluster) -> None:
    shutil.rmtree(cluster.run, ignore_errors=True)
    for place in sorted(cluster.state.rglob("*")) if cluster.state.exists() else []:
        if place.is_mount():
            succeeds("umount", "--lazy", place)
    shutil.rmtree(cluster.state, ignore_errors=True)
