"""What is recorded and applied for a decision, and what never happens whatever the facts."""

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rollout_builders import (
    GONE,
    NOW,
    READY,
    ago,
    analysed,
    asked,
    at_rest,
    claims_spec,
    healthy,
    recorded,
    retiring,
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


def conditions_of(outcome: Outcome) -> dict[str, tuple[str, str]]:
    return {condition.type: (condition.status, condition.reason) for condition in outcome.status.conditions}


def test_an_advance_counts_a_new_epoch_and_keeps_the_slots() -> None:
    status = reconcile(healthy()).status

    assert status.candidate is not None
    assert (status.candidate.step, status.candidate.weight, status.candidate.slot) == (2, 20, 1)
    assert status.traffic == Traffic(attempt=2, epoch=2, changed_at=NOW)


def test_a_promotion_takes_the_old_revision_out_at_once_and_keeps_it_warm() -> None:
    status = reconcile(healthy(status=recorded(candidate=tried(step=3, weight=50)))).status

    assert status.stable == served("new", "2.0.0", slot=1)
    assert [(old.revision, old.remove_after, old.out_since) for old in status.retiring] == [
        ("old", NOW + dt.timedelta(minutes=10), None)
    ]
    assert desired.weights(status) == {"new": 100}


def test_a_rollback_gives_everything_back_at_once() -> None:
    outcome = reconcile(healthy(analysis=analysed(rollback="errors are worse", errors=Verdict.FAIL)))

    assert isinstance(outcome.decision, RollBack)
    assert desired.weights(outcome.status) == {"old": 100}
    assert [(old.revision, old.remove_after) for old in outcome.status.retiring] == [("new", NOW)]
    assert [entry.revision for entry in outcome.status.rejected] == ["new"]
    assert outcome.rollout is not None
    assert outcome.rollout.result == Result.ROLLED_BACK


def test_a_candidate_without_pods_leaves_the_route_and_takes_its_slot_again_when_they_are_back() -> None:
    away = reconcile(healthy(revisions={"old": READY, "new": GONE})).status
    back = reconcile(healthy(status=away, analysis=None)).status

    assert away.candidate is not None
    assert back.candidate is not None
    assert (away.candidate.step, away.candidate.weight, away.candidate.slot) == (1, 0, None)
    assert desired.weights(away) == {"old": 100}
    assert (back.candidate.step, back.candidate.weight, back.candidate.slot) == (1, 5, 1)
    assert (away.traffic.epoch, back.traffic.epoch) == (2, 3)


def test_a_candidate_that_lost_its_weight_is_kept_until_the_gateway_lets_go_of_it() -> None:
    lost = recorded(candidate=tried(step=2, weight=0))

    status = reconcile(healthy(status=lost, target=asked("newer", "3.0.0"), analysis=None)).status

    assert [(old.revision, old.out_since) for old in status.retiring] == [("new", None)]


def test_a_candidate_gets_the_slot_that_stable_has_not() -> None:
    waiting = tried(step=0, weight=0, step_started_at=None)

    status = reconcile(healthy(status=recorded(stable=served(slot=1), candidate=waiting), analysis=None)).status

    assert status.candidate is not None
    assert (status.candidate.slot, status.candidate.weight) == (0, 5)


def test_a_revision_that_is_still_warm_is_tried_again_with_its_pods() -> None:
    warm = retiring(**asked().model_dump(), out_since=ago(minutes=1), remove_after=NOW + dt.timedelta(minutes=5))

    status = reconcile(at_rest(status=recorded(candidate=None, retiring=(warm, retiring())), target=asked())).status

    assert status.candidate is not None
    assert (status.candidate.revision, status.candidate.slot, status.candidate.weight) == ("new", None, 0)
    assert [old.revision for old in status.retiring] == ["gone"]


def test_a_candidate_that_never_took_requests_leaves_nothing_behind() -> None:
    facts = healthy(
        status=recorded(candidate=tried(step=0, weight=0, step_started_at=None)),
        target=asked("newer", "3.0.0"),
        analysis=None,
    )

    status = reconcile(facts).status

    assert (status.candidate, status.retiring) == (None, ())
    assert [revision.revision for revision in desired.wanted(status)] == ["old"]


OUT, NAMED = frozenset({"old"}), frozenset({"old", "gone"})
ALONE, STILL_NAMED = routed(revisions=OUT), routed(revisions=NAMED)


@pytest.mark.parametrize(
    ("old", "route", "left"),
    [
        pytest.param(retiring(), STILL_NAMED, [None], id="stays-while-the-route-names-it"),
        pytest.param(retiring(), routed(programmed=False, revisions=OUT), [None], id="waits-for-the-gateway"),
        pytest.param(retiring(), None, [None], id="waits-for-the-route"),
        pytest.param(retiring(), ALONE, [NOW], id="is-seen-to-be-out"),
        pytest.param(
            retiring(out_since=ago(minutes=1), remove_after=NOW + dt.timedelta(seconds=1)),
            ALONE,
            [ago(minutes=1)],
            id="stays-warm-until-its-time",
        ),
        pytest.param(retiring(out_since=ago(seconds=9)), ALONE, [ago(seconds=9)], id="answers-its-last-requests"),
        pytest.param(retiring(out_since=ago(seconds=10), remove_after=NOW), ALONE, [], id="is-deleted-at-last"),
        pytest.param(
            retiring(out_since=ago(seconds=10)),
            routed(programmed=False),
            [],
            id="once-out-it-does-not-wait-for-later-routes",
        ),
    ],
)
def test_a_retiring_revision_goes_step_by_step(old: Retiring, route: Any, left: list[dt.datetime | None]) -> None:
    status = reconcile(at_rest(status=recorded(candidate=None, retiring=(old,)), route=route)).status

    assert [item.out_since for item in status.retiring] == left


@pytest.mark.parametrize(
    ("old", "seconds"),
    [
        pytest.param(retiring(), 5, id="until-the-gateway-follows"),
        pytest.param(retiring(out_since=ago(seconds=4)), 6, id="until-the-last-requests-are-answered"),
        pytest.param(
            retiring(out_since=ago(seconds=4), remove_after=NOW + dt.timedelta(minutes=2)),
            120,
            id="until-it-need-not-be-warm",
        ),
    ],
)
def test_a_retiring_revision_is_looked_at_again_when_something_is_due(old: Retiring, seconds: int) -> None:
    facts = at_rest(status=recorded(candidate=None, retiring=(old,)), route=STILL_NAMED)

    assert reconcile(facts).recheck_after == dt.timedelta(seconds=seconds)


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
    status = reconcile(healthy(status=recorded(retiring=(retiring(),)))).status

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
    step = draw(st.integers(0, len(claims_spec().rollout.steps)))
    slot = draw(st.integers(0, 1))
    weight = draw(st.sampled_from([0, 5, 20, 50])) if step else 0
    candidate = tried(
        step=step,
        weight=weight,
        slot=1 - slot if weight else None,
        started_at=ago(hours=draw(st.integers(0, 800))),
        step_started_at=ago(minutes=draw(st.integers(0, 5))) if step else None,
    )
    verdicts = {metric: draw(VERDICTS) for metric in ("errors", "latency", "accuracy")}
    rollback = "worse" if draw(st.booleans()) and Verdict.FAIL in verdicts.values() else None
    old = st.sampled_from([(), (retiring(),), (retiring(out_since=ago(minutes=1)),)])
    route = st.builds(routed, programmed=st.booleans(), revisions=st.sampled_from([OUT, NAMED]))
    return healthy(
        status=recorded(
            stable=served(slot=slot), candidate=draw(st.sampled_from([candidate, None])), retiring=draw(old)
        ),
        analysis=draw(st.none() | st.just(analysed(rollback=rollback, **verdicts))),
        revisions={"old": draw(SEEN), "new": draw(SEEN), "gone": draw(SEEN)},
        route=draw(st.none() | route),
        target=draw(st.sampled_from([asked(), asked("old", "1.0.0"), asked("newer", "3.0.0")])),
        generation=draw(st.integers(1, 3)),
    )


@settings(deadline=None)
@given(any_facts())
def test_nothing_is_promoted_that_did_not_pass(facts: Facts) -> None:
    if isinstance(reconcile(facts).decision, Promote):
        analysis: Analysis | None = facts.analysis
        assert analysis is not None
        assert analysis.passed
        assert facts.status.candidate is not None
        assert facts.status.candidate.step == 3


@settings(deadline=None)
@given(any_facts())
def test_weight_never_rises_without_replicas(facts: Facts) -> None:
    before, after = facts.status, reconcile(facts).status

    rises = after.candidate is not None and after.candidate.weight > (
        before.candidate.weight if before.candidate else 0
    )
    if rises and before.candidate is not None and before.candidate.weight == 0:
        assert facts.revisions["new"].ready


@settings(deadline=None)
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
