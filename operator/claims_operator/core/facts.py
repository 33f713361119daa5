"""What one tick knows, read off the cluster's objects; everything that is decided follows from it."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from claims_contract import labels
from claims_operator.api import names
from claims_operator.api.names import Manifest, ObjectKey
from claims_operator.api.reasons import Reason
from claims_operator.api.status import ClaimsModelStatus, ClaimsRolloutStatus, ResolvedModel, Revision
from claims_operator.api.v1alpha1 import ClaimsModelSpec
from claims_operator.core.analysis import Analysis


@dataclass(frozen=True, kw_only=True)
class Platform:
    """What the operator's settings say about the platform."""

    gateway_name: str
    gateway_namespace: str
    route_domain: str
    serving_runtime: str
    feedback_url: str
    settle: dt.timedelta
    """Counts this soon after a change of the route are no evidence."""
    drain: dt.timedelta
    """Time between the gateway's word that a revision left the route and its deletion."""


@dataclass(frozen=True, kw_only=True)
class Unresolved:
    """Why it is not known which model to serve."""

    reason: Reason
    message: str


@dataclass(frozen=True, kw_only=True)
class RevisionSeen:
    """One revision's pods."""

    ready: bool
    """All replicas are available and KServe calls it ready: weight may move to it."""
    serving: bool
    """At least one replica is available: it may keep the weight it has."""
    why: str
    """What is missing, as a sentence; empty where it is ready."""


@dataclass(frozen=True, kw_only=True)
class RouteSeen:
    """The HTTPRoute and what the gateway says about it."""

    accepted: bool
    """The gateway takes requests for it."""
    programmed: bool
    """The gateway has taken over the route as it is now."""
    revisions: frozenset[str]
    """The revisions that the route as it is names."""
    why: str
    """What the gateway complains about; empty where it does not."""


@dataclass(frozen=True, kw_only=True)
class Obstacle:
    """Something that keeps a spec from being served."""

    reason: Reason
    message: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything that one tick knows about one ClaimsModel."""

    key: ObjectKey
    uid: str
    generation: int
    spec: ClaimsModelSpec
    status: ClaimsModelStatus
    obstacles: tuple[Obstacle, ...]
    """What is wrong with the spec or stands in its way."""
    target: Revision | Unresolved
    """What the spec asks for."""
    revisions: Mapping[str, RevisionSeen]
    route: RouteSeen | None
    rollout: ClaimsRolloutStatus | None
    """The record of the attempt under way, or of the latest; None where there is none."""
    analysis: Analysis | None
    """What the evidence of the attempt says; None while no candidate is in the route."""
    platform: Platform
    now: dt.datetime

    def seen(self, revision: str) -> RevisionSeen:
        """Return what is known about a revision's pods."""
        return self.revisions.get(revision, NOT_THERE)


NOT_THERE = RevisionSeen(ready=False, serving=False, why="its InferenceService does not exist yet")


def build_revision(uid: str, model: ResolvedModel, spec: ClaimsModelSpec) -> Revision:
    """Return the revision that a spec asks for."""
    return Revision(
        revision=names.revision(uid, model, spec),
        version=model.version,
        uri=model.uri,
        digest=model.digest,
        format=model.format,
        resources=spec.serving.resources,
        feedback=spec.feedback.enabled,
    )


def is_owned(child: Manifest, uid: str) -> bool:
    """Return whether the ClaimsModel with this uid controls the child."""
    owners = child["metadata"].get("ownerReferences", ())
    return any(owner.get("controller") and owner.get("uid") == uid for owner in owners)


def read_revision(inference_service: Manifest, deployment: Manifest | None, replicas: int) -> RevisionSeen:
    """Return the state of a revision that should have this many replicas."""
    available = _available(deployment)
    why = _why_not_ready(inference_service, deployment, replicas)
    deleting = "deletionTimestamp" in inference_service["metadata"]
    return RevisionSeen(ready=not why, serving=available > 0 and not deleting, why=why)


def _available(deployment: Manifest | None) -> int:
    return int((deployment or {}).get("status", {}).get("availableReplicas", 0))


def _why_not_ready(inference_service: Manifest, deployment: Manifest | None, replicas: int) -> str:
    """KServe says Ready while new pods still crash, so the Deployment is asked as well."""
    name = inference_service["metadata"]["name"]
    if "deletionTimestamp" in inference_service["metadata"]:
        return f"InferenceService {name} is being deleted"
    if deployment is None:
        return f"KServe has not made the Deployment of InferenceService {name} yet"
    status = deployment.get("status", {})
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return f"the Deployment of {name} is being changed"
    ready_replicas = min(_available(deployment), int(status.get("updatedReplicas", 0)))
    if ready_replicas < replicas:
        failure = _failure(inference_service, deployment)
        return f"{ready_replicas} of {replicas} replicas of {name} are available" + (f": {failure}" if failure else "")
    ready = _condition(inference_service.get("status", {}).get("conditions", ()), "Ready")
    if ready.get("status") != "True":
        return f"InferenceService {name} is not Ready: {ready.get('message') or ready.get('reason') or 'no word yet'}"
    return ""


def _failure(inference_service: Manifest, deployment: Manifest) -> str:
    """Return why pods are missing, in the words of Kubernetes or KServe; empty where they have none."""
    refused = _condition(deployment.get("status", {}).get("conditions", ()), "ReplicaFailure")
    if refused.get("status") == "True":
        return str(refused.get("message", ""))
    failure = inference_service.get("status", {}).get("modelStatus", {}).get("lastFailureInfo", {})
    return str(failure.get("message") or failure.get("reason") or "")


def _condition(conditions: Iterable[Mapping[str, Any]], type_: str) -> Mapping[str, Any]:
    return next((condition for condition in conditions if condition.get("type") == type_), {})


def read_route(route: Manifest, gateway_name: str, gateway_namespace: str) -> RouteSeen:
    """Return the state of the route at one Gateway."""
    generation = route["metadata"].get("generation", 0)
    parents = [
        parent
        for parent in route.get("status", {}).get("parents", ())
        if parent["parentRef"].get("name") == gateway_name
        and parent["parentRef"].get("namespace", route["metadata"]["namespace"]) == gateway_namespace
    ]
    conditions = parents[0].get("conditions", ()) if parents else ()
    accepted = _condition(conditions, "Accepted")
    resolved = _condition(conditions, "ResolvedRefs")
    complaints = [
        str(condition.get("message") or condition.get("reason"))
        for condition in (accepted, resolved)
        if condition.get("status") == "False"
    ]
    return RouteSeen(
        accepted=accepted.get("status") == "True",
        programmed=accepted.get("status") == "True" and accepted.get("observedGeneration", 0) >= generation,
        revisions=_revisions(route),
        why="; ".join(complaints),
    )


def _revisions(route: Manifest) -> frozenset[str]:
    prefix, suffix = f"{route['metadata']['name']}-", "-predictor"
    return frozenset(
        backend["name"].removeprefix(prefix).removesuffix(suffix)
        for rule in route["spec"].get("rules", ())
        for backend in rule.get("backendRefs", ())
    )


def read_revisions(
    inference_services: Iterable[Manifest], deployments: Iterable[Manifest], replicas: int
) -> dict[str, RevisionSeen]:
    """Return revision → state, for our own InferenceServices."""
    by_name = {deployment["metadata"]["name"]: deployment for deployment in deployments}
    seen = {}
    for inference_service in inference_services:
        metadata = inference_service["metadata"]
        revision = metadata["labels"][labels.REVISION]
        seen[revision] = read_revision(inference_service, by_name.get(f"{metadata['name']}-predictor"), replicas)
    return seen
