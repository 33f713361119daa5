"""Command lines and configuration files of everything that runs on a node."""

import json
import subprocess
from pathlib import Path

from claims_cluster import parts, settings

PAUSE_IMAGE = "localhost/claims/pause:1"

PRIVATE_PLACES = ("/var/log/containers", "/var/lib/kubelet", "/var/lib/cni")
"""Fixed directories of the node's programs; each node has its own, in memory."""


def control_plane(cluster: settings.Cluster) -> dict[str, list[str]]:
    """Return the command lines of etcd, API server, controller manager and scheduler."""
    pki = cluster.state / "pki"
    first = cluster.node(1)
    return {
        "etcd": etcd_command(cluster.state / "etcd", client_port=2379, peer_port=2380),
        "kube-apiserver": [
            str(parts.program("kube-apiserver")),
            "--etcd-servers=http://127.0.0.1:2379",
            f"--advertise-address={first.address}",
            "--secure-port=6443",
            "--allow-privileged=true",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            f"--service-cluster-ip-range={settings.SERVICE_RANGE}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={pki}/service-accounts.key",
            f"--service-account-signing-key-file={pki}/service-accounts.key",
            f"--tls-cert-file={pki}/apiserver.crt",
            f"--tls-private-key-file={pki}/apiserver.key",
            f"--client-ca-file={pki}/ca.crt",
            f"--kubelet-client-certificate={pki}/kubelet-client.crt",
            f"--kubelet-client-key={pki}/kubelet-client.key",
            f"--kubelet-certificate-authority={pki}/ca.crt",
            "--kubelet-preferred-address-types=InternalIP",
            f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={pki}/front-proxy-client.crt",
            f"--proxy-client-key-file={pki}/front-proxy-client.key",
        ],
        "kube-controller-manager": [
            str(parts.program("kube-controller-manager")),
            f"--kubeconfig={pki}/kube-controller-manager.kubeconfig",
            f"--authentication-kubeconfig={pki}/kube-controller-manager.kubeconfig",
            f"--authorization-kubeconfig={pki}/kube-controller-manager.kubeconfig",
            f"--service-account-private-key-file={pki}/service-accounts.key",
            f"--root-ca-file={pki}/ca.crt",
            "--use-service-account-credentials=true",
            "--bind-address=127.0.0.1",
        ],
        "kube-scheduler": [
            str(parts.program("kube-scheduler")),
            f"--kubeconfig={pki}/kube-scheduler.kubeconfig",
            f"--authentication-kubeconfig={pki}/kube-scheduler.kubeconfig",
            f"--authorization-kubeconfig={pki}/kube-scheduler.kubeconfig",
            "--bind-address=127.0.0.1",
        ],
    }


def etcd_command(data: Path, *, client_port: int, peer_port: int) -> list[str]:
    """Return etcd's command line. It does not wait for the disk: the cluster's data may be lost with the machine."""
    return [
        str(parts.program("etcd")),
        f"--data-dir={data}",
        "--unsafe-no-fsync",
        f"--listen-client-urls=http://127.0.0.1:{client_port}",
        f"--advertise-client-urls=http://127.0.0.1:{client_port}",
        f"--listen-peer-urls=http://127.0.0.1:{peer_port}",
        f"--initial-advertise-peer-urls=http://127.0.0.1:{peer_port}",
        f"--initial-cluster=default=http://127.0.0.1:{peer_port}",
        "--logger=zap",
        "--log-level=warn",
        "--auto-compaction-retention=1h",
    ]


def node_agents(cluster: settings.Cluster, node: settings.Node) -> dict[str, list[str]]:
    """Return the command lines of containerd, kubelet and kube-proxy."""
    pki = cluster.state / "pki"
    return {
        "containerd": ["containerd", "--config", str(node.state / "containerd.toml")],
        "kubelet": [
            str(parts.program("kubelet")),
            f"--config={node.state}/kubelet.json",
            f"--kubeconfig={pki}/{node.name}.kubeconfig",
            f"--hostname-override={node.name}",
            f"--node-ip={node.address}",
            f"--root-dir={node.state}/kubelet",
        ],
        "kube-proxy": [str(parts.program("kube-proxy")), f"--config={node.state}/kube-proxy.json"],
    }


