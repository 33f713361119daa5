"""What the API server takes, refuses and fills in: the CRD, not the operator, talks to people who write YAML."""

import json
from pathlib import Path
from typing import Any

import pytest
from played_world import claims_model

from claims_cluster.controlplane import ControlPlane
from claims_cluster.shell import Failure
from claims_operator.api.v1alpha1 import ClaimsModelSpec

SAMPLES = sorted((Path(__file__).parents[3] / "manifests/samples").glob("*.yaml"))
VALID: dict[str, Any] = claims_model("default")["spec"]
METRIC = {"name": "reviews", "query": 'reviews{revision="{{revision}}"}', "successCondition": {"max": "0.3"}}
COMPARED = {"successCondition": {"maxAboveStable": "0.1"}}


def apply(api_server: ControlPlane, namespace: str, spec: dict[str, Any], name: str = "claim-risk") -> None:
    manifest = {**claims_model(namespace), "spec": spec}
    manifest["metadata"]["name"] = name
    api_server.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the valid spec with one field changed; ``path`` is dotted, a number is an index."""
    spec: dict[str, Any] = json.loads(json.dumps(VALID))
    *parents, last = path.split(".")
    place: Any = spec
    for part in parents:
        place = place[int(part)] if part.isdigit() else place.setdefault(part, {})
    place[last] = value
    return spec


@pytest.mark.parametrize("sample", SAMPLES, ids=[path.stem for path in SAMPLES])
def test_every_sample_is_accepted(api_server: ControlPlane, namespace: str, sample: Path) -> None:
    api_server.kubectl("apply", "-n", namespace, "-f", sample)


def test_the_smallest_object_is_filled_in_as_the_models_say(api_server: ControlPlane, namespace: str) -> None:
    apply(api_server, namespace, {"model": VALID["model"]})

    stored = json.loads(api_server.kubectl("get", "clm", "claim-risk", "-n", namespace, "-o", "json"))["spec"]
    by_models = ClaimsModelSpec.model_validate({"model": VALID["model"]})

    assert stored == by_models.model_dump(by_alias=True, mode="json", exclude_none=True)


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        pytest.param("model.version", "2.1", "write the model's semantic version", id="version-is-not-semantic"),
        pytest.param("model.uri", "s3://bucket/model", "write models:/<name>/<version number>", id="uri-is-not-mlflow"),
        pytest.param("model.uri", "models:/claim-risk/latest", "models:/claim-risk/7", id="uri-has-no-number"),
        pytest.param("model.format.name", "pytorch", '"sklearn", "xgboost"', id="format-is-unknown"),
        pytest.param("serving.replicas.min", 0, "greater than or equal to 1", id="no-replica"),
        pytest.param("serving.resources.limits.memory", "much", "should match", id="memory-is-no-quantity"),
        pytest.param("rollout.strategy", "BlueGreen", 'supported values: "Canary"', id="strategy-does-not-exist"),
        pytest.param("rollout.steps", [], "at least 1 item", id="no-step"),
        pytest.param("rollout.steps", [{"weight": 100}], "less than or equal to 99", id="step-of-all"),
        pytest.param(
            "rollout.steps", [{"weight": 20}, {"weight": 5}], "each step needs more weight", id="steps-that-fall"
        ),
        pytest.param(
            "rollout.steps", [{"weight": 5}, {"weight": 5}], "each step needs more weight", id="steps-that-stay"
        ),
        pytest.param("rollout.steps.0.minDuration", "ten minutes", "write a whole number and a unit", id="duration"),
        pytest.param("rollout.steps.0.minDuration", "1h", "progressDeadline must be longer", id="deadline-too-short"),
        pytest.param("rollout.steps.0.minRequests", 0, "greater than or equal to 1", id="no-request"),
        pytest.param("analysis.interval", "1s", "the interval is between 5s and 1h", id="interval-too-short"),
        pytest.param("analysis.interval", "1d", "the interval is between 5s and 1h", id="interval-too-long"),
        pytest.param("analysis.confidence", "0.5", "confidence is at least 0.8", id="confidence-too-low"),
        pytest.param("analysis.confidence", "1", "confidence is at least 0.8", id="confidence-of-one"),
        pytest.param("analysis.confidence", 0.95, "must be of type string", id="confidence-is-a-float"),
        pytest.param("analysis.errors.maxRatio", "1%", "write a decimal between 0 and 1", id="ratio-is-a-percentage"),
        pytest.param("analysis.errors.maxRatio", "0", "a share is above 0 and below 1", id="no-error-allowed"),
        pytest.param("analysis.errors.margin", "0", "a margin is above 0", id="no-margin"),
        pytest.param("analysis.precision.margin", "0", "a margin is above 0", id="no-margin-of-precision"),
        pytest.param("analysis.recall.min", "1", "a share is above 0 and below 1", id="recall-of-one"),
        pytest.param("analysis.recall.minLabels", 0, "greater than or equal to 1", id="no-label"),
        pytest.param("analysis.recall.deadline", "soon", "write a whole number and a unit", id="outcome-deadline"),
        pytest.param(
            "analysis.accuracy.tolerance", "0.12", "write one of the tolerances that are counted", id="tolerance"
        ),
        pytest.param(
            "analysis",
            {"accuracy": {"tolerance": "0.1"}, "recall": {}},
            "a number, which has no precision and no recall",
            id="recall-of-a-number",
        ),
        pytest.param("feedback.labels", "Some", 'supported values: "Complete", "Audited"', id="labels-of-no-kind"),
        pytest.param("analysis.latency.thresholdMilliseconds", 0, "greater than or equal to 1", id="no-latency"),
        pytest.param("serving.route.hostname", "Not A Host", "should match", id="hostname"),
        pytest.param(
            "analysis.prometheus", {"address": "prometheus:9090"}, "write a base URL such as", id="address-is-no-url"
        ),
        pytest.param(
            "analysis.prometheus",
            {"address": "http://me:word@prometheus:9090"},
            "without user and password",
            id="address-with-password",
        ),
        pytest.param("analysis.prometheus", {"credentialsSecret": "x"}, "address: Required", id="secret-for-nothing"),
        pytest.param(
            "analysis.prometheus",
            {"address": "http://prometheus:9090", "credentialsSecret": "../x"},
            "should match",
            id="secret-is-no-name",
        ),
        *(
            pytest.param("analysis.metrics", [METRIC | change], sentence, id=id_)
            for id_, change, sentence in (
                ("metric-of-a-taken-name", {"name": "errors"}, "errors, latency, accuracy, precision, recall are"),
                ("metric-name", {"name": "Reviews"}, "should match"),
                ("metric-without-query", {"query": ""}, "at least 1 char"),
                ("unknown-placeholder", {"query": "x{a='{{pod}}'}"}, "placeholders in a query are {{namespace}}"),
                ("open-placeholder", {"query": "x{a='{{name"}, "placeholders in a query are {{namespace}}"),
                ("metric-that-asks-nothing", {"successCondition": {}}, "set at least one of min, max"),
                ("threshold-is-a-float", {"successCondition": {"max": 0.3}}, "must be of type string"),
                ("threshold-is-a-percentage", {"successCondition": {"max": "3%"}}, "write a number in quotes"),
                ("failure-of-nothing", {"failureCondition": {}}, "set at least one of below, above"),
                (
                    "success-and-failure-at-once",
                    {"failureCondition": {"above": "0.2"}},
                    "failureCondition.above must be >= successCondition.max",
                ),
                (
                    "success-and-failure-at-once-over-stable",
                    {**COMPARED, "failureCondition": {"aboveStableBy": "0.05"}},
                    "failureCondition.aboveStableBy must be >= successCondition.maxAboveStable",
                ),
                ("stable-is-the-same-number", {**COMPARED, "query": "reviews"}, "needs {{revision}} or {{slot}}"),
                ("metric-interval", {"interval": "1s"}, "the interval is between 5s and 1h"),
                ("no-failure-allowed", {"failureLimit": 0}, "greater than or equal to 1"),
            )
        ),
        pytest.param(
            "analysis.metrics",
            [{"name": "reviews", "query": "x", "failureCondition": {"above": "1"}}],
            "a metric that is required needs a successCondition",
            id="required-and-never-passes",
        ),
        pytest.param(
            "analysis.metrics",
            [{"name": "reviews", "query": "x", "required": False}],
            "set successCondition, failureCondition or both",
            id="metric-without-condition",
        ),
        pytest.param("analysis.metrics", [METRIC, METRIC], "Duplicate value", id="two-metrics-of-one-name"),
        pytest.param(
            "analysis.metrics",
            [METRIC | {"name": f"m{number}"} for number in range(11)],
            "must have at most 10 items",
            id="too-many-metrics",
        ),
    ],
)
def test_a_bad_field_is_refused_with_what_to_write(
    api_server: ControlPlane, namespace: str, path: str, value: Any, sentence: str
) -> None:
    with pytest.raises(Failure, match="is invalid") as refusal:
        apply(api_server, namespace, changed(path, value))

    assert sentence in str(refusal.value)


def test_what_an_own_metric_does_not_say_is_filled_in(api_server: ControlPlane, namespace: str) -> None:
    apply(api_server, namespace, changed("analysis.metrics", [METRIC, METRIC | COMPARED | {"name": "compared"}]))

    stored = json.loads(api_server.kubectl("get", "clm", "claim-risk", "-n", namespace, "-o", "json"))["spec"]

    first, second = stored["analysis"]["metrics"]
    assert first == METRIC | {"failureLimit": 3, "interval": "30s", "window": "5m", "required": True}
    assert second["successCondition"] == {"maxAboveStable": "0.1"}


@pytest.mark.parametrize("metric", ["accuracy", "precision", "recall"])
def test_what_is_judged_by_outcomes_needs_feedback(api_server: ControlPlane, namespace: str, metric: str) -> None:
    spec = changed(f"analysis.{metric}", {"margin": "0.02"}) | {"feedback": {"enabled": False}}

    with pytest.raises(Failure) as refusal:
        apply(api_server, namespace, spec)

    assert f"set spec.feedback.enabled to true, or remove {metric}" in str(refusal.value)


@pytest.mark.parametrize(("metric", "margin"), [("accuracy", "0.02"), ("precision", "0.05"), ("recall", "0.05")])
def test_what_a_gate_on_outcomes_does_not_say_is_filled_in(
    api_server: ControlPlane, namespace: str, metric: str, margin: str
) -> None:
    apply(api_server, namespace, changed(f"analysis.{metric}", {}))

    stored = json.loads(api_server.kubectl("get", "clm", "claim-risk", "-n", namespace, "-o", "json"))["spec"]

    assert stored["analysis"][metric] == {"margin": margin, "minLabels": 100, "deadline": "30d"}


def test_another_model_needs_another_version(api_server: ControlPlane, namespace: str) -> None:
    apply(api_server, namespace, VALID)

    with pytest.raises(Failure) as refusal:
        apply(api_server, namespace, changed("model.uri", "models:/claim-risk/2"))

    assert "write its semantic version in spec.model.version as well" in str(refusal.value)


def test_a_field_that_does_not_work_is_not_accepted(api_server: ControlPlane, namespace: str) -> None:
    with pytest.raises(Failure) as refusal:
        apply(api_server, namespace, VALID | {"paused": True})

    assert 'unknown field "spec.paused"' in str(refusal.value)


@pytest.mark.parametrize("name", ["a" * 41, "1claim", "claim.risk"])
def test_a_name_that_kserve_cannot_take_is_refused(api_server: ControlPlane, namespace: str, name: str) -> None:
    with pytest.raises(Failure) as refusal:
        apply(api_server, namespace, VALID, name)

    assert "metadata.name begins with a letter, has at most 40 characters" in str(refusal.value)


def test_kubectl_get_shows_the_columns(api_server: ControlPlane, namespace: str) -> None:
    apply(api_server, namespace, VALID)

    header = api_server.kubectl("get", "clm", "-n", namespace).splitlines()[0].split()

    assert header == ["NAME", "READY", "STABLE", "CANDIDATE", "WEIGHT", "STATE", "REASON", "AGE"]
