"""Versions, places and addresses of the local cluster."""

import dataclasses
import os
from pathlib import Path
from typing import Final

KUBERNETES_VERSION: Final = "v1.35.4"
KSERVE_VERSION: Final = "v0.20.0"
GATEWAY_VERSION: Final = "v1.9.1"
ENVOY_VERSION: Final = "1.40.0"
COREDNS_VERSION: Final = "1.14.7"
METRICS_SERVER_VERSION: Final = "0.9.0"
PROMETHEUS_VERSION: Final = "v3.13.5"

PACKAGES: Final = (
    "containerd",
    "runc",
    "containernetworking-plugins",
    "iptables",
    "conntrack",
    "iproute2",
    "buildah",
    "mmdebstrap",
    "openssl",
    "util-linux",
    "prometheus-alertmanager",
)
"""Debian packages. Their services are never started: the cluster runs the programs itself."""

HERE: Final = Path(__file__).resolve().parent.parent
"""tests/cluster of the checkout."""

CHECKOUT: Final = HERE.parent.parent

SERVICE_RANGE: Final = "10.96.0.0/16"
API_SERVICE: Final = "10.96.0.1"
DNS_SERVICE: Final = "10.96.0.10"

GATEWAY_NODE_PORT: Final = 30080
PROMETHEUS_NODE_PORT: Final = 30090
ALERTMANAGER_NODE_PORT: Final = 30093
MLFLOW_NODE_PORT: Final = 30500
FEEDBACK_NODE_PORT: Final = 30081

VOLUMES: Final = 8
"""PersistentVolumes that each cluster starts with; nothing makes more."""


def cache_directory() -> Path:
    """Return where built parts are kept for every checkout: $CLAIMS_CACHE, else the user's cache directory."""
    if chosen := os.environ.get("CLAIMS_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "claims-platform"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Node:
    """One kubelet with its containerd and its own network."""

    cluster: str
    index: int
    address: str
    pod_range: str
    state: Path
    run: Path

    @property
    def name(self) -> str:
        """The Kubernetes node name."""
        return f"{self.cluster}-node-{self.index}"

    @property
    def interface(self) -> str:
        """The host's end of the node's cable (at most 15 characters)."""
        return f"{self.cluster[:9]}-n{self.index}"

    @property
    def containerd_socket(self) -> Path:
        """Where this node's containerd answers; the host sees it too."""
        return self.run / "containerd.sock"

    @property
    def pid_file(self) -> Path:
        """Holds the host's pid of the node's first process."""
        return self.run / "pid"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cluster:
    """Names, addresses and directories of one local cluster. Two clusters with different numbers share nothing."""

    name: str = "claims"
    number: int = 0

    @property
    def state(self) -> Path:
        """Data that outlives a reboot: etcd, containerd, certificates, volumes."""
        return Path("/var/lib/claims-cluster") / self.name

    @property
    def run(self) -> Path:
        """Sockets and pid files."""
        return Path("/run/claims-cluster") / self.name

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state / "kubeconfig"

    @property
    def context(self) -> str:
        """The kubeconfig context; the command refuses others."""
        return f"local-{self.name}"

    @property
    def bridge(self) -> str:
        """The host's bridge that joins the nodes."""
        return f"{self.name[:9]}-br"

    @property
    def network(self) -> str:
        """First three bytes of the nodes' /24."""
        return f"10.89.{self.number}"

    @property
    def host_address(self) -> str:
        """The host's address on the nodes' network."""
        return f"{self.network}.1"

    def node(self, index: int) -> Node:
        """Return node ``index``, 1 or more. Node 1 also runs the control plane."""
        return Node(
            cluster=self.name,
            index=index,
            address=f"{self.network}.{index + 1}",
            pod_range=f"10.244.{index}.0/24",
            state=self.state / f"node-{index}",
            run=self.run / f"node-{index}",
        )

    @property
    def api_address(self) -> str:
        """Where the API server answers, seen from the host."""
        return f"127.0.0.1:{self.port(16443)}"

    def port(self, base: int) -> int:
        """Return the host's loopback port for ``base``; each cluster has a hundred of its own."""
        return base + 100 * self.number

    @property
    def registry(self) -> str:
        """Address of the cluster's own image registry (plain HTTP), the same for the host and for every node."""
        return f"{self.host_address}:{self.port(15050)}"

    @property
    def forwards(self) -> dict[str, tuple[int, int]]:
        """Loopback port of the host and port of node 1, by what answers there."""
        return {
            "api": (self.port(16443), 6443),
            "gateway": (self.port(18080), GATEWAY_NODE_PORT),
            "feedback": (self.port(18081), FEEDBACK_NODE_PORT),
            "prometheus": (self.port(19090), PROMETHEUS_NODE_PORT),
            "alertmanager": (self.port(19093), ALERTMANAGER_NODE_PORT),
            "mlflow": (self.port(15000), MLFLOW_NODE_PORT),
        }


NUMBERS: Final = {"claims": 0, "second": 1}


def cluster(name: str) -> Cluster:
    """Return the cluster called ``name``: ``claims``, or ``second`` for tests that need two."""
    return Cluster(name=name, number=NUMBERS[name])
