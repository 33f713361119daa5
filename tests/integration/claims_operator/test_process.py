"""The operator as it is started: its own process, woken by real watches, one active of several."""

import asyncio
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import yaml
from played_world import World

from claims_cluster.controlplane import ControlPlane
from claims_operator.api import names
from claims_operator.api.status import ClaimsModelStatus

ROOT = Path(__file__).parents[3]
NAMESPACE = "claims-system"
RIGHTS = {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="session")
def service_account(api_server: ControlPlane) -> Path:
    """A kubeconfig of the operator's service account, which may do what the chart lets it do and no more."""
    api_server.kubectl("create", "namespace", NAMESPACE)
    granted = [
        document
        for document in yaml.safe_load_all((ROOT / "manifests/platform.yaml").read_text(encoding="utf-8"))
        if document["kind"] in RIGHTS and document["metadata"]["name"] == "claims-operator"
    ]
    assert {document["kind"] for document in granted} == RIGHTS
    api_server.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(granted))
    token = api_server.kubectl("create", "token", "claims-operator", "-n", NAMESPACE).strip()
    kubeconfig = yaml.safe_load(api_server.kubeconfig.read_text(encoding="utf-8"))
    kubeconfig["users"][0]["user"] = {"token": token}
    path = api_server.directory / "operator.kubeconfig"
    path.write_text(yaml.safe_dump(kubeconfig), encoding="utf-8")
    return path


@contextmanager
def operator(kubeconfig: Path, identity: str, mlflow_url: str, port: int) -> Iterator[subprocess.Popen[str]]:
    """Run the operator."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT / 'runtimes/contract'}",
        "KUBECONFIG": str(kubeconfig),
        "CLAIMS_OPERATOR_NAMESPACE": NAMESPACE,
        "CLAIMS_IDENTITY": identity,
        "CLAIMS_MLFLOW_URL": mlflow_url,
        "CLAIMS_PROMETHEUS_URL": "http://127.0.0.1:9",
        "CLAIMS_HTTP_PORT": str(port),
        "CLAIMS_LEASE_SECONDS": "3",
        "CLAIMS_SETTLE_SECONDS": "0",
        "CLAIMS_DRAIN_SECONDS": "0",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "claims_operator"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


async def wait_for(world: World, reached: Callable[[ClaimsModelStatus], bool]) -> ClaimsModelStatus:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        await world.kserve.play()
        await world.gateway.play()
        status = await world.status()
        if reached(status):
            return status
        await asyncio.sleep(0.2)
    raise AssertionError(f"not reached in 30 s: {status}")


def read(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return str(answer.read().decode())


async def test_it_serves_a_model_mends_its_route_and_stops_in_order(world: World, service_account: Path) -> None:
    port = free_port()
    mlflow = str(world.registry.url)
    await world.create()
    with operator(service_account, "one", mlflow, port) as process:
        await wait_for(world, lambda status: status.state == "Serving" and status.url is not None)
        assert read(port, "/healthz") == "ok\n"
        metrics = read(port, "/metrics")
        assert "claims_rollout_leader 1.0" in metrics
        assert f'model_name="claim-risk",model_namespace="{world.key.namespace}",reason="FirstVersion"' in metrics
        # Nobody's finalizer but ours, and no annotation of the framework.
        metadata = (await world.live())["metadata"]
        assert metadata["finalizers"] == [names.FINALIZER]
        assert "annotations" not in metadata
        # A watch wakes it: long before the resync of five minutes, the route is back.
        route = await world.cluster.get(names.HTTP_ROUTE, world.key.namespace, world.key.name)
        await world.cluster.delete(names.HTTP_ROUTE, route)
        deadline = time.monotonic() + 10
        while await world.cluster.get(names.HTTP_ROUTE, world.key.namespace, world.key.name) is None:
            assert time.monotonic() < deadline, "the route was not put back"
            await asyncio.sleep(0.1)

        process.terminate()
        # Long before the Lease would run out, which it gives back.
        output, log = process.communicate(timeout=4)

    assert process.returncode == 0, log
    assert [line for line in output.splitlines() if '"decision": "Promote"' in line]
    assert "Traceback" not in log
    assert "forbidden" not in log.lower()
    lease = await world.cluster.get(names.LEASE, NAMESPACE, "claims-operator")
    assert lease["spec"]["holderIdentity"] == ""


async def test_one_operator_is_active_and_another_takes_over_when_it_dies(world: World, service_account: Path) -> None:
    ports = (free_port(), free_port())
    mlflow = str(world.registry.url)
    with (
        operator(service_account, "one", mlflow, ports[0]) as one,
        operator(service_account, "two", mlflow, ports[1]) as two,
    ):
        await wait_until(lambda: all(read(port, "/healthz") == "ok\n" for port in ports))
        await wait_until(lambda: any(is_leader(port) for port in ports))
        await asyncio.sleep(2)
        leads = [is_leader(port) for port in ports]
        assert sorted(leads) == [False, True]
        active, other = (one, ports[1]) if leads[0] else (two, ports[0])
        active.kill()
        active.wait()
        killed = time.monotonic()
        await wait_until(lambda: is_leader(other))
        assert time.monotonic() - killed > 1, "the Lease of a dead operator was not waited for"
        await world.create()
        await wait_for(world, lambda status: status.state == "Serving")


def is_leader(port: int) -> bool:
    return "claims_rollout_leader 1.0" in read(port, "/metrics")


async def wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with suppress(OSError):
            if reached():
                return
        await asyncio.sleep(0.1)
    raise AssertionError("not reached in 20 s")
