"""What Argo CD shows in each state; every status is one that the operator's own code wrote."""

from typing import Any

import pytest
import yaml
from argocd_lua import FOLDER, Health, health_of
from rollout_builders import GONE, analysed, at_rest, healthy, recorded, routed, tried
from unit.kubectl_claims.scenes import model_of, rollout_of

from claims_operator.api.reasons import Reason
from claims_operator.api.status import Result
from claims_operator.core.analysis import Verdict
from claims_operator.core.facts import Facts, Unresolved
from claims_operator.core.reconcile import reconcile

INCONCLUSIVE = healthy(analysis=analysed(errors=Verdict.INCONCLUSIVE))
FAILING = healthy(analysis=analysed(rollback="errors: more than stable", errors=Verdict.FAIL))
ROLLED_BACK = at_rest(status=reconcile(FAILING).status, target=FAILING.target)
NO_MODEL = at_rest(target=Unresolved(reason=Reason.MODEL_NOT_FOUND, message="there is no version 9"))
NO_REGISTRY = at_rest(target=Unresolved(reason=Reason.REGISTRY_UNAVAILABLE, message="MLflow does not answer"))
NO_PODS = at_rest(revisions={"old": GONE})


@pytest.mark.parametrize(
    ("facts", "health"),
    [
        pytest.param(at_rest(), Health("Healthy", "1.0.0 serves all requests"), id="at-rest"),
        pytest.param(INCONCLUSIVE, Health("Progressing", "errors says Inconclusive"), id="rollout"),
        pytest.param(
            ROLLED_BACK,
            Health("Degraded", "serving 1.0.0, rejected 2.0.0: 2.0.0: errors: more than stable"),
            id="rolled-back",
        ),
        pytest.param(NO_MODEL, Health("Degraded", "there is no version 9"), id="no-such-model"),
        pytest.param(NO_REGISTRY, Health("Progressing", "MLflow does not answer"), id="registry-down"),
        pytest.param(
            NO_PODS,
            Health("Progressing", "1.0.0 does not serve: 0 of 2 replicas of claim-risk-new are available"),
            id="no-pods",
        ),
        pytest.param(
            at_rest(route=routed(accepted=False, why="no such Gateway")),
            Health("Progressing", "the gateway does not take requests for the route: no such Gateway"),
            id="no-gateway",
        ),
    ],
)
def test_the_conditions_tell_the_health(facts: Facts, health: Health) -> None:
    assert health_of(model_of(facts)) == health


@pytest.mark.parametrize("facts", [at_rest(), ROLLED_BACK, NO_MODEL], ids=["at-rest", "rolled-back", "no-such-model"])
def test_what_was_said_of_an_older_spec_counts_for_nothing(facts: Facts) -> None:
    unseen = Health("Progressing", "the operator has not answered to this spec yet")

    assert health_of(model_of(facts, generation=facts.generation + 1)) == unseen


def test_before_the_first_status_it_is_progressing() -> None:
    model = model_of(at_rest())
    for status in ({}, None):
        assert health_of({**model, "status": status}).status == "Progressing"


def test_a_deletion_is_progressing() -> None:
    model = model_of(ROLLED_BACK, deletionTimestamp="2026-11-20T12:00:00Z")

    assert health_of(model) == Health("Progressing", "being deleted")


def test_conditions_of_unknown_types_play_no_part() -> None:
    model: dict[str, Any] = model_of(at_rest())
    strange = {"type": "Eclipsed", "status": "True", "reason": "Moon", "message": "it is dark"}
    model["status"]["conditions"] = [strange, *model["status"]["conditions"], strange]

    assert health_of(model).status == "Healthy"


def test_the_record_of_an_attempt_has_the_health_of_its_result() -> None:
    found = {
        Result.RUNNING: rollout_of(INCONCLUSIVE),
        Result.ROLLED_BACK: rollout_of(FAILING),
        Result.PROMOTED: rollout_of(healthy(status=recorded(candidate=tried(step=3, weight=50)))),
        Result.WITHDRAWN: rollout_of(healthy(target=at_rest().target)),
    }
    assert {result: rollout["status"]["result"] for result, rollout in found.items()} == {
        result: result.value for result in Result
    }

    assert {result: health_of(rollout).status for result, rollout in found.items()} == {
        Result.RUNNING: "Progressing",
        Result.ROLLED_BACK: "Degraded",
        Result.PROMOTED: "Healthy",
        Result.WITHDRAWN: "Healthy",
    }


def test_a_record_that_was_just_made_is_progressing() -> None:
    rollout = rollout_of(INCONCLUSIVE)
    del rollout["status"]

    assert health_of(rollout) == Health("Progressing", "")


def test_a_result_of_a_later_version_is_unknown_and_no_fault() -> None:
    rollout = rollout_of(INCONCLUSIVE)
    rollout["status"]["result"] = "Skipped"

    assert health_of(rollout) == Health("Unknown", "this script does not know the result Skipped")


def test_the_config_map_holds_the_scripts_as_they_are() -> None:
    data = yaml.safe_load((FOLDER / "argocd-cm.yaml").read_text(encoding="utf-8"))["data"]

    assert data == {
        f"resource.customizations.health.claimsmodel.io_{kind}": (FOLDER / f"{kind.lower()}-health.lua").read_text(
            encoding="utf-8"
        )
        for kind in ("ClaimsModel", "ClaimsRollout")
    }
