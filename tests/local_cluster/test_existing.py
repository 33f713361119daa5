"""The platform goes to a cluster that was not made for it: by a registry and Helm only, and the demo plays there.

The second cluster is that one. It shares nothing with the first, and gets no image of the platform but by pulling it.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest
from second_cluster import assert_nothing_left, command, listing

from claims_cluster import addons, images, settings
from claims_cluster.deploy import NAMESPACE, VALUES

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]


def make(*words: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *words],
        cwd=settings.CHECKOUT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def push_envoy(registry: str, folder: Path) -> str:
    """Push Envoy, which this cluster cannot pull from anywhere else; return the name of the image."""
    envoy = next(image for image in images.part_images() if image.name == "envoy")
    archive = folder / "envoy.tar"
    images.write_archive(archive, envoy)
    target = f"{registry}/envoy:{envoy.tag}"
    images.push(envoy.reference, archive, target, insecure=True)
    return target


def forget_images(cluster: settings.Cluster, prefix: str) -> None:
    """Take the images out of the node that an earlier test pulled: the cache keeps them."""
    for reference in images.present(cluster.node(1)):
        if reference.startswith(prefix):
            images.ctr(cluster.node(1), "images", "remove", "--sync", reference)


def images_of_pods(cluster: settings.Cluster, namespace: str) -> set[str]:
    pods = json.loads(addons.kubectl(cluster, "get", "pods", f"--namespace={namespace}", "-o", "json"))["items"]
    specs = [pod["spec"] for pod in pods]
    return {
        container["image"] for spec in specs for container in [*spec["containers"], *spec.get("initContainers", [])]
    }


def test_the_demo_plays_on_an_existing_cluster(cluster: settings.Cluster, tmp_path: Path) -> None:
    before = listing()
    command("up")
    registry = command("registry", "up").stdout.strip()
    forget_images(cluster, registry)
    envoy, _, tag = push_envoy(registry, tmp_path).rpartition(":")
    values = tmp_path / "values.yaml"
    values.write_text(json.dumps({"gateway": {"image": {"repository": envoy, "tag": tag}}}))
    environment = {
        "KUBECONFIG": str(cluster.kubeconfig),
        **{
            f"CLAIMS_{part.upper()}_URL": f"http://127.0.0.1:{cluster.forwards[part][0]}"
            for part in ("gateway", "prometheus", "mlflow", "feedback")
        },
    }
    demo = (
        "demo",
        "CLUSTER=existing",
        f"IMAGE_REGISTRY={registry}",
        "IMAGE_REGISTRY_INSECURE=1",
        f"HELM_VALUES={VALUES} {values}",
    )

    refused = make(*demo, environment=environment)
    assert refused.returncode != 0
    assert f"write KUBE_CONTEXT={cluster.context}" in refused.stderr
    assert NAMESPACE not in addons.kubectl(cluster, "get", "namespaces"), "nothing was changed"

    played = make(*demo, f"KUBE_CONTEXT={cluster.context}", environment=environment)
    assert played.returncode == 0, played.stdout[-3000:] + played.stderr[-3000:]
    assert "Every act came out as told." in played.stdout
    used = images_of_pods(cluster, NAMESPACE) | images_of_pods(cluster, "claims")
    assert {name for name in used if not name.startswith(f"{registry}/")} == set()
    proxies = images_of_pods(cluster, "envoy-gateway-system")
    assert f"{envoy}:{tag}" in proxies

    command("down")
    assert_nothing_left(before)
