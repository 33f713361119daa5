"""Install the platform on the local cluster: its images, then its Helm chart, as on any cluster."""

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
        addons.helm(
            cluster,
            "upgrade",
            "--install",
            RELEASE,
            CHART,
            f"--namespace={NAMESPACE}",
            f"--values={VALUES}",
            *_image_values(references),
        )
    with progress.step("wait for the platform", 40):
        addons.kubectl(
            cluster,
            "wait",
            "deployment",
            "--all",
            "--for=condition=Available",
            f"--namespace={NAMESPACE}",
            "--timeout=240s",
        )
        addons.kubectl(
            cluster,
            "wait",
            "gateway",
            "claims",
            "--for=condition=Programmed",
            f"--namespace={NAMESPACE}",
            "--timeout=120s",
        )


def _image_values(references: dict[str, str]) -> list[str]:
    envoy = next(image.reference for image in images.part_images() if image.name == "envoy")
    parts = {
        "operator": references["claims-operator"],
        "runtime": references["claims-runtime"],
        "storage": references["claims-storage"],
        "feedback": references["claims-feedback"],
        "mlflow": references["claims-mlflow"],
        "gateway": envoy,
    }
    values = []
    for component, reference in parts.items():
        repository, _, tag = reference.rpartition(":")
        values += ["--set-string", f"{component}.image.repository={repository},{component}.image.tag={tag}"]
    return values
