"""What is recorded and applied for a decision, and what never happens whatever the facts."""

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rollout_builders import (
    GONE,
    KEY,
    NOW,
    PLATFORM,
    READY,
    ago,
    analysed,
    at_rest,
    claims_spec,
    healthy,
    recorded,
    routed,
    served,
    tried,
)

from claims_operator.api.status import (
    Candidate,
    ClaimsModelStatus,
    ClaimsRolloutStatus,
    Result,
    Retiring,
    Revision,
    State,
    Traffic,
)
from claims_operator.core import desired
from claims_operator.core.analysis import Analysis, Verdict
from claims_operator.core.decision import Promote, RollBack
from claims_operator.core.facts import Facts, RevisionSeen
from claims_operator.core.reconcile import Outcome, reconcile
from claims_operator.core.record import in_route


def retiring(slot: int | None = 1, **changes: Any) -> Retiring:
    fields = {**served("gone", "0.9.0", slot=slot).model_dump(), "remove_after": ago(minutes=1)} | changes
    return Retiring.model_validate(fields)


def conditions_of(outcome: Outcome) -> dict[str, tuple[str, str]]:
    return {condition.type: (condition.status, condition.reason) for condition in outcome.status.conditions}


def test_an_advance_counts_a_new_epoch_and_keeps_the_slots() -> None:
    status = reconcile(healthy()).status

    assert status.candidate is not None
    assert (status.candidate.step, status.candidate.weight, status.candidate.slot) == (2, 20, 1)
    assert status.traffic == Traffic(attempt=2, epoch=2, changed_at=NOW)


def test_a_promotion_swaps_the_weights_and_keeps_the_old_revision_warm() -> None:
    facts = healthy(status=recorded(candidate=tried(step=3, weight=50)))

    outcome = reconcile(facts)

    assert outcome.status.stable == served("new", "2.0.0", slot=1).model_copy(
        update={"uri": facts.status.candidate.uri if facts.status.candidate else ""}
    )
    assert [(old.revision, old.slot, old.remove_after) for old in outcome.status.retiring] == [
        ("old", 0, NOW + dt.timedelta(minutes=10))
    ]
    assert desired.weights(outcome.status) == {"old": 0, "new": 100}


def test_a_rollback_gives_everything_back_at_once() -> None:
    outcome = reconcile(healthy(analysis=analysed(rollback="errors are worse", errors=Verdict.FAIL)))

    assert isinstance(outcome.decision, RollBack)
    assert desired.weights(outcome.status) == {"old": 100, "new": 0}
    assert [entry.revision for entry in outcome.status.rejected] == ["new"]
    assert outcome.rollout is not None
    assert outcome.rollout.result == Result.ROLLED_BACK


def test_a_candidate_that_never_took_requests_leaves_nothing_behind() -> None:
    facts = healthy(
        status=recorded(candidate=tried(step=0, weight=0, slot=None, step_started_at=None)),
        target=served("newer", "3.0.0"),
        analysis=None,
    )

    status = reconcile(facts).status

    assert (status.candidate, status.retiring) == (None, ())
    assert [revision.revision for revision in desired.wanted(status)] == ["old"]


@pytest.mark.parametrize(
    ("old", "route", "left"),
    [
        pytest.param(retiring(), routed(weights={"old": 100, "gone": 0}), [(None, None)], id="leaves-the-route"),
        pytest.param(
            retiring(remove_after=NOW + dt.timedelta(seconds=1)),
            routed(weights={"old": 100, "gone": 0}),
            [(1, None)],
            id="stays-warm-until-its-time",
        ),
        pytest.param(
            retiring(), routed(weights={"old": 95, "gone": 5}), [(1, None)], id="stays-while-requests-may-come"
        ),
        pytest.param(
            retiring(), routed(programmed=False, weights={"old": 100, "gone": 0}), [(1, None)], id="waits-for-gateway"
        ),
        pytest.param(
            retiring(slot=None), routed(weights={"old": 100, "gone": 0}), [(None, None)], id="waits-for-the-new-route"
        ),
        pytest.param(retiring(slot=None), routed(weights={"old": 100}), [(None, NOW)], id="is-seen-to-be-out"),
        pytest.param(
            retiring(slot=None, out_since=ago(seconds=9)),
            routed(weights={"old": 100}),
            [(None, ago(seconds=9))],
            id="drains",
        ),
        pytest.param(
            retiring(slot=None, out_since=ago(seconds=10)), routed(weights={"old": 100}), [], id="is-deleted-at-last"
        ),
    ],
)
def test_a_retiring_revision_goes_step_by_step(
    old: Retiring, route: Any, left: list[tuple[int | None, dt.datetime | None]]
) -> None:
    status = reconcile(at_rest(status=recorded(candidate=None, retiring=(old,)), route=route)).status

    assert [(item.slot, item.out_since) for item in status.retiring] == left


