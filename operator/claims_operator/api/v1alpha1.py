"""The spec of a ClaimsModel: types, bounds, defaults and rules; the CRD is generated from here (`api/crd.py`)."""

from typing import Annotated, Final, Literal

from pydantic import Field

from claims_operator.api.base import DNS_LABEL, ApiModel, config
from claims_operator.api.outcomes import OUTCOME_METRICS, Accuracy, Labels, OutcomeGate, Precision, Recall
from claims_operator.api.quantities import (
    BaseUrl,
    Confidence,
    Duration,
    Interval,
    Margin,
    ModelUri,
    Number,
    Quantity,
    SemanticVersion,
    Share,
    cel_seconds,
    rule,
)

Format = Literal["sklearn", "xgboost"]


class ModelFormat(ApiModel):
    """The framework of the model; the runtime follows from it."""

    name: Format = Field(description="Framework that wrote the model: sklearn or xgboost.")


class ModelSource(ApiModel):
    """Which model is served."""

    model_config = config(
        rule(
            "self.version != oldSelf.version || (self.uri == oldSelf.uri && self.format == oldSelf.format)",
            "another uri or format is another model: write its semantic version in spec.model.version as well",
        )
    )
    version: SemanticVersion = Field(description="Semantic version of the model, for example 2.1.0.")
    uri: ModelUri = Field(
        description="MLflow model version, for example models:/claim-risk/7, or alias, for example"
        " models:/claim-risk@champion. An alias is resolved once, when it is written, and pinned."
    )
    format: ModelFormat = Field(description="Format of the model package.")


class Replicas(ApiModel):
    """How many pods serve each revision."""

    min: int = Field(default=2, ge=1, le=100, description="Pods of each revision that takes traffic.")


class ResourceAmounts(ApiModel):
    """Amounts of CPU and memory, in Kubernetes quantities."""

    cpu: Quantity | None = Field(default=None, description="CPU, for example 500m.")
    memory: Quantity | None = Field(default=None, description="Memory, for example 1Gi.")


class Resources(ApiModel):
    """Requests and limits of the model container. A change makes a new revision, which is rolled out."""

    requests: ResourceAmounts = Field(default=ResourceAmounts(cpu="100m", memory="512Mi"))
    limits: ResourceAmounts = Field(default=ResourceAmounts(memory="1Gi"))


class GatewayReference(ApiModel):
    """A Gateway of the Gateway API."""

    name: str = Field(min_length=1, max_length=63, pattern=DNS_LABEL, description="Name of the Gateway.")
    namespace: str = Field(min_length=1, max_length=63, pattern=DNS_LABEL, description="Namespace of the Gateway.")


class Route(ApiModel):
    """Where clients reach the model."""

    hostname: str | None = Field(
        default=None,
        min_length=1,
        max_length=253,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        description="Host that clients name; <name>-<namespace>.<domain of the platform> where it is not set.",
    )
    gateway: GatewayReference | None = Field(
        default=None, description="Gateway to attach to; the platform's own where it is not set."
    )


class Serving(ApiModel):
    """How each revision is served."""

    replicas: Replicas = Replicas()
    resources: Resources = Resources()
    route: Route = Route()


class Step(ApiModel):
    """One step of a canary rollout."""

    weight: int = Field(ge=1, le=99, description="Percent of requests that the candidate gets.")
    min_duration: Duration = Field(default="1m", description="Least time at this weight.")
    min_requests: int = Field(
        default=100, ge=1, le=10_000_000, description="Least requests that the candidate must have answered."
    )


STEPS_RULE = rule(
    "self.map(s, s.weight).isSorted() && self.all(s, self.exists_one(t, t.weight == s.weight))",
    "each step needs more weight than the one before it, for example 5, 20, 50",
)


class Rollout(ApiModel):
    """How a new revision takes over."""

    model_config = config(
        rule(
            f"self.steps.map(s, {cel_seconds('s.minDuration')}).sum() < {cel_seconds('self.progressDeadline')}",
            "progressDeadline must be longer than all minDurations together, or no rollout could end in time",
        )
    )
    strategy: Literal["Canary"] = Field(default="Canary", description="Canary: raise the weight step by step.")
    steps: Annotated[
        tuple[Step, ...],
        Field(min_length=1, max_length=10, json_schema_extra={"x-kubernetes-validations": [STEPS_RULE]}),
    ] = (Step(weight=5), Step(weight=20), Step(weight=50))
    progress_deadline: Duration = Field(
        default="24h",
        description="A candidate that did not become ready, or whose errors and latency did not pass, is rolled"
        " back this long after its rollout began.",
    )
    scale_down_delay: Duration = Field(
        default="10m", description="How long the old revision is kept running after a promotion."
    )


