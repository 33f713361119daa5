"""A real kube-apiserver with etcd, and nothing behind it: the tests play KServe and the gateway."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from claims_cluster import controlplane, parts
from claims_cluster.shell import Failure
from claims_operator.adapters.kubernetes import Cluster

ROOT = Path(__file__).parents[2]
ROUTES = "httproutes.gateway.networking.k8s.io"
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[controlplane.ControlPlane]:
    """An API server with the CRDs of the platform, InferenceService and HTTPRoute."""
    with controlplane.running(tmp_path_factory.mktemp("controlplane")) as running:
        serving = parts.chart("kserve") / "kserve-crd/templates/serving.kserve.io_inferenceservices.yaml"
        gateway = parts.chart("gateway-helm") / "gateway-helm/charts/crds/crds/gatewayapi-crds.yaml"
        for crds in (ROOT / "manifests/crd", serving):
            running.kubectl("apply", "--server-side", "-f", crds)
        running.kubectl("apply", "--server-side", "-f", "-", stdin=_document(gateway, ROUTES))
        running.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        for kind in ("claimsmodels", "claimsrollouts", "inferenceservices", "httproutes"):
            _wait_until_served(running, kind)
        yield running


def _document(file: Path, name: str) -> str:
    """Return the one of a file's YAML documents that has this name; the others take seconds to be taken in."""
    documents = file.read_text(encoding="utf-8").split("\n---\n")
    [found] = [document for document in documents if f"\n  name: {name}\n" in document]
    return found


def _wait_until_served(running: controlplane.ControlPlane, kind: str) -> None:
    """An established CRD answers "storage is (re)initializing" for a moment more."""
    deadline = time.monotonic() + 60
    while True:
        try:
            running.kubectl("get", kind, "--all-namespaces")
            return
        except Failure:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


@pytest.fixture
def namespace(api_server: controlplane.ControlPlane) -> str:
    """A namespace of the test's own."""
    name = f"test-{next(_NUMBERS)}"
    api_server.kubectl("create", "namespace", name)
    return name


@pytest.fixture
async def cluster(api_server: controlplane.ControlPlane) -> AsyncIterator[Cluster]:
    """The operator's own client."""
    async with await Cluster.connect(kubeconfig=api_server.kubeconfig, request_timeout_seconds=10) as connected:
        yield connected
        # aiohttp closes TLS connections in the background.
        await asyncio.sleep(0.1)
