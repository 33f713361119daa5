"""Install the platform on the local cluster: its images, then its Helm chart, as on any cluster."""

import json
from collections.abc import Callable
from functools import partial

from claims_cluster import addons, images, settings
from claims_cluster.progress import Progress

NAMESPACE = "claims-system"
RELEASE = "claims-platform"
CHART = settings.CHECKOUT / "helm" / "claims-platform"
VALUES = settings.HERE / "manifests" / "claims-platform.values.yaml"


def install(cluster: settings.Cluster, nodes: list[settings.Node], progress: Progress) -> None:
    """Build and import the platform's images where they changed, and install or upgrade its chart.

    Raises:
        Failure: an image did not build, or the chart did not become ready.
    """
    references: dict[str, str] = {}
    for node in nodes:
        references = images.load_platform(node, progress)
    with progress.step("install the platform's chart", 30):
        addons.apply(
            cluster,
            [
                {
                    "apiVersion": "v1",
                    "kind": "Namespace",
                    "metadata": {
                        "name": NAMESPACE,
                        "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
                    },
                }
            ],
        )
        _mend_release(partial(addons.helm, cluster))
        addons.helm(
            cluster,
            "upgrade",
            "--install",
            RELEASE,
            CHART,
            f"--namespace={NAMESPACE}",
            f"--values={VALUES}",
            *image_values(references),
            *_gateway_image(),
        )
    wait(partial(addons.kubectl, cluster), progress)


def _mend_release(helm: Callable[..., str]) -> None:
    """Take back what a Helm that was killed left half done: no other would touch the release."""
    pending = json.loads(helm("list", "--pending", f"--namespace={NAMESPACE}", "--output=json"))
    for release in pending:
        undo = "uninstall" if release["revision"] == "1" else "rollback"
        helm(undo, release["name"], f"--namespace={NAMESPACE}")


def wait(kubectl: Callable[..., str], progress: Progress) -> None:
    """Wait until the platform works, up to six minutes; ``kubectl`` runs it on the cluster meant.

    Raises:
        Failure: it does not work by then.
    """
    with progress.step("wait for the platform", 40):
        kubectl(
            "wait",
            "deployment",
            "--all",
            "--for=condition=Available",
            f"--namespace={NAMESPACE}",
            "--timeout=240s",
        )
        kubectl(
            "wait",
            "gateway",
            "claims",
            "--for=condition=Programmed",
            f"--namespace={NAMESPACE}",
            "--timeout=120s",
        )


def image_values(references: dict[str, str]) -> list[str]:
    """Return Helm's arguments that name the platform's images; ``references`` are repository:tag by image."""
    components = {
        "operator": "claims-operator",
        "runtime": "claims-runtime",
        "storage": "claims-storage",
        "feedback": "claims-feedback",
        "mlflow": "claims-mlflow",
    }
    return [word for part, image in components.items() for word in _image_value(part, references[image])]


def _gateway_image() -> list[str]:
    return _image_value("gateway", images.part_references()["envoy"])


def _image_value(component: str, reference: str) -> list[str]:
    repository, _, tag = reference.rpartition(":")
    return ["--set-string", f"{component}.image.repository={repository},{component}.image.tag={tag}"]
