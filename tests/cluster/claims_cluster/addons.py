"""What is installed into a running API server: DNS, metrics, storage, the gateway, KServe and Prometheus."""

import base64
import concurrent.futures
import hashlib
import json
import shutil
import string
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from claims_cluster import images, parts, pki, settings
from claims_cluster.progress import Progress
from claims_cluster.shell import Failure, run

SCRAPE_CONFIGURATION = settings.CHECKOUT / "manifests" / "monitoring" / "scrape.yaml"

SCRAPE_INTERVAL = "5s"
"""Shorter than the 15 s a real cluster has, so that a demonstration need not wait."""

Object = dict[str, Any]


def kubectl(cluster: settings.Cluster, *arguments: str | Path, stdin: str | None = None) -> str:
    """Run kubectl as the cluster's administrator."""
    return run(parts.program("kubectl"), f"--kubeconfig={cluster.kubeconfig}", *arguments, stdin=stdin)


def helm(cluster: settings.Cluster, *arguments: str | Path) -> str:
    """Run Helm as the cluster's administrator."""
    return run(parts.program("helm"), "--kubeconfig", cluster.kubeconfig, *arguments, timeout_seconds=600)


def apply(cluster: settings.Cluster, objects: list[Object]) -> None:
    """Apply objects by server-side apply."""
    text = yaml.safe_dump_all(objects)
    kubectl(
        cluster,
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager=local-cluster",
        "-f",
        "-",
        stdin=text,
    )


def install(cluster: settings.Cluster, nodes: list[settings.Node], progress: Progress) -> None:
    """Install everything; every part can be installed again over itself.

    Raises:
        Failure: a part could not be installed.
    """
    with progress.step("install DNS, metrics and storage", 3):
        install_base(cluster, nodes)
    jobs: dict[str, Callable[[settings.Cluster], None]] = {
        "install Envoy Gateway": install_gateway,
        "install KServe": install_kserve,
        "install Prometheus and Alertmanager": install_monitoring,
    }

    def timed(title: str, job: Callable[[settings.Cluster], None]) -> None:
        with progress.step(title, 15):
            job(cluster)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = [pool.submit(timed, title, job) for title, job in jobs.items()]
        for future in running:
            future.result()


def wait_ready(cluster: settings.Cluster, progress: Progress, timeout_seconds: int = 180) -> None:
    """Wait until every Deployment of the add-ons is available."""
    for namespace in ("kube-system", "envoy-gateway-system", "kserve", "monitoring"):
        with progress.step(f"wait for {namespace}", 10):
            kubectl(
                cluster,
                "wait",
                "deployment",
                "--all",
                "--for=condition=Available",
                f"--namespace={namespace}",
                f"--timeout={timeout_seconds}s",
            )


def install_base(cluster: settings.Cluster, nodes: list[settings.Node]) -> None:
    """Install the storage class and its volumes, CoreDNS and metrics-server."""
    references = images.part_references()
    manifest = _filled(
        "base.yaml",
        coredns=references["coredns"],
        metrics_server=references["metrics-server"],
        dns=settings.DNS_SERVICE,
    )
    apply(cluster, [*_kept_on_first_node(cluster, list(yaml.safe_load_all(manifest))), *_volumes(nodes[0])])


def _rendered(release: str, chart: Path, namespace: str, *values: str) -> list[Object]:
    """Return a chart's objects. They are applied, not installed by Helm, whose releases do not outlive an interrupt."""
    chosen = [f"--set={value}" for value in values]
    text = run(parts.program("helm"), "template", release, chart, f"--namespace={namespace}", "--include-crds", *chosen)
    return [found for found in yaml.safe_load_all(text) if found]


def _namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _kept_on_first_node(cluster: settings.Cluster, objects: list[Object]) -> list[Object]:
    """Bind Deployments to node 1, as the control plane and the volumes are: a second node can be lost."""
    for found in objects:
        if found["kind"] == "Deployment":
            found["spec"]["template"]["spec"]["nodeSelector"] = _first_node(cluster)
    return objects


def _first_node(cluster: settings.Cluster) -> dict[str, str]:
    return {"kubernetes.io/hostname": cluster.node(1).name}


def _volumes(node: settings.Node) -> list[Object]:
    objects: list[Object] = []
    for number in range(1, settings.VOLUMES + 1):
        place = node.state / "volumes" / str(number)
        place.mkdir(parents=True, exist_ok=True)
        place.chmod(0o777)  # A hostPath volume gets no fsGroup; pods run under different users.
        affinity = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node.name]}
        objects.append(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": f"local-{number}"},
                "spec": {
                    "capacity": {"storage": "10Gi"},
                    "accessModes": ["ReadWriteOnce"],
                    "storageClassName": "local",
                    "persistentVolumeReclaimPolicy": "Retain",
                    "hostPath": {"path": str(place)},
                    "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [affinity]}]}},
                },
            }
        )
    return objects


