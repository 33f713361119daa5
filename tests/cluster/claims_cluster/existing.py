"""Install the platform on a cluster that somebody else made: images to a registry, then Helm, and nothing else."""

import dataclasses
import os
import shutil
from pathlib import Path

from claims_cluster import deploy, host, images, parts
from claims_cluster.progress import Progress
from claims_cluster.shell import Failure, run, succeeds

BUILDER_PACKAGES = ("buildah", "mmdebstrap")

REQUIRED = {
    "inferenceservices.serving.kserve.io": "KServe",
    "envoyproxies.gateway.envoyproxy.io": "Envoy Gateway",
}
"""Definitions that have to be there before the chart, and what brings them."""

TRAINING_IMAGE = "claims-training"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Existing:
    """A cluster and a registry that it pulls from."""

    registry: str
    """Address and folder without a slash at the end, for example ``registry.example.com/claims``."""
    context: str
    """The kubectl context that may be changed; it has to be the current one."""
    insecure: bool
    """Push by plain HTTP, or HTTPS that nobody certified."""
    values: tuple[Path, ...] = ()
    """Files of values for the chart; the later one wins."""


def kubeconfig() -> Path:
    """Return the user's kubeconfig: the one of $KUBECONFIG, else kubectl's own.

    Raises:
        Failure: there is none, or $KUBECONFIG names several.
    """
    named = os.environ.get("KUBECONFIG", "")
    if os.pathsep in named:
        raise Failure(
            "KUBECONFIG names several files. Make one of them (kubectl config view --raw --flatten) and name that."
        )
    path = Path(named) if named else Path.home() / ".kube" / "config"
    if not path.is_file():
        raise Failure(f"There is no kubeconfig {path}. Set KUBECONFIG to the one of your cluster.")
    return path.resolve()


def install(wanted: Existing, progress: Progress) -> dict[str, str]:
    """Build and push the platform's images, install or upgrade its chart, wait; return what the demo has to be told.

    Raises:
        Failure: names what is missing or was refused; the context and what the chart needs are looked at first.
    """
    config = kubeconfig()

    def kubectl(*arguments: str | Path) -> str:
        return run(_tool("kubectl", progress), f"--kubeconfig={config}", *arguments)

    _check_context(wanted.context, kubectl("config", "current-context").strip())
    missing = [
        f"{brings} (the definition {name} is not there)"
        for name, brings in REQUIRED.items()
        if not succeeds(_tool("kubectl", progress), f"--kubeconfig={config}", "get", "crd", name)
    ]
    if missing:
        # Tells an API server that does not answer from a definition that is not there.
        kubectl("get", "--raw", "/readyz")
        raise Failure(f"Install first, as docs/how-to/install-with-helm.md says: {', '.join(missing)}.")
    host.check_builder()
    host.install_packages(progress, BUILDER_PACKAGES)
    parts.ensure_base(progress)
    references = _push_all(wanted, progress)
    with progress.step("install the platform's chart", 30):
        run(
            _tool("helm", progress),
            "upgrade",
            "--install",
            deploy.RELEASE,
            deploy.CHART,
            f"--kubeconfig={config}",
            f"--namespace={deploy.NAMESPACE}",
            "--create-namespace",
            *[f"--values={file}" for file in wanted.values],
            f"--set-string=global.imageRegistry={wanted.registry}",
            *deploy.image_values(references),
        )
    deploy.wait(kubectl, progress)
    return {
        "CLAIMS_KUBECONFIG": str(config),
        "CLAIMS_TRAINING_IMAGE": f"{wanted.registry}/{references[TRAINING_IMAGE]}",
    }


def _check_context(named: str, current: str) -> None:
    if not named:
        raise Failure(
            f"kubectl's current context is {current}, and nobody said that it may be changed. "
            f"To install there, write KUBE_CONTEXT={current}."
        )
    if named != current:
        raise Failure(
            f"KUBE_CONTEXT is {named}, and kubectl's current context is {current}. Write KUBE_CONTEXT={current}, "
            f"or change over: kubectl config use-context {named}."
        )


def _push_all(wanted: Existing, progress: Progress) -> dict[str, str]:
    """Push every image of the platform; return repository:tag, without the registry, by name."""
    references = {}
    for image in images.PLATFORM_IMAGES:
        references[image.name] = f"{image.name}:{image.tag}"
        with progress.step(f"image {image.name}", 60) as step:
            step.say("building")
            archive = images.build(image)
            step.say("pushing")
            target = f"{wanted.registry}/{references[image.name]}"
            images.push(image.reference, archive, target, insecure=wanted.insecure)
    return references


def _tool(name: str, progress: Progress) -> Path:
    """Return kubectl or helm from PATH, else our own, built if need be."""
    if found := shutil.which(name):
        return Path(found)
    parts.ensure_program("kube" if name == "kubectl" else name, progress)
    return parts.program(name)
