"""Every value does something; what has no effect, contradicts itself or is not known is refused with an instruction."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema
import pytest
import yaml
from chart.rendering import (
    CHART,
    PULL,
    PULLING,
    Object,
    RefusedError,
    environment,
    merged,
    nested,
    one,
    pods,
    render,
    render_text,
)

from claims_operator.settings import Settings

DEFAULTS: Object = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
SCHEMA: Object = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))

POSTGRES: Object = {"feedback": {"database": {"url": "postgresql://claims@postgres:5432/feedback"}}}
AMOUNTS = {"requests": {"cpu": "77m"}}

# value: another one that must change what is rendered, and what else has to be set for it to have an effect.
OTHER: dict[str, tuple[Any, Object]] = {
    "global.imageRegistry": ("registry.example.com", {}),
    "global.imagePullSecrets": (["registry"], {}),
    "global.nodeSelector": ({"disk": "ssd"}, {}),
    "global.tolerations": ([{"key": "claims", "operator": "Exists"}], {}),
    "crds.enabled": (False, {}),
    "crds.keep": (False, {}),
    "operator.settleSeconds": (0, {}),
    "operator.drainSeconds": (0, {}),
    "operator.resyncSeconds": (60, {}),
    "operator.tickDeadlineSeconds": (30, {}),
    "operator.requestTimeoutSeconds": (3, {}),
    "operator.snapshotSeconds": (0, {}),
    "operator.leaseSeconds": (30, {}),
    "route.domain": ("claims.example.com", {}),
    "prometheus.url": ("https://prometheus.example.com/base", {}),
    "prometheus.credentialsSecret": ("prometheus-credentials", {}),
    "prometheus.replicaLabels": (["replica"], {}),
    "prometheus.matchLabels": ({"cluster": "eu-1"}, {}),
    "prometheus.windowSeconds": (180, {}),
    "prometheus.allowedAddresses": (["https://mimir.example.com/prometheus"], {}),
    "prometheus.readableSecrets": (["claims-prometheus"], {}),
    "runtime.drainSeconds": (0, {}),
    "runtime.predictThreads": (4, {}),
    "feedback.replicas": (2, POSTGRES),
    "feedback.database.url": ("postgresql://claims@db:5432/feedback", {}),
    "feedback.database.passwordSecret": ("mine", POSTGRES),
    "feedback.identifiers": ("hashed", {"feedback": {"hashKey": {"existingSecret": "mine"}}}),
    "feedback.hashKey.existingSecret": ("mine", {}),
    "feedback.retentionDays": (400, {}),
    "feedback.propensityFloor": (0.2, {}),
    "feedback.token.existingSecret": ("mine", {}),
    "feedback.adminToken.existingSecret": ("mine", {}),
    "feedback.logger.waitSeconds": (0, {}),
    "feedback.logger.decisionThresholds": ({"claims/claim-risk": 0.6}, {}),
    "feedback.pull.enabled": (True, {"feedback": {"pull": PULL}}),
    "feedback.pull.schedule": ("@hourly", PULLING),
    "feedback.pull.databaseSecret": ("other", PULLING),
    "feedback.pull.query": ("SELECT 2", PULLING),
    "feedback.pull.watermarkColumn": ("id", PULLING),
    "feedback.pull.start": ("0", PULLING),
    "feedback.pull.arguments": (["--overlap=60"], PULLING),
    "feedback.pull.resources.requests": (AMOUNTS["requests"], PULLING),
    "feedback.pull.resources.limits": (AMOUNTS["requests"], PULLING),
    "feedback.pull.storageClass": ("fast", PULLING),
    "mlflow.enabled": (False, {"mlflow": {"url": "http://mlflow.example.com"}}),
    "mlflow.url": ("http://mlflow.example.com", {"mlflow": {"enabled": False}}),
    "gateway.create": (False, {}),
    "gateway.name": ("other", {}),
    "gateway.namespace": ("infra", {"gateway": {"create": False}}),
    "gateway.className": ("other", {}),
    "gateway.createClass": (True, {}),
    "gateway.port": (8080, {}),
    "gateway.replicas": (1, {}),
    "gateway.image.repository": ("registry.example.com/envoy", {"gateway": {"image": {"tag": "v1"}}}),
    "gateway.image.tag": ("v1", {"gateway": {"image": {"repository": "registry.example.com/envoy"}}}),
    "podMonitors.enabled": (True, {}),
    "podMonitors.interval": ("30s", {"podMonitors": {"enabled": True}}),
    "podMonitors.labels": ({"release": "monitoring"}, {"podMonitors": {"enabled": True}}),
}
for _component in ("operator", "runtime", "storage", "feedback", "mlflow"):
    OTHER |= {
        f"{_component}.image.repository": ("mirror/other", {}),
        f"{_component}.image.tag": ("2.0.0", {}),
        f"{_component}.image.pullPolicy": ("Always", {}),
    }
for _component in ("operator", "storage", "feedback", "mlflow", "gateway"):
    OTHER |= {f"{_component}.resources.{part}": (AMOUNTS["requests"], {}) for part in ("requests", "limits")}
for _component in ("feedback", "mlflow"):
    OTHER |= {
        f"{_component}.persistence.size": ("20Gi", {}),
        f"{_component}.persistence.storageClass": ("fast", {}),
        f"{_component}.persistence.existingClaim": ("mine", {}),
        f"{_component}.persistence.keep": (False, {}),
    }
for _component in ("feedback", "mlflow", "gateway"):
    OTHER |= {
        f"{_component}.service.type": ("NodePort", {}),
        f"{_component}.service.nodePort": (30123, {_component: {"service": {"type": "NodePort"}}}),
    }

FREE_MAPS = {
    "global.nodeSelector",
    "podMonitors.labels",
    "feedback.logger.decisionThresholds",
    "prometheus.matchLabels",
}


def leaves(values: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for key, value in values.items():
        here = f"{path}{key}"
        if isinstance(value, dict) and here not in FREE_MAPS and not here.endswith((".requests", ".limits")):
            yield from leaves(value, f"{here}.")
        else:
            yield here


def stable_text(values: Object) -> str:
    """Render without the token that is new every time."""
    lines = render_text(values).splitlines()
    return "\n".join(line for line in lines if not line.startswith("  token:"))


def test_every_value_has_a_trial() -> None:
    assert set(leaves(DEFAULTS)) == set(OTHER)


@pytest.mark.parametrize("path", sorted(OTHER))
def test_every_value_changes_what_is_rendered(path: str) -> None:
    value, context = OTHER[path]
    if path == "mlflow.url":
        base = nested(path, "http://another.example.com") | {}
        before = stable_text(merged(context, base))
    elif path == "mlflow.enabled":
        before = stable_text({})
    elif path.startswith("gateway.image."):
        before = stable_text(merged(context, nested(path, "other")))
    else:
        before = stable_text(context)
    assert stable_text(merged(context, nested(path, value))) != before


# Refused --------------------------------------------------------------------------------------------------------------


def objects_of(values: Mapping[str, Any], path: str = "") -> Iterator[str]:
    yield path
    for key, value in values.items():
        here = f"{path}.{key}".lstrip(".")
        if isinstance(value, dict) and here not in FREE_MAPS and not here.endswith((".requests", ".limits")):
            yield from objects_of(value, here)


@pytest.mark.parametrize("path", list(objects_of(DEFAULTS)))
def test_an_unknown_value_is_refused_everywhere(path: str) -> None:
    unknown = nested(f"{path}.unknown".lstrip("."), 1)
    with pytest.raises(jsonschema.ValidationError, match="unknown"):
        jsonschema.validate(merged(DEFAULTS, unknown), SCHEMA)


def test_helm_itself_refuses_an_unknown_value() -> None:
    with pytest.raises(RefusedError, match="replicaCount"):
        render({"operator": {"replicaCount": 2}})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param("operator.leaseSeconds", 0, id="no-lease-time"),
        pytest.param("operator.settleSeconds", -1, id="negative-seconds"),
        pytest.param("operator.image.repository", "", id="no-repository"),
        pytest.param("operator.image.tag", 123456, id="a-tag-that-is-a-number"),
        pytest.param("operator.image.pullPolicy", "Sometimes", id="unknown-pull-policy"),
        pytest.param("runtime.drainSeconds", 46, id="drains-longer-than-the-pod-is-left-alive"),
        pytest.param("runtime.predictThreads", 0, id="no-thread"),
        pytest.param("prometheus.url", "", id="no-prometheus"),
        pytest.param("prometheus.url", "prometheus:9090", id="address-that-is-no-url"),
        pytest.param("prometheus.url", "http://user:word@prometheus:9090", id="password-in-an-address"),
        pytest.param("prometheus.windowSeconds", 5, id="samples-that-are-always-too-old"),
        pytest.param("prometheus.matchLabels", {"cluster": "eu 1"}, id="label-value-with-a-blank"),
        pytest.param("prometheus.allowedAddresses", ["*"], id="any-address"),
        pytest.param("prometheus.readableSecrets", ["*"], id="any-secret"),
        pytest.param("route.domain", "", id="no-domain"),
        pytest.param("gateway.name", "", id="no-gateway-name"),
        pytest.param("gateway.replicas", 0, id="no-gateway-pod"),
        pytest.param("gateway.port", 0, id="no-port"),
        pytest.param("feedback.replicas", 0, id="nobody-to-post-to"),
        pytest.param("feedback.database.url", "mysql://claims@db:3306/feedback", id="database-of-another-kind"),
        pytest.param("feedback.database.url", "postgresql://claims:word@db/feedback", id="password-in-a-url"),
        pytest.param("feedback.identifiers", "dropped", id="unknown-form-of-identifiers"),
        pytest.param("feedback.retentionDays", -1, id="deletion-before-arrival"),
        pytest.param("feedback.persistence.size", "0Gi", id="empty-volume"),
        pytest.param("feedback.persistence.size", "10G", id="size-in-an-unknown-unit"),
        pytest.param("feedback.service.type", "ExternalName", id="service-of-another-kind"),
        pytest.param("podMonitors.interval", "15", id="interval-without-a-unit"),
        pytest.param("crds.enabled", "yes", id="text-for-a-truth-value"),
        pytest.param("global.imageRegistry", "registry.example.com/", id="registry-with-a-slash-at-the-end"),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_name(path: str, value: object) -> None:
    with pytest.raises(RefusedError, match=path.replace(".", "[./]")):
        render(nested(path, value))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        pytest.param({"mlflow": {"enabled": False}}, "set mlflow.url to your MLflow server", id="no-mlflow-at-all"),
        pytest.param(
            {"mlflow": {"url": "http://mlflow.example.com"}}, "set mlflow.enabled: false with it", id="two-mlflows"
        ),
        pytest.param(
            {"gateway": {"namespace": "infra"}}, "leave it empty, or set gateway.create: false", id="gateway-elsewhere"
        ),
        pytest.param(
            {"gateway": {"create": False, "createClass": True}}, "set gateway.create: true", id="class-without-gateway"
        ),
        pytest.param({"feedback": {"replicas": 2}}, "set feedback.database.url", id="two-pods-on-one-file"),
        pytest.param(
            {"feedback": {"database": {"passwordSecret": "mine"}}},
            "set feedback.database.url",
            id="password-for-a-file",
        ),
        pytest.param(
            {"feedback": {"identifiers": "hashed"}}, "feedback.hashKey.existingSecret", id="hashes-without-key"
        ),
        pytest.param({"gateway": {"image": {"tag": "v1"}}}, "set repository and tag both", id="envoy-without-name"),
        pytest.param(
            {"gateway": {"image": {"repository": "envoy"}}}, "set repository and tag both", id="envoy-without-version"
        ),
        pytest.param(
            {"gateway": {"image": {"repository": "envoy", "tag": "latest"}}}, "gateway.image.tag", id="latest-envoy"
        ),
        *(
            pytest.param(
                {name: {"service": {"type": "ClusterIP", "nodePort": 30080}}},
                f"set {name}.service.type: NodePort",
                id=f"node-port-of-an-inner-{name}",
            )
            for name in ("feedback", "mlflow", "gateway")
        ),
    ],
)
def test_a_contradiction_is_refused_with_an_instruction(values: Object, says: str) -> None:
    with pytest.raises(RefusedError, match=says):
        render(values)


# Zero and empty -------------------------------------------------------------------------------------------------------


def test_zero_seconds_reach_the_operator() -> None:
    values = {"operator": {"settleSeconds": 0, "drainSeconds": 0, "snapshotSeconds": 0}}
    (container,) = dict(pods(render(values)))["claims-operator"]["containers"]
    given = environment(container)
    assert {given[f"CLAIMS_{name}_SECONDS"] for name in ("SETTLE", "DRAIN", "SNAPSHOT")} == {"0"}


@pytest.mark.parametrize(("component", "name"), [("feedback", "claims-feedback"), ("mlflow", "mlflow")])
def test_node_port_zero_leaves_the_choice_to_the_cluster(component: str, name: str) -> None:
    service = one(render({component: {"service": {"type": "NodePort", "nodePort": 0}}}), "Service", name)
    assert "nodePort" not in service["spec"]["ports"][0]


def test_the_gateway_answers_at_the_node_port() -> None:
    objects = render({"gateway": {"service": {"type": "NodePort", "nodePort": 30080}}})
    service = one(objects, "EnvoyProxy")["spec"]["provider"]["kubernetes"]["envoyService"]
    assert service["type"] == "NodePort"
    assert service["patch"]["value"]["spec"]["ports"] == [{"port": 80, "protocol": "TCP", "nodePort": 30080}]
    without = render({"gateway": {"service": {"type": "NodePort", "nodePort": 0}}})
    assert "patch" not in one(without, "EnvoyProxy")["spec"]["provider"]["kubernetes"]["envoyService"]


def test_one_envoy_has_no_disruption_budget_that_would_block_a_drain() -> None:
    provider = one(render({"gateway": {"replicas": 1}}), "EnvoyProxy")["spec"]["provider"]["kubernetes"]
    assert "envoyPDB" not in provider
    assert "envoyPDB" in one(render(), "EnvoyProxy")["spec"]["provider"]["kubernetes"]


def test_grpc_is_counted_by_its_own_status() -> None:
    proxy = one(render(), "EnvoyProxy")
    assert proxy["spec"]["telemetry"]["metrics"] == {"enableGRPCStats": True}
    assert one(render(), "Gateway")["spec"]["infrastructure"]["parametersRef"]["name"] == proxy["metadata"]["name"]


@pytest.mark.parametrize(
    ("size", "limit_bytes"), [("1Gi", 858993459), ("512Mi", 429496729), ("100Gi", 85899345920), ("1Ti", 879609302220)]
)
def test_the_database_stops_at_four_fifths_of_its_volume(size: str, limit_bytes: int) -> None:
    (container,) = dict(pods(render({"feedback": {"persistence": {"size": size}}})))["claims-feedback"]["containers"]
    assert environment(container)["CLAIMS_FEEDBACK_DATABASE_MAX_BYTES"] == str(limit_bytes)


def test_a_postgresql_database_takes_the_place_of_the_volume() -> None:
    values = merged(POSTGRES, {"feedback": {"replicas": 2, "database": {"passwordSecret": "mine"}}})
    objects = render(values)
    deployment = one(objects, "Deployment", "claims-feedback")["spec"]
    pod = deployment["template"]["spec"]
    (container,) = pod["containers"]
    given = environment(container)
    assert (deployment["replicas"], deployment["strategy"]["type"]) == (2, "RollingUpdate")
    assert given["CLAIMS_FEEDBACK_DATABASE"] == POSTGRES["feedback"]["database"]["url"]
    assert "CLAIMS_FEEDBACK_DATABASE_MAX_BYTES" not in given
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    folder, _, key = given["CLAIMS_FEEDBACK_DATABASE_PASSWORD_FILE"].rpartition("/")
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert (volumes[mounts[folder]]["secret"], key) == ({"secretName": "mine"}, "password")
    assert not [item for item in objects if item["metadata"]["name"] == "claims-feedback" and "Claim" in item["kind"]]
    assert "data" not in volumes


def test_an_own_mlflow_is_used_by_operator_and_storage_initializer_and_none_is_made() -> None:
    url = "https://mlflow.example.com/tracking"
    objects = render({"mlflow": {"enabled": False, "url": url}})
    (operator,) = dict(pods(objects))["claims-operator"]["containers"]
    storage = one(objects, "ClusterStorageContainer")["spec"]["container"]
    assert environment(operator)["CLAIMS_MLFLOW_URL"] == environment(storage)["MLFLOW_TRACKING_URI"] == url
    assert not [item for item in objects if item["metadata"]["name"] == "mlflow"]


def test_an_own_secret_is_mounted_and_none_is_made() -> None:
    objects = render({"feedback": {"token": {"existingSecret": "mine"}}})
    volumes = {volume["name"]: volume for volume in dict(pods(objects))["claims-feedback"]["volumes"]}
    assert volumes["token"]["secret"] == {"secretName": "mine"}
    assert not [item for item in objects if item["kind"] == "Secret"]


def test_credentials_of_prometheus_are_mounted_where_the_operator_reads_them() -> None:
    pod = dict(pods(render({"prometheus": {"credentialsSecret": "mine"}})))["claims-operator"]
    (container,) = pod["containers"]
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    mount = mounts[environment(container)["CLAIMS_PROMETHEUS_CREDENTIALS_DIRECTORY"]]
    assert mount["readOnly"] is True
    assert {volume["name"]: volume for volume in pod["volumes"]}[mount["name"]]["secret"] == {"secretName": "mine"}


def test_lists_reach_the_operator_one_by_one() -> None:
    labels = {"cluster": "eu-1", "region": "eu"}
    addresses = ["http://a:1", "https://b/c"]
    values = {"prometheus": {"allowedAddresses": addresses, "replicaLabels": [], "matchLabels": labels}}
    (container,) = dict(pods(render(values)))["claims-operator"]["containers"]
    understood = Settings.from_environment(environment(container))
    assert understood.prometheus_allowed_addresses == ("http://a:1", "https://b/c")
    assert understood.prometheus_replica_labels == ()
    assert dict(understood.prometheus_match_labels) == labels


def test_an_own_gateway_is_used_and_none_is_made() -> None:
    objects = render({"gateway": {"create": False, "name": "edge", "namespace": "infra"}})
    (operator,) = dict(pods(objects))["claims-operator"]["containers"]
    given = environment(operator)
    assert (given["CLAIMS_GATEWAY_NAME"], given["CLAIMS_GATEWAY_NAMESPACE"]) == ("edge", "infra")
    assert not {item["kind"] for item in objects} & {"Gateway", "GatewayClass", "EnvoyProxy", "BackendTrafficPolicy"}
