"""Lint and the API server, side by side: the same verdict in the same sentences."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from played_world import claims_model

from claims_cluster.controlplane import ControlPlane
from claims_cluster.shell import Failure
from kubectl_claims.linting import lint

SAMPLES = sorted((Path(__file__).parents[3] / "manifests/samples").glob("*.yaml"))
METRIC = {"name": "manual-reviews", "query": "sum(rate(reviews[{{window}}]))", "successCondition": {"max": "0.2"}}
COMPARED = {**METRIC, "query": 'sum(reviews{revision="{{revision}}"})', "successCondition": {"maxAboveStable": "0.1"}}
NOISE = ("some validation rules were not checked", " evaluating rule: ", "Checked value must be of type")
"""What the API server adds to another sentence that has the cause: lint leaves it out."""


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return a valid object with one field changed; ``path`` is dotted, a number is an index."""
    manifest: dict[str, Any] = json.loads(json.dumps(claims_model("default")))
    *parents, last = path.split(".")
    place: Any = manifest
    for part in parents:
        place = place[int(part)] if part.isdigit() else place.setdefault(part, {})
    place[last] = value
    return manifest


def without(path: str) -> dict[str, Any]:
    manifest = changed(path, None)
    *parents, last = path.split(".")
    place: Any = manifest
    for part in parents:
        place = place[part]
    del place[last]
    return manifest


CASES: dict[str, dict[str, Any]] = {
    "valid": changed("spec.feedback.enabled", True),
    "smallest": {**claims_model("default"), "spec": {"model": claims_model("default")["spec"]["model"]}},
    "no-spec": without("spec"),
    "no-model": without("spec.model"),
    "no-version-no-uri": changed("spec.model", {"format": {"name": "sklearn"}}),
    "spec-is-null": changed("spec", None),
    "spec-is-a-list": changed("spec", []),
    "version-is-not-semantic": changed("spec.model.version", "2.1"),
    "version-is-a-number": changed("spec.model.version", 2.1),
    "version-is-null": changed("spec.model.version", None),
    "version-is-too-long": changed("spec.model.version", "1.0.0-" + "a" * 70),
    "version-has-quotes": changed("spec.model.version", '"1.0.0"'),
    "uri-of-another-scheme": changed("spec.model.uri", "s3://bucket/model"),
    "uri-ends-with-a-line-break": changed("spec.model.uri", "models:/claim-risk/7\n"),
    "format-is-unknown": changed("spec.model.format.name", "pytorch"),
    "no-replica": changed("spec.serving.replicas.min", 0),
    "too-many-replicas": changed("spec.serving.replicas.min", 101),
    "half-a-replica": changed("spec.serving.replicas.min", 1.5),
    "replicas-as-text": changed("spec.serving.replicas.min", "2"),
    "replicas-null-is-the-default": changed("spec.serving.replicas.min", None),
    "memory-is-no-quantity": changed("spec.serving.resources.limits.memory", "much"),
    "memory-as-a-number": changed("spec.serving.resources.limits.memory", 1073741824),
    "hostname": changed("spec.serving.route.hostname", "Not A Host"),
    "hostname-is-empty": changed("spec.serving.route.hostname", ""),
    "gateway-without-namespace": changed("spec.serving.route.gateway", {"name": "claims"}),
    "strategy-does-not-exist": changed("spec.rollout.strategy", "Guess"),
    "no-step": changed("spec.rollout.steps", []),
    "too-many-steps": changed("spec.rollout.steps", [{"weight": weight} for weight in range(1, 13)]),
    "step-of-all": changed("spec.rollout.steps", [{"weight": 100}]),
    "steps-that-fall": changed("spec.rollout.steps", [{"weight": 20}, {"weight": 5}]),
    "steps-that-stay": changed("spec.rollout.steps", [{"weight": 5}, {"weight": 5}]),
    "step-without-weight": changed("spec.rollout.steps", [{"minRequests": 5}]),
    "step-is-a-number": changed("spec.rollout.steps", [5]),
    "duration": changed("spec.rollout.steps.0.minDuration", "ten minutes"),
    "deadline-too-short": changed("spec.rollout.steps.0.minDuration", "1h"),
    "deadline-in-days": changed("spec.rollout.progressDeadline", "30d"),
    "interval-too-short": changed("spec.analysis.interval", "1s"),
    "interval-too-long": changed("spec.analysis.interval", "1d"),
    "confidence-too-low": changed("spec.analysis.confidence", "0.5"),
    "confidence-is-a-float": changed("spec.analysis.confidence", 0.95),
    "confidence-is-true": changed("spec.analysis.confidence", True),
    "ratio-is-a-percentage": changed("spec.analysis.errors.maxRatio", "1%"),
    "no-error-allowed": changed("spec.analysis.errors.maxRatio", "0"),
    "no-margin": changed("spec.analysis.errors.margin", "0"),
    "margin-too-wide": changed("spec.analysis.errors.margin", "0.6"),
    "no-latency": changed("spec.analysis.latency.thresholdMilliseconds", 0),
    "accuracy-without-feedback": changed("spec.feedback.enabled", False),
    "recall-without-feedback": changed("spec.analysis.recall", {"margin": "0.05"}),
    "numbers-with-precision": changed(
        "spec.analysis", {"accuracy": {"tolerance": "0.1"}, "precision": {"margin": "0.05"}}
    ),
    "no-label-is-needed": changed("spec.analysis.accuracy", {"minLabels": 0}),
    "labels-of-another-kind": changed("spec.feedback.labels", "Some"),
    "metric": changed("spec.analysis.metrics", [METRIC]),
    "metric-is-compared": changed("spec.analysis.metrics", [COMPARED]),
    "metric-twice": changed("spec.analysis.metrics", [METRIC, METRIC]),
    "metric-of-our-name": changed("spec.analysis.metrics", [{**METRIC, "name": "errors"}]),
    "metric-without-condition": changed("spec.analysis.metrics", [{"name": "a", "query": "up"}]),
    "metric-with-an-empty-condition": changed("spec.analysis.metrics", [{**METRIC, "successCondition": {}}]),
    "metric-with-a-placeholder-of-another-kind": changed("spec.analysis.metrics", [{**METRIC, "query": "up{{pod}}"}]),
    "metric-with-a-placeholder-left-open": changed("spec.analysis.metrics", [{**METRIC, "query": "up{{window"}]),
    "metric-compared-with-itself": changed(
        "spec.analysis.metrics", [{**METRIC, "successCondition": {"maxAboveStable": "0.1"}}]
    ),
    "metric-that-fails-and-succeeds": changed(
        "spec.analysis.metrics", [{**METRIC, "failureCondition": {"above": "0.1"}}]
    ),
    "metric-that-is-required-and-never-passes": changed(
        "spec.analysis.metrics", [{"name": "a", "query": "up", "failureCondition": {"above": "1"}}]
    ),
    "metric-with-a-bound-that-is-no-number": changed(
        "spec.analysis.metrics", [{**METRIC, "successCondition": {"max": "NaN"}}]
    ),
    "prometheus-with-a-password": changed("spec.analysis.prometheus", {"address": "http://me:secret@prometheus:9090"}),
    "unknown-field": changed("spec.paussed", True),
    "unknown-fields-deep": changed("spec.rollout.steps.0.wait", "1m"),
    "unknown-in-metadata": changed("metadata.owner", "me"),
    "name-too-long": changed("metadata.name", "a" * 41),
    "name-with-a-dot": changed("metadata.name", "claim.risk"),
    "name-that-begins-with-a-number": changed("metadata.name", "1claim"),
    "name-in-capitals": changed("metadata.name", "Claim"),
    "no-name": without("metadata.name"),
    "two-wrong-fields": changed("spec.analysis", {"interval": "1s", "confidence": "0.2"}),
    "labels-and-annotations": changed("metadata.labels", {"team": "claims"}),
}  # fmt: skip
CASES["recall-without-feedback"]["spec"]["feedback"] = {"enabled": False}
CASES["accuracy-without-feedback"]["spec"]["analysis"]["accuracy"] = {"margin": "0.02"}


