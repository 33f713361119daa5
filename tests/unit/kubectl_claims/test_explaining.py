"""Each state, explained: what is waited for, until when, what would change it."""

import pytest
from rollout_builders import GONE, NOW, READY, ago, analysed, at_rest, claims_spec, healthy, recorded, retiring, tried
from unit.kubectl_claims.scenes import event, model_of, scene_of, waiting_pod

from claims_operator.api.reasons import Reason
from claims_operator.core.analysis import Verdict
from claims_operator.core.facts import Facts, Obstacle, Unresolved
from claims_operator.core.reconcile import reconcile
from kubectl_claims.explaining import explain
from kubectl_claims.scene import Scene


def told(facts: Facts, **changes: object) -> str:
    return explain(scene_of(facts, **changes), NOW)


def test_at_rest_nothing_is_waited_for() -> None:
    text = told(at_rest())

    assert text == (
        "claim-risk serves 1.0.0 to all requests at http://claim-risk-claims.claims.local."
        " It waits for nothing. Another spec.model.version with its uri starts a rollout."
    )


def test_a_warm_revision_is_named_with_its_end() -> None:
    status = recorded(candidate=None, retiring=(retiring(remove_after=ago(minutes=-5)),))

    assert "0.9.0 stays warm until 12:05:00 UTC (in 5m), for a return at once." in told(at_rest(status=status))


def test_an_inconclusive_metric_is_explained_with_the_deadlines() -> None:
    text = told(healthy(analysis=analysed(errors=Verdict.INCONCLUSIVE)))

    assert "2.0.0 is tried, on step 1 of 3, with 5 % of the requests, since 11m ago." in text
    assert "It waits (Inconclusive): errors says Inconclusive." in text
    assert "More requests narrow the intervals" in text
    assert "Once the step passes, 2.0.0 gets 20 % of the requests." in text
    assert "rolled back at 2026-11-21 11:49 UTC (in 23h49m)" in text
    assert "Accuracy has until 2026-12-20 11:49 UTC" in text


def test_waiting_for_the_end_of_a_step_says_when() -> None:
    status = recorded(candidate=tried(step_started_at=ago(seconds=20)))
    text = told(healthy(status=status))

    assert "The step may end at 12:00:40 UTC (in 40s), if every metric passes by then." in text


def test_at_the_last_step_only_outcomes_are_missing() -> None:
    status = recorded(candidate=tried(step=3, weight=50))
    text = told(healthy(status=status, analysis=analysed(accuracy=Verdict.NO_DATA)))

    assert "It waits (WaitingForAccuracy)" in text
    assert "Once it passes, 2.0.0 is promoted and takes all requests." in text
    assert "errors and latency it is rolled back" not in text


def test_pods_that_cannot_start_are_what_it_waits_for() -> None:
    status = recorded(candidate=tried(weight=0, step=0, step_started_at=None))
    facts = healthy(status=status, revisions={"old": READY, "new": GONE}, analysis=None)
    text = told(facts, pods=(waiting_pod("new", "CrashLoopBackOff", "back-off\nthe signature does not fit"),))

    assert "It waits (WaitingForReplicas): waiting for 2.0.0: 0 of 2 replicas" in text
    assert "container storage-initializer: CrashLoopBackOff: the signature does not fit" in text
    assert "Once it is ready, 2.0.0 gets 5 % of the requests." in text


def test_a_rolled_back_version_says_why_and_what_settles_it() -> None:
    failed = healthy(analysis=analysed(rollback="errors: more than stable", errors=Verdict.FAIL))
    after = at_rest(status=reconcile(failed).status, target=failed.target)
    text = told(after)

    assert "2.0.0, which the spec asks for, was rolled back 0s ago (ErrorsFailed): errors: more than stable." in text
    assert "it is not tried again until the spec changes" in text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        pytest.param(
            {"obstacles": (Obstacle(reason=Reason.NAME_TAKEN, message="HTTPRoute claim-risk is not ours"),)},
            "It is blocked (NameTaken): HTTPRoute claim-risk is not ours. Delete or rename the other object",
            id="name-is-taken",
        ),
        pytest.param(
            {"target": Unresolved(reason=Reason.MODEL_NOT_FOUND, message="there is no version 9")},
            "It is blocked (ModelNotFound): there is no version 9. Register that version",
            id="model-is-not-registered",
        ),
        pytest.param(
            {"target": Unresolved(reason=Reason.REGISTRY_UNAVAILABLE, message="MLflow does not answer")},
            "It waits (RegistryUnavailable): MLflow does not answer. The model registry has to answer",
            id="registry-is-down",
        ),
    ],
)
def test_what_stands_in_the_way_is_named_with_the_way_out(changes: dict[str, object], sentence: str) -> None:
    assert sentence in told(at_rest(**changes))


def test_a_stable_version_without_pods_is_no_service() -> None:
    text = told(at_rest(revisions={"old": GONE}))

    assert "claim-risk should serve 1.0.0, but is not ready: 1.0.0 does not serve: 0 of 2 replicas" in text


def test_a_spec_that_was_not_seen_yet_is_said() -> None:
    text = told(at_rest(), model=model_of(at_rest(), generation=7))

    assert "has not answered to generation 7 of the spec yet, only to 2" in text


def test_without_a_status_the_operator_is_missing() -> None:
    model = model_of(at_rest())
    model["status"] = {}

    assert explain(Scene(model=model), NOW) == (
        "claim-risk has no status yet: the operator has not seen it, or does not run."
    )


def test_a_deletion_names_what_it_waits_for() -> None:
    text = told(at_rest(), model=model_of(at_rest(), deletionTimestamp="2026-11-20T11:58:00Z"))

    assert text.startswith("claim-risk is being deleted since 2m. It goes when claimsmodel.io/cleanup is taken off")


def test_only_a_recent_warning_that_says_more_is_repeated() -> None:
    facts = healthy(analysis=analysed(errors=Verdict.INCONCLUSIVE))
    recent = event("no replica of 2.0.0 was available", minutes=3)

    assert "Latest warning, 3m ago (CandidateUnavailable): no replica of 2.0.0" in told(facts, events=(recent,))
    assert "Latest warning" not in told(facts, events=(event("long ago", minutes=90),))
    assert "Latest warning" not in told(facts, events=(event("fine", minutes=1, kind="Normal"),))


def test_reasons_that_this_version_does_not_know_are_passed_on() -> None:
    model = model_of(healthy(spec=claims_spec()))
    model["status"] |= {"reason": "WaitingForTheMoon", "message": "it is not full"}

    assert "It waits (WaitingForTheMoon): it is not full." in told(healthy(), model=model)


def test_everything_that_outcomes_decide_has_its_deadline_named() -> None:
    spec = claims_spec(analysis={"accuracy": {"deadline": "10d"}, "recall": {"deadline": "20d"}})
    text = told(healthy(spec=spec, analysis=analysed(errors=Verdict.INCONCLUSIVE)))

    assert "Accuracy has until 2026-11-30 11:49 UTC (in 9d23h)." in text
    assert "Recall has until 2026-12-10 11:49 UTC (in 19d23h)." in text
    assert "Precision" not in text