def write_files(cluster: settings.Cluster, node: settings.Node) -> None:
    """Write the configuration files that `node_agents` names."""
    pki = cluster.state / "pki"
    for folder in (node.state / "cni", node.state / "pods", node.state / "logs"):
        folder.mkdir(parents=True, exist_ok=True)
    (node.state / "containerd.toml").write_text(_containerd(node))
    (node.state / "cni" / "10-bridge.conflist").write_text(json.dumps(_cni(node)))
    (node.state / "kubelet.json").write_text(json.dumps(_kubelet(pki, cluster, node)))
    (node.state / "kube-proxy.json").write_text(
        json.dumps(
            {
                "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
                "kind": "KubeProxyConfiguration",
                "mode": "iptables",
                "hostnameOverride": node.name,
                "clientConnection": {"kubeconfig": f"{pki}/kube-proxy.kubeconfig"},
                "clusterCIDR": "10.244.0.0/16",
                "conntrack": {"maxPerCore": 0, "min": 0},
                "iptables": {"minSyncPeriod": "1s"},
            }
        )
    )
    (node.state / "resolv.conf").write_text("")
    trusted = node.state / "registries" / cluster.registry
    trusted.mkdir(parents=True, exist_ok=True)
    (trusted / "hosts.toml").write_text(
        f'[host."http://{cluster.registry}"]\n  capabilities = ["pull", "resolve"]\n',
    )


def containerd_root(node: settings.Node) -> Path:
    """Return where containerd keeps images: in the cache, so that a new cluster need not import them again."""
    return settings.cache_directory() / "containerd" / node.name


def _containerd(node: settings.Node) -> str:
    return f"""version = 2
root = "{containerd_root(node)}"
state = "{node.run}/containerd"
oom_score = 0
disabled_plugins = [
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp",
]
[grpc]
  address = "{node.containerd_socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{node.run}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_tcp_service = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{node.state}/registries"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{node.state}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"""


def _cni(node: settings.Node) -> dict[str, object]:
    return {
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": True,
                "ipMasq": False,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "dataDir": "/run/cni-addresses",
                    "ranges": [[{"subnet": node.pod_range}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _kubelet(pki: Path, cluster: settings.Cluster, node: settings.Node) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": node.address,
        "authentication": {
            "x509": {"clientCAFile": f"{pki}/ca.crt"},
            "webhook": {"enabled": True},
            "anonymous": {"enabled": False},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{pki}/{node.name}-server.crt",
        "tlsPrivateKeyFile": f"{pki}/{node.name}-server.key",
        "containerRuntimeEndpoint": f"unix://{node.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup(cluster, node)}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [settings.DNS_SERVICE],
        "clusterDomain": "cluster.local",
        "resolvConf": str(node.state / "resolv.conf"),
        "podLogsDir": str(node.state / "pods"),
        "maxPods": 200,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "imageMinimumGCAge": "720h",
        "serializeImagePulls": False,
        "syncFrequency": "10s",
        "nodeStatusUpdateFrequency": "5s",
        "shutdownGracePeriod": "0s",
        "enforceNodeAllocatable": ["pods"],
    }


def cgroup(cluster: settings.Cluster, node: settings.Node) -> str:
    """Return the cgroup under which the node's pods live, in every controller."""
    return f"claims-cluster-{cluster.name}-{node.index}"


def controllers() -> list[Path]:
    """Return the mounted cgroup hierarchies: one in version 2, one for each controller in version 1."""
    found = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind in ("cgroup", "cgroup2") and place.startswith("/sys/fs/cgroup"):
            found.append(Path(place))
    return found


def interfaces_ready(name: str) -> bool:
    """Tell whether a network interface is there."""
    return subprocess.run(["ip", "link", "show", name], capture_output=True, check=False).returncode == 0