def install_gateway(cluster: settings.Cluster) -> None:
    """Install Envoy Gateway from its own chart; it brings the Gateway API's definitions."""
    with tempfile.TemporaryDirectory() as scratch:
        chart = Path(scratch) / "gateway-helm"
        shutil.copytree(parts.chart("gateway-helm") / "gateway-helm", chart)
        template = string.Template((chart / "values.tmpl.yaml").read_text())
        image = images.part_references()["envoy-gateway"]
        (chart / "values.yaml").write_text(
            template.safe_substitute(GatewayImage=image, GatewayImagePullPolicy="IfNotPresent")
        )
        objects = _rendered(
            "envoy-gateway",
            chart,
            "envoy-gateway-system",
            "topologyInjector.enabled=false",
            "deployment.envoyGateway.resources.requests.cpu=50m",
        )
    _kept_on_first_node(cluster, objects)
    apply(cluster, [_namespace("envoy-gateway-system"), *(one for one in objects if one["kind"] != "Deployment")])
    # The job makes the certificates that the gateway's pod mounts.
    kubectl(
        cluster,
        "wait",
        "job",
        "--all",
        "--for=condition=Complete",
        "--namespace=envoy-gateway-system",
        "--timeout=120s",
    )
    apply(cluster, [one for one in objects if one["kind"] == "Deployment"])
    apply(
        cluster,
        [
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "GatewayClass",
                "metadata": {"name": "envoy"},
                "spec": {"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"},
            }
        ],
    )


def install_kserve(cluster: settings.Cluster) -> None:
    """Install KServe in Standard mode from its own charts, with a webhook certificate of our own."""
    charts = parts.chart("kserve")
    apply(cluster, [_namespace("kserve"), *_rendered("kserve-crd", charts / "kserve-crd", "kserve")])
    references = images.part_references()
    manager, tag = references["kserve-manager"].rsplit(":", 1)
    agent, _ = references["kserve-agent"].rsplit(":", 1)
    objects = _rendered(
        "kserve",
        charts / "kserve-resources",
        "kserve",
        f"kserve.controller.image={manager}",
        f"kserve.controller.tag={tag}",
        "kserve.controller.imagePullPolicy=IfNotPresent",
        f"kserve.agent.image={agent}",
        f"kserve.agent.tag={tag}",
        "kserve.controller.deploymentMode=Standard",
        "kserve.controller.gateway.disableIngressCreation=true",
        "kserve.controller.resources.limits.cpu=1",
        "kserve.controller.resources.limits.memory=500Mi",
        "kserve.controller.resources.requests.cpu=20m",
    )
    # Its default storage container would need an image that is not here; cert-manager is not here either.
    unwanted = {"Certificate", "Issuer", "ClusterStorageContainer"}
    objects = [found for found in objects if found["kind"] not in unwanted]
    for found in objects:
        if found["kind"] == "Deployment":
            _keep_only_the_manager(found)
    _certify_webhooks(cluster, objects)
    apply(cluster, _kept_on_first_node(cluster, objects))


def _keep_only_the_manager(deployment: Object) -> None:
    """Leave the proxy out that guards its metrics, whose image is not here, and ask early whether it is ready."""
    pod = deployment["spec"]["template"]["spec"]
    pod["containers"] = [container for container in pod["containers"] if container["name"] == "manager"]
    manager = pod["containers"][0]
    manager.pop("command")  # The image starts the manager by itself.
    manager["readinessProbe"].update(initialDelaySeconds=1, periodSeconds=1)


def _certify_webhooks(cluster: settings.Cluster, objects: list[Object]) -> None:
    service = "kserve-webhook-server-service.kserve.svc"
    authority = pki.Authority(cluster.state / "pki")
    certificate, key = authority.issue("kserve-webhook", service, alternative_names=(f"DNS:{service}",))
    bundle = base64.b64encode(authority.certificate.read_bytes()).decode()
    for found in objects:
        for webhook in found.get("webhooks", []):
            webhook["clientConfig"]["caBundle"] = bundle
        found["metadata"].get("annotations", {}).pop("cert-manager.io/inject-ca-from", None)
    objects.insert(
        0,  # Before the Deployment that mounts it, whose pod would wait a minute for it otherwise.
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {"name": "kserve-webhook-server-cert", "namespace": "kserve"},
            "data": {
                "tls.crt": base64.b64encode(certificate.read_bytes()).decode(),
                "tls.key": base64.b64encode(key.read_bytes()).decode(),
            },
        },
    )


def install_monitoring(cluster: settings.Cluster) -> None:
    """Install Prometheus, which scrapes as manifests/monitoring/scrape.yaml says, and Alertmanager."""
    configuration = yaml.safe_load(SCRAPE_CONFIGURATION.read_text())
    configuration.setdefault("global", {}).update(scrape_interval=SCRAPE_INTERVAL, evaluation_interval=SCRAPE_INTERVAL)
    configuration["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": ["alertmanager.monitoring:9093"]}]}]}
    text = json.dumps(configuration, indent=1)
    references = images.part_references()
    manifest = _filled(
        "monitoring.yaml",
        prometheus=references["prometheus"],
        alertmanager=references["alertmanager"],
        prometheus_node_port=str(settings.PROMETHEUS_NODE_PORT),
        alertmanager_node_port=str(settings.ALERTMANAGER_NODE_PORT),
        configuration_digest=hashlib.sha256(text.encode()).hexdigest()[:12],
    )
    objects = list(yaml.safe_load_all(manifest))
    objects.insert(
        1,
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "prometheus", "namespace": "monitoring"},
            "data": {"prometheus.yaml": text},
        },
    )
    apply(cluster, _kept_on_first_node(cluster, objects))


def _filled(name: str, **values: str) -> str:
    text = (settings.HERE / "manifests" / name).read_text()
    try:
        return string.Template(text).substitute(values)
    except KeyError as missing:
        raise Failure(f"tests/cluster/manifests/{name} names {missing}, which nothing fills in.") from missing