def server_sentences(api_server: ControlPlane, namespace: str, manifest: dict[str, Any]) -> set[str]:
    """Return what the API server says to an object that it does not keep; nothing where it would take it."""
    manifest = {**manifest, "metadata": {**manifest.get("metadata", {}), "namespace": namespace}}
    try:
        api_server.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(manifest))
    except Failure as refusal:
        return said(str(refusal))
    return set()


def said(text: str) -> set[str]:
    """Return the sentences in kubectl's message."""
    text = text.strip()
    if "strict decoding error: " in text:
        return set(text.partition("strict decoding error: ")[2].splitlines()[0].split(", "))
    if "is invalid:" not in text:
        return {text.splitlines()[-1].removeprefix("error: ").rpartition(": error when")[0] or text}
    rest = text.partition("is invalid:")[2].strip()
    sentences = re.split(r"\n\* ", "\n" + rest) if rest.startswith("* ") else ["", rest]
    cleaned = {sentence.strip().removeprefix("<nil>: ") for sentence in sentences[1:]}
    return {sentence for sentence in cleaned if not any(noise in sentence for noise in NOISE)}


def our_sentences(manifest: dict[str, Any], old: dict[str, Any] | None = None) -> set[str]:
    verdict = lint(manifest, old)
    return {str(problem) for problem in verdict.unknown or verdict.invalid}


@pytest.mark.parametrize("name", CASES)
def test_lint_says_what_the_api_server_says(api_server: ControlPlane, namespace: str, name: str) -> None:
    assert our_sentences(CASES[name]) == server_sentences(api_server, namespace, CASES[name])


def test_of_an_amount_that_is_a_fraction_lint_says_the_first_of_four_sentences(
    api_server: ControlPlane, namespace: str
) -> None:
    manifest = changed("spec.serving.resources.limits.memory", 1.5)

    assert our_sentences(manifest) < server_sentences(api_server, namespace, manifest)


@pytest.mark.parametrize("sample", SAMPLES, ids=[path.stem for path in SAMPLES])
def test_every_sample_is_fine(sample: Path) -> None:
    assert lint(yaml.safe_load(sample.read_text(encoding="utf-8"))).problems == ()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param("spec.model.uri", "models:/claim-risk/2", id="another-uri-under-the-same-version"),
        pytest.param("spec.model.format.name", "xgboost", id="another-format-under-the-same-version"),
        pytest.param("spec.model.version", "1.0.1", id="another-version"),
        pytest.param("spec.analysis.interval", "20s", id="nothing-of-the-model"),
    ],
)
def test_a_change_is_judged_as_the_api_server_does(
    api_server: ControlPlane, namespace: str, path: str, value: Any
) -> None:
    old, new = claims_model(namespace), changed(path, value)
    new["metadata"]["namespace"] = namespace
    api_server.kubectl("create", "-f", "-", stdin=json.dumps(old))
    try:
        api_server.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", "--force-conflicts",
                           stdin=json.dumps(new))  # fmt: skip
        expected: set[str] = set()
    except Failure as refusal:
        expected = said(str(refusal))

    assert our_sentences(new, old) == expected
