"""The table of policies: a healthy rollout with one thing changed."""

from typing import Any

import pytest
from rollout_builders import GONE, NOW, ago, analysed, asked, at_rest, claims_spec, healthy, recorded, routed, tried

from claims_operator.api.reasons import Reason
from claims_operator.api.status import Rejected
from claims_operator.core.analysis import Verdict
from claims_operator.core.decision import Begin, Decision, Hold, Promote, RollBack, Shift, Withdraw, decide
from claims_operator.core.facts import Facts, Obstacle, Unresolved

UNKNOWN = Unresolved(reason=Reason.REGISTRY_UNAVAILABLE, message="the registry does not answer")
STRANGER = Obstacle(reason=Reason.NAME_TAKEN, message="HTTPRoute claims/claim-risk belongs to somebody else")
FAULT = analysed(rollback="latency is worse", latency=Verdict.FAIL)


def rejected(generation: int) -> Rejected:
    return Rejected(
        revision="new", version="2.0.0", reason="LatencyFailed", message="slow", at=NOW, generation=generation
    )


def on_last_step(**changes: Any) -> Facts:
    status = recorded(candidate=tried(**({"step": 3, "weight": 50} | changes.pop("candidate", {}))))
    return healthy(status=status, **changes)


UNDER_WAY = [
    pytest.param(healthy(), Shift, Reason.STEP_STARTED, id="a-step-that-passed-leads-to-the-next"),
    pytest.param(
        healthy(analysis=analysed(accuracy=Verdict.NO_DATA)),
        Shift,
        Reason.STEP_STARTED,
        id="steps-do-not-wait-for-outcomes",
    ),
    pytest.param(on_last_step(), Promote, Reason.ALL_PASSED, id="the-last-step-leads-to-promotion"),
    pytest.param(
        on_last_step(analysis=analysed(accuracy=Verdict.NO_DATA)),
        Hold,
        Reason.WAITING_FOR_ACCURACY,
        id="promotion-waits-for-outcomes",
    ),
    pytest.param(healthy(analysis=None), Hold, Reason.NO_DATA, id="no-analysis-is-not-a-pass"),
    pytest.param(healthy(analysis=analysed(errors=Verdict.NO_DATA)), Hold, Reason.NO_DATA, id="no-data-holds"),
    pytest.param(healthy(analysis=analysed(errors=Verdict.ERROR)), Hold, Reason.ANALYSIS_ERROR, id="an-error-holds"),
    pytest.param(
        healthy(analysis=analysed(latency=Verdict.INCONCLUSIVE)),
        Hold,
        Reason.INCONCLUSIVE,
        id="weak-evidence-holds",
    ),
    pytest.param(
        healthy(status=recorded(candidate=tried(step_started_at=ago(seconds=30)))),
        Hold,
        Reason.WAITING_FOR_DURATION,
        id="a-step-lasts-as-long-as-it-must",
    ),
    pytest.param(
        healthy(route=routed(programmed=False)), Hold, Reason.WAITING_FOR_GATEWAY, id="the-gateway-must-follow-first"
    ),
    pytest.param(healthy(route=None), Hold, Reason.WAITING_FOR_GATEWAY, id="without-a-route-nothing-advances"),
    pytest.param(healthy(analysis=FAULT), RollBack, Reason.LATENCY_FAILED, id="a-fault-rolls-back"),
    pytest.param(
        healthy(analysis=FAULT, target=UNKNOWN, obstacles=(STRANGER,), route=None),
        RollBack,
        Reason.LATENCY_FAILED,
        id="a-fault-outranks-every-hold",
    ),
    pytest.param(
        healthy(analysis=analysed(rollback="together")), RollBack, Reason.ANALYSIS_FAILED, id="together-they-are-proof"
    ),
    pytest.param(
        healthy(status=recorded(candidate=tried(started_at=ago(hours=24))), analysis=analysed(errors=Verdict.NO_DATA)),
        RollBack,
        Reason.PROGRESS_DEADLINE_EXCEEDED,
        id="no-data-does-not-last-for-ever",
    ),
    pytest.param(
        healthy(status=recorded(candidate=tried(started_at=ago(hours=24))), analysis=None, rollout=None, route=None),
        RollBack,
        Reason.PROGRESS_DEADLINE_EXCEEDED,
        id="the-deadline-needs-nothing-but-a-clock",
    ),
    pytest.param(
        on_last_step(candidate={"started_at": ago(days=2)}, analysis=analysed(accuracy=Verdict.INCONCLUSIVE)),
        Hold,
        Reason.WAITING_FOR_ACCURACY,
        id="outcomes-have-a-deadline-of-their-own",
    ),
    pytest.param(
        on_last_step(
            candidate={"started_at": ago(days=29), "weight": 0, "step_started_at": ago(minutes=1)},
            revisions={"new": GONE},
        ),
        Hold,
        Reason.WAITING_FOR_REPLICAS,
        id="pods-lost-while-waiting-for-outcomes-may-come-back",
    ),
    pytest.param(
        on_last_step(candidate={"started_at": ago(days=30)}, analysis=analysed(accuracy=Verdict.INCONCLUSIVE)),
        RollBack,
        Reason.ACCURACY_DEADLINE_EXCEEDED,
        id="outcomes-that-do-not-come-roll-back",
    ),
    pytest.param(
        on_last_step(candidate={"started_at": ago(days=31)}), Promote, Reason.ALL_PASSED, id="late-but-passed-is-passed"
    ),
    pytest.param(
        healthy(revisions={"new": GONE}),
        Shift,
        Reason.CANDIDATE_UNAVAILABLE,
        id="a-candidate-without-pods-loses-its-weight",
    ),
    pytest.param(
        healthy(status=recorded(candidate=tried(weight=0, step=2)), revisions={"new": GONE}),
        Hold,
        Reason.WAITING_FOR_REPLICAS,
        id="weight-waits-for-pods",
    ),
    pytest.param(
        healthy(status=recorded(candidate=tried(weight=0, step=2))),
        Shift,
        Reason.WEIGHT_RESTORED,
        id="weight-comes-back-with-the-pods",
    ),
    pytest.param(
        healthy(status=recorded(candidate=tried(weight=0, step=0))),
        Shift,
        Reason.STEP_STARTED,
        id="a-ready-candidate-begins-its-first-step",
    ),
    pytest.param(
        healthy(status=recorded(stable=None, candidate=tried(weight=0, step=0)), analysis=None, route=None),
        Promote,
        Reason.FIRST_VERSION,
        id="the-first-version-has-nothing-to-prove",
    ),
    pytest.param(
        healthy(target=asked("old", "1.0.0")), Withdraw, Reason.BACK_TO_STABLE, id="back-to-stable-ends-the-attempt"
    ),
    pytest.param(
        healthy(target=asked("newer", "3.0.0")), Withdraw, Reason.SPEC_CHANGED, id="a-newer-spec-ends-the-attempt"
    ),
    pytest.param(healthy(target=UNKNOWN), Hold, Reason.REGISTRY_UNAVAILABLE, id="an-unknown-target-holds"),
    pytest.param(healthy(obstacles=(STRANGER,)), Hold, Reason.NAME_TAKEN, id="an-obstacle-holds"),
]

