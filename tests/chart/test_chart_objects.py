"""What the chart makes: pods that pass Pod Security "restricted", least rights, pinned images, names that fit."""

import ast
import re

import pytest
import yaml
from chart import platform_manifest
from chart.rendering import (
    CHART,
    PULLING,
    ROOT,
    Object,
    RefusedError,
    containers,
    environment,
    nested,
    one,
    pods,
    render,
)

from claims_operator.api import names
from claims_operator.settings import Settings

EVERYTHING = {
    "podMonitors": {"enabled": True},
    "gateway": {"createClass": True, "service": {"type": "NodePort", "nodePort": 30080}},
    "global": {"imagePullSecrets": ["registry"], "imageRegistry": "registry.example.com/claims"},
    "prometheus": {"credentialsSecret": "prometheus", "readableSecrets": ["claims-prometheus"]},
    "feedback": {
        "adminToken": {"existingSecret": "administrators"},
        **PULLING["feedback"],
    },
}
WITHOUT_OPTIONS = {
    "crds": {"enabled": False},
    "mlflow": {"enabled": False, "url": "http://mlflow.example.com:5000"},
    "gateway": {"create": False},
    "feedback": {"token": {"existingSecret": "mine"}, "persistence": {"existingClaim": "mine"}},
}


@pytest.fixture(scope="module", params=[{}, EVERYTHING, WITHOUT_OPTIONS], ids=["defaults", "everything", "the-least"])
def objects(request: pytest.FixtureRequest) -> list[Object]:
    values: Object = request.param
    return render(values)


def test_every_container_passes_pod_security_restricted(objects: list[Object]) -> None:
    for owner, container in containers(objects):
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False, owner
        assert context["capabilities"] == {"drop": ["ALL"]}, owner
        assert context["runAsNonRoot"] is True, owner
        assert context["readOnlyRootFilesystem"] is True, owner
        assert "privileged" not in context, owner


def test_every_pod_runs_under_a_numeric_user_and_the_default_seccomp_profile(objects: list[Object]) -> None:
    for name, pod in pods(objects):
        context = pod["securityContext"]
        assert (context["runAsNonRoot"], context["runAsUser"]) == (True, 65532), name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["enableServiceLinks"] is False, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), name
        assert all(
            set(volume) & {"emptyDir", "secret", "configMap", "persistentVolumeClaim"} for volume in pod["volumes"]
        ), name


def test_only_the_operator_gets_a_token_of_the_api_server(objects: list[Object]) -> None:
    with_token = [name for name, pod in pods(objects) if pod["automountServiceAccountToken"]]
    assert with_token == ["claims-operator"]


def test_every_container_says_what_it_takes_and_writes_only_where_it_may(objects: list[Object]) -> None:
    for name, pod in pods(objects):
        for container in pod["containers"]:
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name
            assert "memory" in container["resources"]["limits"], name
            mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
            assert mounts["tmp"] == "/tmp", name  # noqa: S108 - a volume of the pod
            assert mounts.keys() == {volume["name"] for volume in pod["volumes"]}, name


def test_every_pod_is_probed_on_a_port_it_declares(objects: list[Object]) -> None:
    for name, pod in pods(objects):
        for container in pod["containers"] if pod.get("restartPolicy") != "Never" else ():
            declared = {port["name"] for port in container["ports"]}
            for probe in ("readinessProbe", "livenessProbe"):
                assert container[probe]["httpGet"]["port"] in declared, (name, probe)


def test_every_image_is_pinned_to_a_version(objects: list[Object]) -> None:
    for owner, container in containers(objects):
        tag = container["image"].rpartition(":")[2]
        assert tag, owner
        assert tag != "latest", owner
        assert container["imagePullPolicy"] == "IfNotPresent", owner


def test_one_writer_at_a_time(objects: list[Object]) -> None:
    for item in objects:
        if item["kind"] == "Deployment":
            assert item["spec"]["replicas"] == 1
            assert item["spec"]["strategy"] == {"type": "Recreate"}


def test_selectors_find_the_pods_and_only_those_of_the_component(objects: list[Object]) -> None:
    selectors = []
    for item in objects:
        if item["kind"] == "Deployment":
            wanted = item["spec"]["selector"]["matchLabels"]
            assert wanted.items() <= item["spec"]["template"]["metadata"]["labels"].items()
            selectors.append(wanted)
    components = [selector["app.kubernetes.io/component"] for selector in selectors]
    assert len(set(components)) == len(components)
    for item in objects:
        if item["kind"] == "Service":
            assert item["spec"]["selector"] in selectors


