"""The command of the local cluster: ``python -m claims_cluster``."""

import argparse
import json
import shlex
import sys
from pathlib import Path

from claims_cluster import deploy, existing, images, lifecycle, registry, settings
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
    start.add_argument(
        "--nodes", type=int, choices=(1, 2), default=1, help="how many kubelets; a second one stays until `down`"
    )
    _add_install(verbs.add_parser("install", help="build the platform's images where they changed, install its chart"))
    image_registry = verbs.add_parser("registry", help="run an image registry beside the cluster, for tests")
    image_registry.add_argument("wanted", choices=("up", "down"), help="up prints its address")
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


def _add_install(install: argparse.ArgumentParser) -> None:
    install.add_argument(
        "--existing", action="store_true", help="install on kubectl's current context, with Helm only, not here"
    )
    install.add_argument("--context", default="", help="with --existing: the context, as a consent to change it")
    install.add_argument("--registry", default="", help="with --existing: registry that the cluster pulls from")
    install.add_argument(
        "--insecure-registry", action="store_true", help="with --existing: push by plain HTTP or uncertified HTTPS"
    )
    install.add_argument(
        "--values", type=Path, action="append", default=[], help="with --existing: a file of values for the chart"
    )


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
    if arguments.verb == "install" and _is_existing(arguments):
        for name, value in _install_existing(arguments, progress).items():
            print(f"export {name}={shlex.quote(value)}")
    elif arguments.verb in ("up", "down", "install", "load", "registry"):
        with lifecycle.locked(cluster, progress):
            _change(arguments, cluster, progress)
    elif arguments.verb == "status":
        status = lifecycle.status(cluster)
        print(json.dumps(status, indent=2))
        return 0 if status["ready"] else 1
    else:
        _tell(arguments, cluster)
    return 0


def _change(arguments: argparse.Namespace, cluster: settings.Cluster, progress: Progress) -> None:
    if arguments.verb == "up":
        lifecycle.up(cluster, arguments.nodes, progress)
        progress.note(f"Cluster {cluster.name} is ready. kubeconfig: {cluster.kubeconfig}")
    elif arguments.verb == "down":
        lifecycle.down(cluster, progress)
    elif arguments.verb == "install":
        deploy.install(cluster, lifecycle.running_nodes(cluster), progress)
    elif arguments.verb == "load":
        _load(arguments.image, cluster, progress)
    elif arguments.wanted == "up":
        lifecycle.running_nodes(cluster)
        registry.up(cluster, progress)
        print(cluster.registry)
    else:
        registry.down(cluster)


def _tell(arguments: argparse.Namespace, cluster: settings.Cluster) -> None:
    if arguments.verb == "kubeconfig":
        print(cluster.kubeconfig)
    elif arguments.verb == "logs":
        print((cluster.node(arguments.node).state / "logs" / f"{arguments.program}.log").read_text(), end="")
    elif arguments.verb == "env":
        print(f"export KUBECONFIG={cluster.kubeconfig}")
        for name, (port, _) in cluster.forwards.items():
            print(f"export CLAIMS_{name.upper()}_ADDRESS=127.0.0.1:{port}")


def _is_existing(arguments: argparse.Namespace) -> bool:
    meant = arguments.registry or arguments.context or arguments.values or arguments.insecure_registry
    if meant and not arguments.existing:
        raise Failure("A context, a registry and values are for --existing (make: CLUSTER=existing) only.")
    return bool(arguments.existing)


def _install_existing(arguments: argparse.Namespace, progress: Progress) -> dict[str, str]:
    if not arguments.registry:
        raise Failure("Name a registry that the cluster pulls from: --registry HOST:PORT (make: IMAGE_REGISTRY=...).")
    wanted = existing.Existing(
        registry=arguments.registry.rstrip("/"),
        context=arguments.context,
        insecure=arguments.insecure_registry,
        values=tuple(arguments.values),
    )
    return existing.install(wanted, progress)


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