class Latency(ApiModel):
    """The share of requests that are answered in time, measured at the gateway; one that is given up is not."""

    threshold_milliseconds: int = Field(
        default=250, ge=1, le=3_600_000, description="In time means within this; it must be a bucket edge of Envoy."
    )
    min_fraction_under: Share = Field(default="0.99", description="Least share of answers in time.")
    margin: Margin = Field(default="0.005", description="The candidate's share may be lower by less than this.")


class Errors(ApiModel):
    """The share of requests that fail (5xx, or a gRPC status that blames the server), measured at the gateway."""

    max_ratio: Share = Field(default="0.01", description="Greatest share of failed requests.")
    margin: Margin = Field(default="0.005", description="The candidate's share may be higher by less than this.")


class SuccessCondition(ApiModel):
    """When an own metric passes: all that is set must hold. NaN and no value never pass."""

    model_config = config(
        rule(
            "has(self.min) || has(self.max) || has(self.maxAboveStable) || has(self.maxBelowStable)",
            "set at least one of min, max, maxAboveStable and maxBelowStable",
        )
    )
    min: Number | None = Field(default=None, description="The value is at least this.")
    max: Number | None = Field(default=None, description="The value is at most this.")
    max_above_stable: Number | None = Field(
        default=None, description="The value is above that of the stable revision by at most this."
    )
    max_below_stable: Number | None = Field(
        default=None, description="The value is below that of the stable revision by at most this."
    )


class FailureCondition(ApiModel):
    """When a look at an own metric is a failure: any that is set holds. NaN and no value are none."""

    model_config = config(
        rule(
            "has(self.below) || has(self.above) || has(self.aboveStableBy) || has(self.belowStableBy)",
            "set at least one of below, above, aboveStableBy and belowStableBy",
        )
    )
    below: Number | None = Field(default=None, description="The value is below this.")
    above: Number | None = Field(default=None, description="The value is above this.")
    above_stable_by: Number | None = Field(
        default=None, description="The value is above that of the stable revision by more than this."
    )
    below_stable_by: Number | None = Field(
        default=None, description="The value is below that of the stable revision by more than this."
    )


def _cel_no_overlap(success: str, failure: str, comparison: str) -> str:
    """Return the CEL rule that one value cannot be a success and a failure by these two fields."""
    both = f"has(self.successCondition.{success}) && has(self.failureCondition.{failure})"
    values = f"double(self.failureCondition.{failure}) {comparison} double(self.successCondition.{success})"
    return f"!has(self.successCondition) || !has(self.failureCondition) || !({both}) || {values}"


_OVERLAPS: Final = (
    ("max", "above", ">="),
    ("min", "below", "<="),
    ("maxAboveStable", "aboveStableBy", ">="),
    ("maxBelowStable", "belowStableBy", ">="),
)
_COMPARED: Final = tuple(
    f"(has(self.{condition}) && has(self.{condition}.{name}))"
    for condition, fields in (
        ("successCondition", ("maxAboveStable", "maxBelowStable")),
        ("failureCondition", ("aboveStableBy", "belowStableBy")),
    )
    for name in fields
)
PLATFORM_METRICS: Final = ("errors", "latency", *OUTCOME_METRICS)
PLACEHOLDERS: Final = (
    "namespace", "name", "revision", "stableRevision", "slot", "stableSlot", "attempt", "epoch", "window",
)  # fmt: skip
"""What may stand in a query between double braces."""
_QUERY_MESSAGE: Final = "placeholders in a query are " + ", ".join(f"{{{{{name}}}}}" for name in PLACEHOLDERS)
_QUERY_RULE: Final = rule(
    "self.findAll('[{][{][^}]*([}][}])?').all(p, p in ["
    + ", ".join(f"'{{{{{name}}}}}'" for name in PLACEHOLDERS)
    + "])",
    _QUERY_MESSAGE,
)


