"""What a cluster shows of a ClaimsModel: its status is always one that the operator's own code wrote."""

import datetime as dt
from typing import Any

from rollout_builders import KEY, NOW, ago

from claims_contract import labels
from claims_operator.api import names
from claims_operator.core import desired
from claims_operator.core.facts import Facts
from claims_operator.core.reconcile import reconcile
from kubectl_claims import tables
from kubectl_claims.history import attempt_details
from kubectl_claims.scene import Scene
from kubectl_claims.tree import tree

Object = dict[str, Any]


def model_of(facts: Facts, **metadata: Any) -> Object:
    """Return the ClaimsModel as the operator leaves it after a pass over the facts."""
    return {
        "apiVersion": names.CLAIMS_MODEL.api_version,
        "kind": names.CLAIMS_MODEL.kind,
        "metadata": {
            "name": KEY.name,
            "namespace": KEY.namespace,
            "uid": facts.uid,
            "generation": facts.generation,
            "creationTimestamp": stamp(ago(days=3)),
            "finalizers": [names.FINALIZER],
            **metadata,
        },
        "spec": facts.spec.model_dump(by_alias=True, mode="json", exclude_none=True),
        "status": reconcile(facts).status.to_json(),
    }


def scene_of(facts: Facts, **changes: Any) -> Scene:
    """Return what is seen after a pass: the ClaimsModel, the InferenceServices it asks for, and a pod of each."""
    outcome = reconcile(facts)
    services = [
        {**manifest, "metadata": {**manifest["metadata"], "creationTimestamp": stamp(ago(hours=1))}}
        for manifest in desired.build_children(KEY, facts.uid, facts.spec, outcome.status, facts.platform)
        if manifest["kind"] == names.INFERENCE_SERVICE.kind
    ]
    seen: dict[str, Any] = {
        "model": model_of(facts),
        "inference_services": tuple(services),
        "pods": tuple(ready_pod(service["metadata"]["labels"][labels.REVISION]) for service in services),
    }
    return Scene(**(seen | changes))


def ready_pod(revision: str, **status: Any) -> Object:
    """Return a pod of a revision that takes requests, unless ``status`` says otherwise."""
    return {
        "metadata": {
            "name": f"{names.predictor(KEY.name, revision)}-7877954955-lwjwk",
            "namespace": KEY.namespace,
            "labels": {labels.MODEL: KEY.name, labels.REVISION: revision},
            "creationTimestamp": stamp(ago(minutes=20)),
        },
        "spec": {"nodeName": "node-1"},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "kserve-container", "restartCount": 0, "state": {"running": {}}}],
            **status,
        },
    }


def waiting_pod(revision: str, reason: str, message: str) -> Object:
    """Return a pod whose container cannot start."""
    container = {
        "name": "storage-initializer",
        "restartCount": 4,
        "state": {"waiting": {"reason": reason, "message": message}},
    }
    return ready_pod(
        revision, phase="Pending", conditions=[{"type": "Ready", "status": "False"}], initContainerStatuses=[container]
    )


def rollout_of(facts: Facts) -> Object:
    """Return the ClaimsRollout of the attempt after a pass over the facts."""
    outcome = reconcile(facts)
    assert outcome.rollout is not None
    candidate = facts.status.candidate
    assert candidate is not None
    manifest = desired.build_claims_rollout(KEY, facts.uid, facts.status.stable, candidate)
    return {**manifest, "status": outcome.rollout.to_json()}


def event(note: str, *, minutes: float, kind: str = "Warning") -> Object:
    """Return an event about the ClaimsModel."""
    return {
        "metadata": {"name": "claim-risk-x", "creationTimestamp": stamp(ago(minutes=minutes))},
        "eventTime": stamp(ago(minutes=minutes)),
        "type": kind,
        "reason": "CandidateUnavailable",
        "note": note,
    }


def stamp(time: dt.datetime) -> str:
    """Return a time as the API server writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def picture(scene: Scene, *, wide: bool = False) -> str:
    """Return what ``get`` writes into a pipe."""
    return tables.plain(tree(scene, NOW, wide=wide))


def details(rollout: Object) -> str:
    """Return what ``history NAME ATTEMPT`` writes into a pipe."""
    return tables.plain(attempt_details(rollout, NOW, wide=False))