AT_REST = [
    pytest.param(at_rest(), Hold, Reason.SERVING, id="what-serves-goes-on-serving"),
    pytest.param(at_rest(target=asked()), Begin, Reason.ATTEMPT_STARTED, id="a-new-revision-begins"),
    pytest.param(
        at_rest(status=recorded(stable=None, candidate=None)), Begin, Reason.ATTEMPT_STARTED, id="so-does-the-first"
    ),
    pytest.param(at_rest(target=UNKNOWN), Hold, Reason.REGISTRY_UNAVAILABLE, id="nothing-begins-unpinned"),
    pytest.param(at_rest(target=asked(), obstacles=(STRANGER,)), Hold, Reason.NAME_TAKEN, id="strangers-stay"),
    pytest.param(
        at_rest(target=asked(), status=recorded(candidate=None, rejected=(rejected(2),))),
        Hold,
        Reason.ROLLED_BACK,
        id="what-was-rejected-is-not-tried-again",
    ),
    pytest.param(
        at_rest(target=asked(), status=recorded(candidate=None, rejected=(rejected(1),))),
        Begin,
        Reason.ATTEMPT_STARTED,
        id="unless-the-spec-changed-since",
    ),
]


@pytest.mark.parametrize(("facts", "kind", "reason"), [*UNDER_WAY, *AT_REST])
def test_decide(facts: Facts, kind: type[Decision], reason: Reason) -> None:
    decided = decide(facts)

    assert (type(decided), decided.reason) == (kind, reason)


def test_a_spec_with_fewer_steps_than_were_made_counts_as_at_its_last() -> None:
    facts = healthy(spec=claims_spec(rollout={"steps": [{"weight": 5}]}), status=recorded(candidate=tried(step=2)))

    assert isinstance(decide(facts), Promote)


def test_a_hold_says_what_is_missing() -> None:
    decided = decide(healthy(analysis=analysed(errors=Verdict.NO_DATA, latency=Verdict.INCONCLUSIVE)))

    assert decided.message == "errors says NoData; latency says Inconclusive"