class OwnMetric(ApiModel):
    """A number that a query comes to, compared with thresholds look by look: no test with an error rate."""

    model_config = config(
        rule(
            "has(self.successCondition) || has(self.failureCondition)",
            "set successCondition, failureCondition or both, or the metric decides nothing",
        ),
        rule(
            "!self.required || has(self.successCondition)",
            "a metric that is required needs a successCondition; add one, or set required to false",
        ),
        rule(
            f"!({' || '.join(_COMPARED)})"
            " || self.query.contains('{{revision}}') || self.query.contains('{{slot}}')",
            "what is compared with the stable revision needs {{revision}} or {{slot}} in its query,"
            " or both would be the same number",
        ),
        *(
            rule(
                _cel_no_overlap(success, failure, comparison),
                f"failureCondition.{failure} must be {comparison} successCondition.{success}:"
                " one value cannot be a success and a failure",
            )
            for success, failure, comparison in _OVERLAPS
        ),
    )
    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=40,
            pattern=DNS_LABEL,
            description="Name of the metric, for example manual-reviews.",
            json_schema_extra={
                "x-kubernetes-validations": [
                    rule(
                        f"!(self in {list(PLATFORM_METRICS)})",
                        f"{', '.join(PLATFORM_METRICS)} are the platform's own; choose another name",
                    )
                ]
            },
        ),
    ]
    query: Annotated[
        str,
        Field(
            min_length=1,
            max_length=2048,
            description="PromQL that comes to one number for the candidate; " + _QUERY_MESSAGE + "."
            " For a comparison with stable it is asked again with stable's revision and slot.",
            json_schema_extra={"x-kubernetes-validations": [_QUERY_RULE]},
        ),
    ]
    success_condition: SuccessCondition | None = Field(default=None, description="When it passes.")
    failure_condition: FailureCondition | None = Field(
        default=None, description="When a look is a failure; failureLimit of them in a row roll the candidate back."
    )
    failure_limit: int = Field(
        default=3, ge=1, le=100, description="Failures in a row that roll back. This is no test with an error rate."
    )
    interval: Interval = Field(
        default="30s", description="Least time between two looks at it; looks are made at analysis.interval."
    )
    window: Duration = Field(default="5m", description="What {{window}} stands for, as in rate(x[{{window}}]).")
    required: bool = Field(default=True, description="Whether each step, and so a promotion, needs it to pass.")


class PrometheusReference(ApiModel):
    """A Prometheus of your own. It must scrape the gateway and the feedback service."""

    address: BaseUrl = Field(
        description="Base URL. The operator asks only addresses that it was told (Helm: prometheus.allowedAddresses)."
    )
    credentials_secret: str | None = Field(
        default=None,
        min_length=1,
        max_length=253,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        description="Secret in this namespace with any of the keys token, username and password, ca.crt, tls.crt and"
        " tls.key, header.<name>. It is read at each look, and goes to this address only.",
    )


class Analysis(ApiModel):
    """What a candidate must show. All but own metrics are sequential tests, valid at every look."""

    model_config = config(
        rule(
            "!has(self.accuracy) || !has(self.accuracy.tolerance) || (!has(self.precision) && !has(self.recall))",
            "accuracy.tolerance is for a model that returns a number, which has no precision and no recall:"
            " remove those, or tolerance",
        )
    )

    interval: Interval = Field(default="30s", description="Time between two looks.")
    confidence: Confidence = Field(
        default="0.95", description="Confidence of the whole attempt, however often it is looked at."
    )
    latency: Latency = Latency()
    errors: Errors = Errors()
    accuracy: Accuracy | None = Field(default=None, description="Judged from outcomes; not judged where not set.")
    precision: Precision | None = Field(default=None, description="Judged from outcomes; not judged where not set.")
    recall: Recall | None = Field(default=None, description="Judged from outcomes; not judged where not set.")
    metrics: Annotated[
        tuple[OwnMetric, ...],
        Field(
            max_length=10,
            description="Numbers of your own.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    prometheus: PrometheusReference | None = Field(
        default=None, description="Prometheus to judge by; the platform's where it is not set."
    )

    @property
    def outcome_gates(self) -> dict[str, OutcomeGate]:
        """What is judged from outcomes, by metric, in the order in which it is shown."""
        gates = {metric: getattr(self, metric) for metric in OUTCOME_METRICS}
        return {metric: gate for metric, gate in gates.items() if gate is not None}


class Feedback(ApiModel):
    """Whether predictions are stored, to be joined with outcomes."""

    enabled: bool = Field(default=True, description="Send one event per prediction to the feedback service.")
    labels: Labels = Field(
        default=Labels.COMPLETE,
        description="Which claims get an outcome. Complete: every one, sooner or later. Audited: outcomes posted with"
        " audit: true, of claims drawn at random, are evidence. Propensity: each outcome names the chance that its"
        " claim is labelled. Selective: by what was decided, in a way that nobody knows; then accuracy, precision and"
        " recall cannot be compared, are shown so, and gate nothing.",
    )


class ClaimsModelSpec(ApiModel):
    """What is served, how, and what a new version must show before it takes over."""

    model_config = config(
        *(
            rule(
                f"!has(self.analysis.{metric}) || self.feedback.enabled",
                f"spec.analysis.{metric} is judged from feedback:"
                f" set spec.feedback.enabled to true, or remove {metric}",
            )
            for metric in OUTCOME_METRICS
        )
    )
    model: ModelSource
    serving: Serving = Serving()
    rollout: Rollout = Rollout()
    analysis: Analysis = Analysis()
    feedback: Feedback = Feedback()
