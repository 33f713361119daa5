"""The chart on a real API server with the definitions of KServe and Envoy Gateway: installed, upgraded, uninstalled."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from chart.rendering import CHART, PULLING, ROOT, Object, pods, render, run_helm

from claims_cluster import controlplane, parts
from claims_cluster.shell import Failure

NAMESPACE = "claims-system"
RELEASE = "claims-platform"
OPERATOR = f"system:serviceaccount:{NAMESPACE}:claims-operator"


@pytest.fixture(scope="module")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[controlplane.ControlPlane]:
    with controlplane.running(tmp_path_factory.mktemp("controlplane")) as running:
        serving = parts.chart("kserve") / "kserve-crd"
        gateway = parts.chart("gateway-helm") / "gateway-helm/charts/crds/crds"
        for crds in (
            serving / "templates/serving.kserve.io_clusterservingruntimes.yaml",
            serving / "files/serving.kserve.io_clusterstoragecontainers.yaml",
            gateway / "gatewayapi-crds.yaml",
            gateway / "generated/gateway.envoyproxy.io_envoyproxies.yaml",
            gateway / "generated/gateway.envoyproxy.io_backendtrafficpolicies.yaml",
        ):
            running.kubectl("apply", "--server-side", "-f", crds)
        running.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        running.kubectl("create", "namespace", NAMESPACE)
        running.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
        yield running


def helm(api_server: controlplane.ControlPlane, *arguments: str | Path) -> str:
    return run_helm(*arguments, "--kubeconfig", api_server.kubeconfig, "--namespace", NAMESPACE)


@pytest.fixture(scope="module")
def installed(api_server: controlplane.ControlPlane) -> Iterator[str]:
    """Notes of the installed release."""
    yield helm(api_server, "install", RELEASE, CHART, "--set", "gateway.createClass=true")
    helm(api_server, "uninstall", RELEASE)


def token(api_server: controlplane.ControlPlane) -> str:
    return api_server.kubectl(
        "get", "secret", "claims-feedback-token", f"--namespace={NAMESPACE}", "--output=jsonpath={.data.token}"
    )


def test_the_notes_say_where_everything_is(installed: str) -> None:
    for words in (
        "Gateway claims-system/claims, at the host <name>-<namespace>.claims.local",
        "http://mlflow.claims-system:5000",
        "http://claims-feedback.claims-system:8080/v1/outcomes",
        "get secret claims-feedback-token",
        "http://prometheus.monitoring:9090",
    ):
        assert words in installed


@pytest.mark.usefixtures("installed")
def test_the_token_is_made_once_and_kept_on_upgrades(api_server: controlplane.ControlPlane) -> None:
    before = token(api_server)
    assert len(before) > 40
    helm(api_server, "upgrade", RELEASE, CHART, "--set", "gateway.createClass=true,operator.settleSeconds=5")
    assert token(api_server) == before


@pytest.mark.usefixtures("installed")
def test_the_api_server_knows_every_field(api_server: controlplane.ControlPlane) -> None:
    gateway = {"replicas": 1, "service": {"type": "NodePort", "nodePort": 30080}}
    feedback = {"adminToken": {"existingSecret": "administrators"}, **PULLING["feedback"]}
    text = yaml.safe_dump_all(render({"gateway": gateway, "feedback": feedback}))
    arguments = ("--dry-run=server", "--validate=strict", "--server-side", "--force-conflicts")
    api_server.kubectl("apply", *arguments, "-f", "-", stdin=text)


@pytest.mark.usefixtures("installed")
def test_the_rendered_manifest_can_be_applied(api_server: controlplane.ControlPlane) -> None:
    arguments = ("--dry-run=server", "--validate=strict", "--server-side", "--force-conflicts")
    api_server.kubectl("apply", *arguments, "-f", ROOT / "manifests/platform.yaml")


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("sample", sorted((ROOT / "manifests/samples").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_samples_fit_the_definitions_of_the_chart(api_server: controlplane.ControlPlane, sample: Path) -> None:
    for number, item in enumerate(yaml.safe_load_all(sample.read_text(encoding="utf-8"))):
        item["metadata"] |= {"name": f"sample-{number}", "namespace": NAMESPACE}
        text = yaml.safe_dump(item)
        api_server.kubectl("apply", "--dry-run=server", "--validate=strict", "--server-side", "-f", "-", stdin=text)


def a_pod(name: str, specification: Object) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": specification,
        }
    )


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", ["claims-operator", "claims-feedback", "claims-feedback-pull", "mlflow"])
def test_pod_security_restricted_admits_the_pods(api_server: controlplane.ControlPlane, name: str) -> None:
    pod = dict(pods(render(PULLING)))[name]
    api_server.kubectl("create", "--dry-run=server", "-f", "-", stdin=a_pod(name, pod))
    # The check itself: without its security context the same pod is refused.
    pod["containers"][0].pop("securityContext")
    with pytest.raises(Failure, match="violates PodSecurity"):
        api_server.kubectl("create", "--dry-run=server", "-f", "-", stdin=a_pod(name, pod))


@pytest.mark.usefixtures("installed")
def test_the_training_job_of_the_guide_is_admitted_too(api_server: controlplane.ControlPlane) -> None:
    guide = (ROOT / "docs/how-to/install-with-helm.md").read_text(encoding="utf-8")
    job = yaml.safe_load(guide.partition("<<EOF\n")[2].partition("EOF\n")[0])
    job["metadata"]["namespace"] = NAMESPACE
    arguments = ("--dry-run=server", "--validate=strict", "-f", "-")
    api_server.kubectl("create", *arguments, stdin=yaml.safe_dump(job))
    api_server.kubectl("create", *arguments, stdin=a_pod("train", job["spec"]["template"]["spec"]))


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("allowed", "verb", "resource", "namespace"),
    [
        ("yes", "patch", "claimsmodels.claimsmodel.io", "anywhere"),
        ("yes", "update", "claimsmodels.claimsmodel.io/status", "anywhere"),
        ("yes", "delete", "inferenceservices.serving.kserve.io", "anywhere"),
        ("yes", "update", "leases.coordination.k8s.io/claims-operator", NAMESPACE),
        ("no", "update", "leases.coordination.k8s.io/another", NAMESPACE),
        ("no", "update", "leases.coordination.k8s.io/claims-operator", "anywhere"),
        ("no", "update", "claimsmodels.claimsmodel.io", "anywhere"),
        ("no", "delete", "claimsmodels.claimsmodel.io", "anywhere"),
        ("no", "get", "secrets", NAMESPACE),
        ("no", "create", "pods", "anywhere"),
        ("no", "delete", "deployments.apps", "anywhere"),
    ],
)
def test_the_operator_has_these_rights(
    api_server: controlplane.ControlPlane, allowed: str, verb: str, resource: str, namespace: str
) -> None:
    review = yaml.safe_dump(access_review(verb, resource, namespace))
    answer = api_server.kubectl("create", "--output=jsonpath={.status.allowed}", "-f", "-", stdin=review)
    assert ("yes" if answer == "true" else "no") == allowed


def access_review(verb: str, resource: str, namespace: str) -> Object:
    """Return the question whether the operator may; the part after a slash is a subresource, or a Lease's name."""
    plural_and_group, _, rest = resource.partition("/")
    plural, _, group = plural_and_group.partition(".")
    asked = {"verb": verb, "group": group, "resource": plural, "namespace": namespace}
    if rest:
        asked["subresource" if rest == "status" else "name"] = rest
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": OPERATOR, "resourceAttributes": asked},
    }


def test_uninstalling_keeps_definitions_and_data(api_server: controlplane.ControlPlane, installed: str) -> None:
    assert installed
    helm(api_server, "uninstall", RELEASE)
    listed = api_server.kubectl(
        "get", "crd,persistentvolumeclaims,secrets,deployments", f"--namespace={NAMESPACE}", "--output=name"
    ).split()
    ours = {name for name in listed if "claims" in name or "mlflow" in name}
    assert ours == {
        "customresourcedefinition.apiextensions.k8s.io/claimsmodels.claimsmodel.io",
        "customresourcedefinition.apiextensions.k8s.io/claimsrollouts.claimsmodel.io",
        "persistentvolumeclaim/claims-feedback",
        "persistentvolumeclaim/mlflow",
    }
    # It can be installed again over what was kept; the module's clean-up uninstalls this one.
    helm(api_server, "install", RELEASE, CHART, "--set", "gateway.createClass=true")
