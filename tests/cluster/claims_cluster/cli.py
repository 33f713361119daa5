"""The command of the local cluster: ``python -m claims_cluster``."""

import argparse
import json
import sys
from pathlib import Path

from claims_cluster import deploy, images, lifecycle, settings
from claims_cluster.progress import Progress
from claims_cluster.shell import Failure

PROGRAMS = (
    "node",
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "containerd",
    "kubelet",
    "kube-proxy",
)


def parser() -> argparse.ArgumentParser:
    """Return the command's arguments."""
    top = argparse.ArgumentParser(
        prog="claims_cluster", description="A whole Kubernetes on this machine, without Docker."
    )
    top.add_argument(
        "--name", choices=sorted(settings.NUMBERS), default="claims", help="which cluster (default: claims)"
    )
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    start = verbs.add_parser("up", help="bring the cluster to Ready with everything installed")
    start.add_argument("--nodes", type=int, choices=(1, 2), default=1, help="how many kubelets (default: 1)")
    verbs.add_parser("install", help="build the platform's images where they changed and install its chart")
    verbs.add_parser("down", help="end the cluster and remove what it put on this machine; built parts are kept")
    verbs.add_parser("status", help="say what runs, as JSON; exit code 1 when it is not ready")
    verbs.add_parser("kubeconfig", help="print the path of the administrator's kubeconfig")
    load = verbs.add_parser("load", help="import images into every node")
    load.add_argument(
        "image", nargs="*", help="an archive (.tar), or the name of a platform image; all of them by default"
    )
    logs = verbs.add_parser("logs", help="print the log of a program of the cluster")
    logs.add_argument("program", choices=PROGRAMS)
    logs.add_argument("--node", type=int, choices=(1, 2), default=1)
    verbs.add_parser("env", help="print shell lines that set KUBECONFIG and the addresses")
    return top


def main() -> int:
    """Run the command; return its exit code."""
    arguments = parser().parse_args()
    cluster = settings.cluster(arguments.name)
    progress = Progress()
    try:
        return _run(arguments, cluster, progress)
    except Failure as failure:
        print(f"claims_cluster {arguments.verb}: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; run the same command again to go on from here.", file=sys.stderr)
        return 130


def _run(arguments: argparse.Namespace, cluster: settings.Cluster, progress: Progress) -> int:
    if arguments.verb == "up":
        with lifecycle.locked(cluster, progress):
            lifecycle.up(cluster, arguments.nodes, progress)
        progress.note(f"Cluster {cluster.name} is ready. kubeconfig: {cluster.kubeconfig}")
    elif arguments.verb == "down":
        with lifecycle.locked(cluster, progress):
            lifecycle.down(cluster, progress)
    elif arguments.verb == "install":
        with lifecycle.locked(cluster, progress):
            deploy.install(cluster, lifecycle.running_nodes(cluster), progress)
    elif arguments.verb == "status":
        status = lifecycle.status(cluster)
        print(json.dumps(status, indent=2))
        return 0 if status["ready"] else 1
    elif arguments.verb == "kubeconfig":
        print(cluster.kubeconfig)
    elif arguments.verb == "load":
        with lifecycle.locked(cluster, progress):
            _load(arguments.image, cluster, progress)
    elif arguments.verb == "logs":
        print((cluster.node(arguments.node).state / "logs" / f"{arguments.program}.log").read_text(), end="")
    elif arguments.verb == "env":
        print(f"export KUBECONFIG={cluster.kubeconfig}")
        for name, (port, _) in cluster.forwards.items():
            print(f"export CLAIMS_{name.upper()}_ADDRESS=127.0.0.1:{port}")
    return 0


def _load(names: list[str], cluster: settings.Cluster, progress: Progress) -> None:
    archives = [name for name in names if name.endswith(".tar")]
    known = {image.name for image in images.PLATFORM_IMAGES}
    if unknown := [name for name in names if name not in archives and name not in known]:
        raise Failure(f"{', '.join(unknown)} is neither an archive (.tar) nor one of {', '.join(sorted(known))}.")
    for node in lifecycle.running_nodes(cluster):
        for archive in archives:
            images.load_archive(node, Path(archive))
        if len(archives) < len(names) or not names:
            references = images.load_platform(node, progress, tuple(set(names) - set(archives)))
            for name, reference in sorted(references.items()):
                print(f"{name}={reference}")
