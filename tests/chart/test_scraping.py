"""Prometheus finds every part, and PodMonitors give the labels that the plain scrape configuration gives."""

import pytest
import yaml
from chart.relabelling import Labels, Rule, jobs_of, relabel, scraped
from chart.rendering import ROOT, Object, one, pods, render

from claims_contract import labels

JOBS = ("claims-gateway", "claims-models", "claims-feedback", "claims-operator")


def plain() -> dict[str, Rule]:
    text = (ROOT / "manifests/monitoring/scrape.yaml").read_text(encoding="utf-8")
    return {job["job_name"]: job for job in yaml.safe_load(text)["scrape_configs"]}


def monitors() -> dict[str, Rule]:
    objects = render({"podMonitors": {"enabled": True}})
    found = {item["metadata"]["name"]: item for item in objects if item["kind"] == "PodMonitor"}
    return {name: job for name, monitor in found.items() for job in jobs_of(monitor)}


def target(name: str, pod_labels: dict[str, str], port: tuple[str, int] | None, **more: str) -> Labels:
    """Return what Prometheus discovers of one port of a pod's container."""
    found = {
        "__address__": "10.0.0.7" if port is None else f"10.0.0.7:{port[1]}",
        "__meta_kubernetes_namespace": "claims",
        "__meta_kubernetes_pod_name": name,
        "__meta_kubernetes_pod_ip": "10.0.0.7",
        "__meta_kubernetes_pod_phase": "Running",
        "__meta_kubernetes_pod_container_name": "main",
    }
    if port is not None:
        found |= {
            "__meta_kubernetes_pod_container_port_name": port[0],
            "__meta_kubernetes_pod_container_port_number": str(port[1]),
        }
    for key, value in pod_labels.items():
        clean = key.replace(".", "_").replace("/", "_").replace("-", "_")
        found[f"__meta_kubernetes_pod_label_{clean}"] = value
        found[f"__meta_kubernetes_pod_labelpresent_{clean}"] = "true"
    return found | {f"__meta_kubernetes_{name}": value for name, value in more.items()}


ENVOY = {
    "app.kubernetes.io/name": "envoy",
    "app.kubernetes.io/managed-by": "envoy-gateway",
    "app.kubernetes.io/component": "proxy",
}
MODEL = {labels.MODEL: "claim-risk", labels.REVISION: "0a1b2c3d"}


def own(component: str) -> tuple[dict[str, str], tuple[str, int]]:
    """Return labels and port of a component's pod, as the chart makes it."""
    objects = render()
    name = f"claims-{component}"
    deployment = one(objects, "Deployment", name)
    (port,) = dict(pods(objects))[name]["containers"][0]["ports"]
    return deployment["spec"]["template"]["metadata"]["labels"], (port["name"], port["containerPort"])


EXPECTED: dict[str, tuple[Labels, str, str, Labels]] = {
    # job: what is discovered, address and path that are scraped, labels beyond job, instance, namespace and pod
    "claims-gateway": (target("envoy-1", ENVOY, ("metrics", 19001)), "10.0.0.7:19001", "/stats/prometheus", {}),
    "claims-models": (
        target("claim-risk-0a1b2c3d-predictor-1", MODEL, ("http1", 8080)),
        "10.0.0.7:8082",
        "/metrics",
        {"claims_model": "claim-risk", "revision": "0a1b2c3d"},
    ),
    "claims-feedback": (target("feedback-1", *own("feedback")), "10.0.0.7:8080", "/metrics", {}),
    "claims-operator": (target("operator-1", *own("operator")), "10.0.0.7:8000", "/metrics", {}),
}


def test_both_ways_have_the_same_jobs() -> None:
    assert tuple(plain()) == JOBS
    assert set(monitors()) == set(JOBS)


@pytest.mark.parametrize("job", JOBS)
def test_both_ways_give_the_same_labels(job: str) -> None:
    found, address, path, more = EXPECTED[job]
    labels_of_series = {
        "job": job,
        "instance": address,
        "namespace": "claims",
        "pod": found["__meta_kubernetes_pod_name"],
        "(address)": address,
        "(path)": path,
    }
    assert scraped(found, plain()[job]) == labels_of_series | more
    assert scraped(found, monitors()[job]) == labels_of_series | more


NOT_SCRAPED = {
    "another-port-of-envoy": target("envoy-1", ENVOY, ("readiness", 19003)),
    "grpc-port-of-a-model": target("model-1", MODEL, ("h2c", 9000)),
    "container-of-a-model-without-ports": target("model-1", MODEL, None),
    "finished-model": target("model-1", MODEL, ("http1", 8080), pod_phase="Failed"),
    "finished-envoy": target("envoy-1", ENVOY, ("metrics", 19001), pod_phase="Succeeded"),
    "model-without-a-revision": target("model-1", {labels.MODEL: "claim-risk"}, ("http1", 8080)),
    "controller-of-the-gateway": target(
        "envoy-gateway-1", {"app.kubernetes.io/name": "gateway-helm"}, ("metrics", 19001)
    ),
    "mlflow": target(
        "mlflow-1",
        {"app.kubernetes.io/name": "claims-platform", "app.kubernetes.io/component": "mlflow"},
        ("http", 5000),
    ),
    "feedback-of-another-product": target("x-1", {"app.kubernetes.io/component": "feedback"}, ("http", 8080)),
}


@pytest.mark.parametrize("name", NOT_SCRAPED)
def test_neither_way_scrapes_anything_else(name: str) -> None:
    for job in (*plain().values(), *monitors().values()):
        assert scraped(NOT_SCRAPED[name], job) is None


@pytest.mark.parametrize("name", EXPECTED)
def test_nothing_is_scraped_twice(name: str) -> None:
    found = EXPECTED[name][0]
    assert [job for job, rules in plain().items() if scraped(found, rules)] == [name]
    assert [job for job, rules in monitors().items() if scraped(found, rules)] == [name]


def kept(series: Labels) -> list[bool]:
    rules = [jobs["claims-gateway"]["metric_relabel_configs"] for jobs in (plain(), monitors())]
    return [relabel(series, each) is not None for each in rules]


BACKEND = "httproute/claims/claim-risk/rule/0/backend/1"


@pytest.mark.parametrize(
    "name",
    [
        "envoy_cluster_upstream_rq_xx",
        "envoy_cluster_upstream_rq_time_bucket",
        "envoy_cluster_upstream_rq_tx_reset",
        "envoy_cluster_upstream_cx_destroy_local_with_active_rq",
        "envoy_cluster_grpc_ModelInfer_14",
        "envoy_cluster_grpc_0",
    ],
)
def test_what_rollouts_are_judged_by_is_kept(name: str) -> None:
    assert kept({"__name__": name, "envoy_cluster_name": BACKEND}) == [True, True]


@pytest.mark.parametrize(
    ("name", "cluster"),
    [
        ("envoy_server_memory_allocated", ""),
        ("envoy_cluster_membership_total", BACKEND),
        ("envoy_cluster_upstream_rq_xx", "xds_cluster"),
    ],
)
def test_what_nobody_reads_is_dropped(name: str, cluster: str) -> None:
    assert kept({"__name__": name, "envoy_cluster_name": cluster}) == [False, False]


def test_without_the_prometheus_operator_there_is_no_pod_monitor() -> None:
    kinds: list[Object] = [item for item in render() if item["kind"] == "PodMonitor"]
    assert kinds == []
