"""The status of a ClaimsModel, and the ClaimsRollout that keeps the evidence of one attempt."""

import datetime as dt
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer

from claims_operator.api.base import ApiModel
from claims_operator.api.v1alpha1 import Format, Resources

Timestamp = Annotated[
    dt.datetime,
    PlainSerializer(lambda time: time.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), return_type=str),
]
"""A time in UTC, to the second."""


class State(StrEnum):
    """What a ClaimsModel is doing, for people; programs read the conditions."""

    PENDING = "Pending"
    """No rollout is under way, and the stable revision does not serve."""
    SERVING = "Serving"
    PROGRESSING = "Progressing"
    ROLLED_BACK = "RolledBack"
    BLOCKED = "Blocked"
    DELETING = "Deleting"


class Result(StrEnum):
    """How an attempt stands or ended."""

    RUNNING = "Running"
    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    WITHDRAWN = "Withdrawn"


class Condition(ApiModel):
    """A condition by the conventions of the Kubernetes API."""

    type: str = Field(max_length=64)
    status: Literal["True", "False", "Unknown"]
    reason: str = Field(max_length=128)
    message: str = Field(max_length=4096)
    last_transition_time: Timestamp
    observed_generation: int


class ResolvedModel(ApiModel):
    """What spec.model was resolved to, once; an alias that moves later changes nothing."""

    version: str
    requested_uri: str = Field(description="spec.model.uri as it was written.")
    uri: str = Field(description="The registry's model version, for example models:/claim-risk/7.")
    digest: str = Field(description="Digest of the model package, sha256:<hex>.")
    format: Format


class Revision(ApiModel):
    """Everything that the pods of a revision follow from."""

    revision: str = Field(description="Hash of what is served.")
    version: str
    uri: str
    digest: str
    format: Format
    resources: Resources
    feedback: bool


class Stable(Revision):
    """The revision that takes all requests but the candidate's."""

    slot: int = Field(ge=0, le=1, description="Index in the route's backendRefs; it keeps it while it serves.")


class Candidate(Revision):
    """The revision that is tried."""

    slot: int | None = Field(
        default=None, ge=0, le=1, description="Index in the route's backendRefs; not set while it has no weight."
    )
    attempt: int
    step: int = Field(default=0, description="Step it stands on, from 1; 0 before it is ready.")
    weight: int = Field(default=0, description="Percent of requests it gets.")
    started_at: Timestamp
    step_started_at: Timestamp | None = None


class Retiring(Revision):
    """A revision that is out of the route and will be deleted."""

    remove_after: Timestamp = Field(description="It stays warm until this, for an instant return.")
    out_since: Timestamp | None = Field(
        default=None, description="When the gateway was seen to have taken over a route without it."
    )


class Rejected(ApiModel):
    """A revision that was rolled back. It is not tried again until the spec changes."""

    revision: str
    version: str
    reason: str
    message: str = Field(max_length=4096)
    at: Timestamp
    generation: int = Field(description="Generation of the spec that asked for it.")


class Traffic(ApiModel):
    """Under which weights requests are served; both numbers are the stratum of the requests."""

    attempt: int = 0
    epoch: int = Field(default=0, description="Counts the changes of weight within the attempt.")
    changed_at: Timestamp | None = None


class MetricStatus(ApiModel):
    """What one metric shows."""

    metric: str
    verdict: Literal["Pass", "Fail", "Inconclusive", "NoData", "Error"]
    estimate: str | None = Field(default=None, description="Candidate's share of bad events minus stable's.")
    interval: tuple[str, ...] | None = Field(default=None, max_length=2, description="Bounds of that difference.")
    stable_samples: int
    candidate_samples: int
    query: str = Field(description="PromQL that shows the numbers.")
    message: str
    at: Timestamp


class LastAttempt(ApiModel):
    """How the latest attempt that is over ended."""

    attempt: int
    result: Result
    reason: str
    message: str
    finished_at: Timestamp


class ClaimsModelStatus(ApiModel):
    """The log of decisions. What is applied to the cluster is derived from it."""

    observed_generation: int | None = None
    state: State | None = None
    reason: str | None = None
    message: str | None = Field(default=None, description="What is being waited for, or what is wrong.")
    url: str | None = None
    model: ResolvedModel | None = None
    traffic: Traffic = Traffic()
    stable: Stable | None = None
    candidate: Candidate | None = None
    retiring: tuple[Retiring, ...] = Field(default=(), json_schema_extra={"x-kubernetes-list-type": "atomic"})
    rejected: tuple[Rejected, ...] = Field(default=(), json_schema_extra={"x-kubernetes-list-type": "atomic"})
    last_attempt: LastAttempt | None = None
    analysis: tuple[MetricStatus, ...] = Field(
        default=(), json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["metric"]}
    )
    conditions: tuple[Condition, ...] = Field(
        default=(), json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
    )

    def to_json(self) -> dict[str, Any]:
        """Return the status as the API server stores it; fields without a value are left out."""
        return _without_empty(self.model_dump(by_alias=True, exclude_none=True, mode="json"))


class RolloutTarget(ApiModel):
    """A revision as a ClaimsRollout names it."""

    revision: str
    version: str


class ClaimsRolloutSpec(ApiModel):
    """Which attempt this is. The operator writes it; it never changes."""

    model: str = Field(description="Name of the ClaimsModel.")
    attempt: int
    stable: RolloutTarget | None = Field(default=None, description="What served before; not set for the first version.")
    candidate: RolloutTarget


class StepRecord(ApiModel):
    """What was seen under one set of weights."""

    epoch: int
    step: int
    weight: int
    started_at: Timestamp
    finished_at: Timestamp | None = None
    analysis: tuple[MetricStatus, ...] = ()


class OwnMetricRecord(ApiModel):
    """What an own metric came to."""

    name: str
    question: str = Field(description="Hash of what the spec asks; another question starts again.")
    asked_at: Timestamp
    verdict: Literal["Pass", "Fail", "Inconclusive", "NoData", "Error"]
    value: str | None = Field(default=None, description="The candidate's, at the latest look that had one.")
    stable_value: str | None = Field(default=None, description="The stable revision's, where it is compared.")
    looks: int = Field(default=0, description="Looks that had a value.")
    failures: int = Field(default=0, description="Failures in a row, up to the latest look that had a value.")
    query: str = Field(description="The query as it was asked for the candidate.")
    message: str


class ClaimsRolloutStatus(ApiModel):
    """What was seen and decided in this attempt."""

    result: Result = Result.RUNNING
    reason: str | None = None
    message: str | None = None
    weight: int = 0
    started_at: Timestamp | None = None
    finished_at: Timestamp | None = None
    judged_at: Timestamp | None = Field(default=None, description="Time of the latest look at the metrics.")
    steps: tuple[StepRecord, ...] = Field(default=(), json_schema_extra={"x-kubernetes-list-type": "atomic"})
    own_metrics: tuple[OwnMetricRecord, ...] = Field(
        default=(), json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    )
    evidence: Annotated[
        dict[str, Any] | None, Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})
    ] = None

    def to_json(self) -> dict[str, Any]:
        """Return the status as the API server stores it; fields without a value are left out."""
        stored = self.model_dump(by_alias=True, exclude_none=True, mode="json", exclude={"evidence"})
        if self.evidence is not None:
            stored["evidence"] = self.evidence
        return stored


def _without_empty(stored: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in stored.items() if value not in ([], {})}