def test_no_object_is_made_twice_and_each_says_where_it_belongs(objects: list[Object]) -> None:
    keys = [(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in objects]
    assert len(set(keys)) == len(keys)
    for item in objects:
        if item["kind"] != "CustomResourceDefinition":
            assert item["metadata"]["labels"]["app.kubernetes.io/name"] == "claims-platform", item["kind"]


# Rights ---------------------------------------------------------------------------------------------------------------


def test_rights_name_everything_and_hold_no_secret_that_is_not_named(objects: list[Object]) -> None:
    roles = [item for item in objects if item["kind"] in {"ClusterRole", "Role"}]
    assert len(roles) == 2
    for role in roles:
        for rule in role["rules"]:
            for words in rule.values():
                assert "*" not in words
            if "secrets" in rule["resources"]:
                assert (rule["verbs"], rule["resourceNames"]) == (["get"], ["claims-prometheus"])


def test_the_operator_may_do_what_it_does_and_no_more() -> None:
    granted: dict[tuple[str, str], set[str]] = {}
    for kind in ("ClusterRole", "Role"):
        for rule in one(render(), kind)["rules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    granted.setdefault((group, resource), set()).update(rule["verbs"])
    model, rollout = names.CLAIMS_MODEL, names.CLAIMS_ROLLOUT
    made = {"get", "list", "watch", "create", "patch", "delete"}
    assert granted == {
        (model.group, model.plural): {"get", "list", "watch", "patch"},
        (model.group, f"{model.plural}/status"): {"update"},
        (model.group, f"{model.plural}/finalizers"): {"update"},
        (rollout.group, rollout.plural): made,
        (rollout.group, f"{rollout.plural}/status"): {"update"},
        (names.INFERENCE_SERVICE.group, names.INFERENCE_SERVICE.plural): made,
        (names.HTTP_ROUTE.group, names.HTTP_ROUTE.plural): made,
        (names.DEPLOYMENT.group, names.DEPLOYMENT.plural): {"list", "watch"},
        (names.EVENT.group, names.EVENT.plural): {"create"},
        (names.LEASE.group, names.LEASE.plural): {"create", "get", "update"},
        ("apiextensions.k8s.io", "customresourcedefinitions"): {"list", "watch"},
    }


# What the programs read -----------------------------------------------------------------------------------------------


def test_the_operator_understands_every_variable_it_is_given() -> None:
    (container,) = dict(pods(render()))["claims-operator"]["containers"]
    given = {item["name"] for item in container["env"]}
    fields = Settings.__dataclass_fields__
    assert given == {f"CLAIMS_{field.upper()}" for field in fields}
    understood = Settings.from_environment(environment(container))
    # The chart's defaults are the operator's, but for the address of a Prometheus that is not ours.
    differing = [field for field in fields if getattr(understood, field) != getattr(Settings(), field)]
    assert differing == ["prometheus_url"]


def test_the_feedback_service_knows_every_variable_it_is_given() -> None:
    (container,) = dict(pods(render()))["claims-feedback"]["containers"]
    source = (ROOT / "runtimes/feedback/claims_feedback/settings.py").read_text(encoding="utf-8")
    targets = [node.target for node in ast.walk(ast.parse(source)) if isinstance(node, ast.AnnAssign)]
    fields = {target.id for target in targets if isinstance(target, ast.Name)}
    assert set(environment(container)) <= {f"CLAIMS_FEEDBACK_{field.upper()}" for field in fields}


def test_the_runtime_knows_every_variable_it_is_given() -> None:
    container = one(render(), "ClusterServingRuntime")["spec"]["containers"][0]
    source = (ROOT / "runtimes/tabular/claims_runtime/settings.py").read_text(encoding="utf-8")
    for variable in environment(container):
        assert f'"{variable}"' in source


def test_model_pods_get_no_port_from_the_runtime() -> None:
    # KServe makes a Service port of each; the first one would become port 80.
    assert "ports" not in one(render(), "ClusterServingRuntime")["spec"]["containers"][0]


def test_everything_follows_the_namespace_of_the_release() -> None:
    objects = render(namespace="elsewhere")
    assert {item["metadata"].get("namespace", "elsewhere") for item in objects} == {"elsewhere"}
    (container,) = dict(pods(objects))["claims-operator"]["containers"]
    values = environment(container)
    assert values["CLAIMS_FEEDBACK_URL"] == "http://claims-feedback.elsewhere:8080"
    assert values["CLAIMS_MLFLOW_URL"] == "http://mlflow.elsewhere:5000"
    assert values["CLAIMS_GATEWAY_NAMESPACE"] == values["CLAIMS_OPERATOR_NAMESPACE"] == "elsewhere"


# Images ---------------------------------------------------------------------------------------------------------------

IMAGES = ("operator", "runtime", "storage", "feedback", "mlflow")


def images(values: Object) -> set[str]:
    return {container["image"] for _, container in containers(render(values))}


def test_images_have_the_version_of_the_chart() -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["appVersion"]
    assert images({}) == {f"claims-{name}:{version}" for name in IMAGES}


def test_one_registry_serves_every_image() -> None:
    found = images({"global": {"imageRegistry": "registry.example.com:5000/claims"}})
    assert all(re.fullmatch(r"registry\.example\.com:5000/claims/claims-[a-z]+:[0-9.]+", image) for image in found)


@pytest.mark.parametrize("component", IMAGES)
def test_a_digest_is_an_image_tag_too(component: str) -> None:
    digest = "sha256:" + "0" * 64
    assert f"claims-{component}@{digest}" in images(nested(f"{component}.image.tag", digest))


@pytest.mark.parametrize("component", IMAGES)
def test_latest_is_refused(component: str) -> None:
    with pytest.raises(RefusedError, match=rf"{component}\.image\.tag: latest means another image tomorrow"):
        render(nested(f"{component}.image.tag", "latest"))


# Definitions ----------------------------------------------------------------------------------------------------------


def definitions(values: Object) -> dict[str, Object]:
    found = [item for item in render(values) if item["kind"] == "CustomResourceDefinition"]
    return {item["metadata"]["name"]: item for item in found}


def test_the_chart_brings_the_definitions_that_manifests_hold() -> None:
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in (ROOT / "manifests/crd").glob("*.yaml")]
    assert definitions({"crds": {"keep": False}}) == {item["metadata"]["name"]: item for item in files}


def test_definitions_survive_the_release_unless_told_otherwise() -> None:
    kept = definitions({})
    assert len(kept) == 2
    for item in kept.values():
        assert item["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_definitions_can_be_left_to_somebody_else() -> None:
    assert definitions({"crds": {"enabled": False}}) == {}


def test_the_rendered_manifest_is_up_to_date() -> None:
    assert platform_manifest.TARGET.read_text(encoding="utf-8") == platform_manifest.text(), "run make generate"
