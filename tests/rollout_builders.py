"""Facts about a healthy rollout, changed by keyword: a test shows only what matters to it."""

import datetime as dt
from typing import Any

from claims_operator.api import names
from claims_operator.api.names import ObjectKey
from claims_operator.api.status import (
    Candidate,
    ClaimsModelStatus,
    ClaimsRolloutStatus,
    ResolvedModel,
    Retiring,
    Revision,
    Stable,
    Traffic,
)
from claims_operator.api.v1alpha1 import ClaimsModelSpec, Resources
from claims_operator.core.analysis import Analysis, Assessment, Verdict
from claims_operator.core.facts import Facts, Platform, RevisionSeen, RouteSeen

NOW = dt.datetime(2026, 11, 20, 12, 0, tzinfo=dt.UTC)
KEY = ObjectKey("claims", "claim-risk")
READY = RevisionSeen(ready=True, serving=True, why="")
GONE = RevisionSeen(ready=False, serving=False, why="0 of 2 replicas of claim-risk-new are available")
PLATFORM = Platform(
    gateway_name="claims",
    gateway_namespace="claims-system",
    route_domain="claims.local",
    serving_runtime="claims-mlserver",
    feedback_url="http://claims-feedback.claims-system:8080",
    settle=dt.timedelta(seconds=15),
    drain=dt.timedelta(seconds=10),
)


def ago(**time: float) -> dt.datetime:
    """Return a time before `NOW`."""
    return NOW - dt.timedelta(**time)


def claims_spec(**changes: Any) -> ClaimsModelSpec:
    """Return a valid spec with three steps and accuracy."""
    spec = {
        "model": {"version": "2.0.0", "uri": "models:/claim-risk/2", "format": {"name": "sklearn"}},
        "analysis": {"accuracy": {"margin": "0.02", "deadline": "30d"}},
        **changes,
    }
    return ClaimsModelSpec.model_validate(spec)


def asked(revision: str = "new", version: str = "2.0.0") -> Revision:
    """Return a revision as a spec asks for it."""
    return Revision(
        revision=revision,
        version=version,
        uri="models:/claim-risk/1",
        digest="sha256:" + "0" * 64,
        format="sklearn",
        resources=Resources(),
        feedback=True,
    )


def served(revision: str = "old", version: str = "1.0.0", slot: int = 0) -> Stable:
    """Return a stable revision."""
    return Stable.model_validate({**asked(revision, version).model_dump(), "slot": slot})


def tried(*, weight: int = 5, **changes: Any) -> Candidate:
    """Return a candidate on its first step, ten minutes in; it has the second slot while it has weight."""
    fields = {
        **asked().model_dump(),
        "slot": 1 if weight else None,
        "attempt": 2,
        "step": 1,
        "weight": weight,
        "started_at": ago(minutes=11),
        "step_started_at": ago(minutes=10),
        **changes,
    }
    return Candidate.model_validate(fields)


def retiring(**changes: Any) -> Retiring:
    """Return a revision whose warm time is over, and that the gateway was not yet seen to have let go of."""
    fields = {**asked("gone", "0.9.0").model_dump(), "remove_after": ago(minutes=1), **changes}
    return Retiring.model_validate(fields)


def recorded(**changes: Any) -> ClaimsModelStatus:
    """Return the status of a rollout under way."""
    return ClaimsModelStatus().model_copy(
        update={
            "model": ResolvedModel(
                version="2.0.0",
                requested_uri="models:/claim-risk/2",
                uri="models:/claim-risk/2",
                digest="sha256:" + "0" * 64,
                format="sklearn",
            ),
            "stable": served(),
            "candidate": tried(),
            "traffic": Traffic(attempt=2, epoch=1, changed_at=ago(minutes=10)),
            **changes,
        }
    )


def assessed(metric: str, verdict: Verdict = Verdict.PASS) -> Assessment:
    """Return what one metric says."""
    return Assessment(
        metric=metric,
        verdict=verdict,
        estimate=0.001,
        interval=(-0.001, 0.003),
        stable_samples=9000,
        candidate_samples=1000,
        query="up",
        message=f"{metric} says {verdict}",
    )


def analysed(*, rollback: str | None = None, **verdicts: Verdict) -> Analysis:
    """Return an analysis in which everything passes but what is named."""
    metrics = {"errors": Verdict.PASS, "latency": Verdict.PASS, "accuracy": Verdict.PASS} | verdicts
    assessments = tuple(assessed(metric, verdict) for metric, verdict in metrics.items())
    passed = all(verdict == Verdict.PASS for verdict in metrics.values())
    return Analysis(assessments=assessments, rollback=rollback, passed=passed)


def routed(**changes: Any) -> RouteSeen:
    """Return a route that the gateway has taken over."""
    fields: dict[str, Any] = {
        "accepted": True,
        "programmed": True,
        "revisions": frozenset({"old", "new"}),
        "why": "",
    }
    return RouteSeen(**(fields | changes))


def healthy(**changes: Any) -> Facts:
    """Return a rollout whose first step just passed."""
    fields: dict[str, Any] = {
        "key": KEY,
        "uid": "uid-1",
        "generation": 2,
        "spec": claims_spec(),
        "status": recorded(),
        "obstacles": (),
        "target": asked(),
        "revisions": {"old": READY, "new": READY},
        "route": routed(),
        "rollout": ClaimsRolloutStatus(judged_at=NOW),
        "analysis": analysed(),
        "platform": PLATFORM,
        "now": NOW,
    }
    return Facts(**(fields | changes))


def at_rest(**changes: Any) -> Facts:
    """Return a ClaimsModel whose stable revision is what the spec asks for."""
    fields: dict[str, Any] = {
        "status": recorded(candidate=None),
        "target": asked("old", "1.0.0"),
        "analysis": None,
        "route": routed(revisions=frozenset({"old"})),
    }
    return healthy(**(fields | changes))


def child_metadata(name: str, uid: str = "uid-1") -> dict[str, Any]:
    """Return the metadata of a child of the ClaimsModel."""
    return {
        "name": name,
        "namespace": KEY.namespace,
        "generation": 1,
        "labels": {"claimsmodel.io/model": KEY.name, "claimsmodel.io/revision": name.rpartition("-")[2]},
        "ownerReferences": [{"kind": names.CLAIMS_MODEL.kind, "uid": uid, "controller": True}],
    }