def test_slots_have_no_gaps_and_a_renumbering_starts_a_new_baseline() -> None:
    status = recorded(
        candidate=None,
        stable=served(slot=1),
        retiring=(retiring(slot=0),),
        traffic=Traffic(attempt=2, epoch=3, changed_at=ago(hours=1)),
    )

    after = reconcile(at_rest(status=status, route=routed(weights={"old": 100, "gone": 0}))).status

    assert after.stable is not None
    assert after.stable.slot == 0
    assert after.traffic == Traffic(attempt=2, epoch=3, changed_at=NOW)


@pytest.mark.parametrize(
    ("facts", "state", "expected"),
    [
        pytest.param(
            at_rest(),
            State.SERVING,
            {"Ready": "True", "Reconciling": "False", "Stalled": "False", "Analysed": "Unknown"},
            id="at-rest",
        ),
        pytest.param(
            healthy(analysis=analysed(errors=Verdict.NO_DATA)),
            State.PROGRESSING,
            {"Ready": "True", "Reconciling": "True", "Stalled": "False", "Analysed": "False"},
            id="under-way",
        ),
        pytest.param(
            at_rest(revisions={"old": GONE}),
            State.PENDING,
            {"Ready": "False", "Reconciling": "False", "Stalled": "False", "Analysed": "Unknown"},
            id="stable-lost-its-pods",
        ),
        pytest.param(
            at_rest(status=recorded(stable=None, candidate=None)),
            State.PROGRESSING,
            {"Ready": "False", "Reconciling": "True", "Stalled": "False", "Analysed": "Unknown"},
            id="first-version",
        ),
    ],
)
def test_conditions(facts: Facts, state: State, expected: dict[str, str]) -> None:
    outcome = reconcile(facts)

    assert outcome.status.state == state
    assert {type_: status for type_, (status, _) in conditions_of(outcome).items()} == expected
    assert all(condition.observed_generation == facts.generation for condition in outcome.status.conditions)


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    first = reconcile(at_rest()).status
    later = reconcile(at_rest(status=first, now=NOW + dt.timedelta(hours=1), revisions={"old": GONE})).status

    times = {condition.type: condition.last_transition_time for condition in later.conditions}
    assert times["Ready"] == NOW + dt.timedelta(hours=1)
    assert times["Stalled"] == NOW


def test_a_second_look_at_the_same_facts_changes_nothing() -> None:
    once = reconcile(at_rest()).status

    assert reconcile(at_rest(status=once, now=NOW + dt.timedelta(minutes=5))).status == once


def test_the_status_reads_back_as_it_was_written() -> None:
    status = reconcile(healthy(status=recorded(retiring=(retiring(slot=2),)))).status

    stored = json.loads(json.dumps(status.to_json()))

    assert ClaimsModelStatus.model_validate(stored) == status


def test_the_record_of_an_attempt_reads_back_as_it_was_written() -> None:
    rollout = reconcile(healthy(rollout=ClaimsRolloutStatus(judged_at=NOW, evidence={"a": [1.5]}))).rollout
    assert rollout is not None

    assert ClaimsRolloutStatus.model_validate(json.loads(json.dumps(rollout.to_json()))) == rollout


VERDICTS = st.sampled_from(list(Verdict))
SEEN = st.sampled_from([READY, GONE, RevisionSeen(ready=False, serving=True, why="1 of 2")])


@st.composite
def any_facts(draw: st.DrawFn) -> Facts:
    """Anything that may be true of a rollout, sense or nonsense."""
    steps = len(claims_spec().rollout.steps)
    step = draw(st.integers(0, steps))
    weight = draw(st.sampled_from([0, 5, 20, 50])) if step else 0
    candidate = draw(
        st.none()
        | st.just(
            tried(
                step=step,
                weight=weight,
                slot=1 if step else None,
                started_at=ago(hours=draw(st.integers(0, 800))),
                step_started_at=ago(minutes=draw(st.integers(0, 5))) if step else None,
            )
        )
    )
    verdicts = {metric: draw(VERDICTS) for metric in ("errors", "latency", "accuracy")}
    rollback = "worse" if draw(st.booleans()) and Verdict.FAIL in verdicts.values() else None
    old = draw(st.sampled_from([(), (retiring(slot=2 if candidate and step else 1),), (retiring(slot=None),)]))
    return healthy(
        status=recorded(candidate=candidate, retiring=old),
        analysis=draw(st.none() | st.just(analysed(rollback=rollback, **verdicts))),
        revisions={"old": draw(SEEN), "new": draw(SEEN), "gone": draw(SEEN)},
        route=draw(
            st.none() | st.booleans().map(lambda done: routed(programmed=done, weights={"old": 100, "gone": 0}))
        ),
        target=draw(st.sampled_from([served("new", "2.0.0", None), served(), served("newer", "3.0.0", None)])),
        generation=draw(st.integers(1, 3)),
    )


