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
        pytest.param("analysis.latency.thresholdMilliseconds", 0, "greater than or equal to 1", id="no-latency"),
        pytest.param("serving.route.hostname", "Not A Host", "should match", id="hostname"),
    ],
)
def test_a_bad_field_is_refused_with_what_to_write(
    api_server: ControlPlane, namespace: str, path: str, value: Any, sentence: str
) -> None:
    with pytest.raises(Failure, match="is invalid") as refusal:
        apply(api_server, namespace, changed(path, value))

    assert sentence in str(refusal.value)


def test_accuracy_needs_feedback(api_server: ControlPlane, namespace: str) -> None:
    spec = changed("analysis.accuracy", {"margin": "0.02"}) | {"feedback": {"enabled": False}}

    with pytest.raises(Failure) as refusal:
        apply(api_server, namespace, spec)

    assert "set spec.feedback.enabled to true, or remove accuracy" in str(refusal.value)


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
