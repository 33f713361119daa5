"""What is read off the objects of KServe, Kubernetes and the gateway."""

from typing import Any

import pytest
from rollout_builders import NOW, ago, child_metadata, claims_spec

from claims_operator.api.status import ResolvedModel
from claims_operator.core import facts
from claims_operator.core.cleanup import CleanupStep, next_step

READY = {"conditions": [{"type": "Ready", "status": "True"}]}
FULL = {"observedGeneration": 1, "updatedReplicas": 2, "availableReplicas": 2}


def service(status: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"metadata": child_metadata("claim-risk-new") | metadata, "status": status}


def deployment(status: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"metadata": child_metadata("claim-risk-new-predictor") | metadata, "status": status}


@pytest.mark.parametrize(
    ("inference_service", "pods", "ready", "serving", "why"),
    [
        pytest.param(service(READY), deployment(FULL), True, True, "", id="all-is-there"),
        pytest.param(service(READY), None, False, False, "has not made the Deployment", id="no-deployment"),
        pytest.param(
            service(READY),
            deployment(FULL | {"availableReplicas": 1}),
            False,
            True,
            "1 of 2 replicas",
            id="kserve-says-ready-and-a-pod-is-missing",
        ),
        pytest.param(
            service(READY), deployment(FULL | {"updatedReplicas": 0}), False, True, "0 of 2", id="only-old-pods-are-up"
        ),
        pytest.param(
            service(READY), deployment(FULL, generation=2), False, True, "is being changed", id="a-change-not-yet-seen"
        ),
        pytest.param(
            service({"conditions": [{"type": "Ready", "status": "False", "message": "no route"}]}),
            deployment(FULL),
            False,
            True,
            "is not Ready: no route",
            id="kserve-says-not-ready",
        ),
        pytest.param(
            service(READY | {"modelStatus": {"lastFailureInfo": {"message": "no such digest"}}}),
            deployment({"observedGeneration": 1}),
            False,
            False,
            "no such digest",
            id="the-model-did-not-load",
        ),
        pytest.param(
            service({}),
            deployment(
                {
                    "observedGeneration": 1,
                    "conditions": [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}],
                }
            ),
            False,
            False,
            "exceeded quota",
            id="pods-are-not-allowed",
        ),
        pytest.param(
            service(READY, deletionTimestamp="2026-11-20T12:00:00Z"),
            deployment(FULL),
            False,
            False,
            "is being deleted",
            id="somebody-deletes-it",
        ),
    ],
)
def test_a_revision_is_ready_with_all_its_replicas(
    inference_service: dict[str, Any], pods: dict[str, Any] | None, ready: bool, serving: bool, why: str
) -> None:
    seen = facts.read_revision(inference_service, pods, 2)

    assert (seen.ready, seen.serving) == (ready, serving)
    assert why in seen.why
    assert bool(seen.why) != ready


def route(accepted: str, observed: int, gateway: str = "claims") -> dict[str, Any]:
    condition = {"type": "Accepted", "status": accepted, "observedGeneration": observed, "message": "said the gateway"}
    grpc = [{"name": "claim-risk-old-predictor"}, {"name": "claim-risk-new-predictor"}]
    rest = [{"name": "claim-risk-old-predictor"}, {"name": "claim-risk-old-predictor"}]
    return {
        "metadata": child_metadata("claim-risk") | {"generation": 4},
        "spec": {"rules": [{"backendRefs": grpc}, {"backendRefs": rest}]},
        "status": {
            "parents": [
                {"parentRef": {"name": gateway, "namespace": "claims-system"}, "conditions": [condition]},
            ]
        },
    }


@pytest.mark.parametrize(
    ("live", "accepted", "programmed", "why"),
    [
        pytest.param(route("True", 4), True, True, "", id="taken-over"),
        pytest.param(route("True", 3), True, False, "", id="an-older-one-was-taken-over"),
        pytest.param(route("False", 4), False, False, "said the gateway", id="refused"),
        pytest.param(route("True", 4, "another"), False, False, "", id="another-gateway-took-it"),
        pytest.param(route("True", 4) | {"status": {}}, False, False, "", id="nobody-said-anything"),
    ],
)
def test_a_route_is_programmed_in_the_generation_it_has(
    live: dict[str, Any], accepted: bool, programmed: bool, why: str
) -> None:
    seen = facts.read_route(live, "claims", "claims-system")

    assert (seen.accepted, seen.programmed, seen.why) == (accepted, programmed, why)
    assert seen.revisions == {"old", "new"}


@pytest.mark.parametrize(
    ("finalizers", "route_exists", "seconds", "step"),
    [
        pytest.param(("claimsmodel.io/cleanup",), True, 0, CleanupStep.DELETE_ROUTE, id="the-route-goes-first"),
        pytest.param(("claimsmodel.io/cleanup",), False, 9, CleanupStep.WAIT, id="requests-are-answered"),
        pytest.param(("claimsmodel.io/cleanup",), False, 10, CleanupStep.RELEASE, id="then-the-rest"),
        pytest.param(("orphan", "claimsmodel.io/cleanup"), True, 0, CleanupStep.RELEASE, id="orphans-keep-serving"),
        pytest.param(("somebody.else/finalizer",), False, 60, CleanupStep.NOTHING, id="others-are-left-alone"),
    ],
)
def test_the_order_of_a_deletion(
    finalizers: tuple[str, ...], route_exists: bool, seconds: int, step: CleanupStep
) -> None:
    decided = next_step(
        finalizers=finalizers,
        route_exists=route_exists,
        deleted_at=ago(seconds=seconds),
        drain=NOW - ago(seconds=10),
        now=NOW,
    )

    assert decided == step


def test_a_claims_model_that_was_made_again_has_other_revisions() -> None:
    model = ResolvedModel(
        version="2.0.0",
        requested_uri="models:/claim-risk/2",
        uri="models:/claim-risk/2",
        digest="sha256:" + "0" * 64,
        format="sklearn",
    )

    first, again, other = (facts.build_revision(uid, model, claims_spec()) for uid in ("one", "one", "two"))

    assert first == again
    assert first.revision != other.revision, "late outcomes of the first one are no evidence for the second"