@given(any_facts())
def test_nothing_is_promoted_that_did_not_pass(facts: Facts) -> None:
    if isinstance(reconcile(facts).decision, Promote):
        analysis: Analysis | None = facts.analysis
        assert analysis is not None
        assert analysis.passed
        assert facts.status.candidate is not None
        assert facts.status.candidate.step == 3


@given(any_facts())
def test_weights_sum_to_a_hundred_and_never_rise_without_replicas(facts: Facts) -> None:
    before, after = facts.status, reconcile(facts).status

    assert sum(desired.weights(after).values()) == 100
    rises = after.candidate is not None and after.candidate.weight > (
        before.candidate.weight if before.candidate else 0
    )
    if rises and before.candidate is not None and before.candidate.weight == 0:
        assert facts.revisions["new"].ready


@given(any_facts())
def test_slots_are_the_indexes_of_the_route(facts: Facts) -> None:
    status = reconcile(facts).status

    assert [revision.slot for revision in in_route(status)] == list(range(len(in_route(status))))
    wanted = [revision.revision for revision in desired.wanted(status)]
    assert len(wanted) == len(set(wanted))


@given(any_facts())
def test_what_is_finished_never_moves_again(facts: Facts) -> None:
    outcome = reconcile(facts)
    if not isinstance(outcome.decision, (Promote, RollBack)):
        return
    target: Revision | Candidate | None = facts.status.candidate
    assert target is not None

    settled = reconcile(
        healthy(
            status=outcome.status,
            target=target,
            analysis=None,
            generation=facts.generation,
            revisions=facts.revisions,
            now=NOW + dt.timedelta(hours=1),
        )
    )

    assert settled.status.candidate is None
    assert settled.status.stable is not None
    assert outcome.status.stable is not None
    assert settled.status.stable.revision == outcome.status.stable.revision
    assert settled.status.traffic.epoch == outcome.status.traffic.epoch


def test_the_manifests_are_what_kserve_and_the_gateway_need() -> None:
    status = reconcile(healthy(route=routed(programmed=False))).status

    route, stable, candidate, rollout = desired.build_children(KEY, "uid-1", claims_spec(), status, PLATFORM)

    assert [item["kind"] for item in (route, stable, candidate, rollout)] == [
        "HTTPRoute",
        "InferenceService",
        "InferenceService",
        "ClaimsRollout",
    ]
    grpc, rest = route["spec"]["rules"]
    assert grpc["matches"][0]["headers"][0]["value"] == "application/grpc.*"
    for rule, port in ((grpc, 9000), (rest, 80)):
        assert [(ref["name"], ref["port"], ref["weight"]) for ref in rule["backendRefs"]] == [
            ("claim-risk-old-predictor", port, 95),
            ("claim-risk-new-predictor", port, 5),
        ]
    request, response = rest["backendRefs"][1]["filters"]
    assert request["requestHeaderModifier"]["set"] == [{"name": "x-claims-stratum", "value": "2.1"}]
    assert response["responseHeaderModifier"]["set"] == [{"name": "x-claims-variant", "value": "new"}]
    predictor = candidate["spec"]["predictor"]
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (2, 2)
    assert predictor["model"]["storageUri"] == f"models:/claim-risk/1?digest=sha256:{'0' * 64}"
    assert {entry["name"]: entry["value"] for entry in predictor["model"]["env"]} == {
        "MLSERVER_MODEL_NAME": "claim-risk",
        "CLAIMS_NAMESPACE": "claims",
        "CLAIMS_MODEL": "claim-risk",
        "CLAIMS_REVISION": "new",
        "CLAIMS_FEEDBACK_URL": "http://claims-feedback.claims-system:8080",
    }
    assert candidate["metadata"]["labels"]["networking.kserve.io/visibility"] == "cluster-local"
