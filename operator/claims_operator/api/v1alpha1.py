"""The spec of a ClaimsModel: types, bounds, defaults and rules; the CRD is generated from here (`api/crd.py`)."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from claims_operator.api.quantities import (
    Confidence,
    Duration,
    Interval,
    Margin,
    ModelUri,
    Quantity,
    SemanticVersion,
    Share,
    cel_seconds,
    rule,
)

Format = Literal["sklearn", "xgboost"]

DNS_LABEL: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"


def config(*rules: dict[str, str], **extra: Any) -> ConfigDict:
    """Return the configuration of an API type; ``rules`` become its ``x-kubernetes-validations``."""
    if rules:
        extra["x-kubernetes-validations"] = list(rules)
    return ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, json_schema_extra=extra or None)


class ApiModel(BaseModel):
    """Base of all API types: immutable, camelCase on the wire."""

    model_config = config()


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
    """The share of requests that are answered in time, measured at the gateway."""

    threshold_milliseconds: int = Field(
        default=250, ge=1, le=3_600_000, description="In time means within this; it must be a bucket edge of Envoy."
    )
    min_fraction_under: Share = Field(default="0.99", description="Least share of answers in time.")
    margin: Margin = Field(default="0.005", description="The candidate's share may be lower by less than this.")


class Errors(ApiModel):
    """The share of requests that fail (5xx, or a gRPC status that blames the server), measured at the gateway."""

    max_ratio: Share = Field(default="0.01", description="Greatest share of failed requests.")
    margin: Margin = Field(default="0.005", description="The candidate's share may be higher by less than this.")


class Accuracy(ApiModel):
    """The share of decisions that the later outcome confirmed."""

    margin: Margin = Field(default="0.02", description="The candidate's share may be lower by less than this.")
    min: Share | None = Field(default=None, description="Least share of right decisions; not judged where not set.")
    deadline: Duration = Field(
        default="30d", description="A candidate whose accuracy did not pass is rolled back this long after its start."
    )


class Analysis(ApiModel):
    """What a candidate must show. All tests are sequential: they may be looked at every interval."""

    interval: Interval = Field(default="30s", description="Time between two looks.")
    confidence: Confidence = Field(
        default="0.95", description="Confidence of the whole attempt, however often it is looked at."
    )
    latency: Latency = Latency()
    errors: Errors = Errors()
    accuracy: Accuracy | None = Field(default=None, description="Judged from outcomes; not judged where not set.")


class Feedback(ApiModel):
    """Whether predictions are stored, to be joined with outcomes."""

    enabled: bool = Field(default=True, description="Send one event per prediction to the feedback service.")


class ClaimsModelSpec(ApiModel):
    """What is served, how, and what a new version must show before it takes over."""

    model_config = config(
        rule(
            "!has(self.analysis.accuracy) || self.feedback.enabled",
            "spec.analysis.accuracy is judged from feedback: set spec.feedback.enabled to true, or remove accuracy",
        )
    )
    model: ModelSource
    serving: Serving = Serving()
    rollout: Rollout = Rollout()
    analysis: Analysis = Analysis()
    feedback: Feedback = Feedback()
