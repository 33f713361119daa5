"""What counts as having come, and what as hopeless, in each state that the operator can leave behind."""

import pytest
from rollout_builders import GONE, analysed, at_rest, healthy, routed
from unit.kubectl_claims.scenes import model_of

from claims_operator.api.reasons import Reason
from claims_operator.core.analysis import Verdict
from claims_operator.core.facts import Facts, Unresolved
from claims_operator.core.reconcile import reconcile
from kubectl_claims.waiting import parse_goal

FAILING = healthy(analysis=analysed(rollback="errors: more than stable", errors=Verdict.FAIL))
ROLLED_BACK = at_rest(status=reconcile(FAILING).status, target=FAILING.target)
UNKNOWN_MODEL = at_rest(target=Unresolved(reason=Reason.MODEL_NOT_FOUND, message="there is no version 9"))
REGISTRY_DOWN = at_rest(target=Unresolved(reason=Reason.REGISTRY_UNAVAILABLE, message="MLflow does not answer"))
NOT_ACCEPTED = at_rest(route=routed(accepted=False, programmed=False, revisions=frozenset({"old"})))


@pytest.mark.parametrize(
    ("facts", "promoted", "rolled_back"),
    [
        pytest.param(at_rest(), "came", "hopeless", id="the-spec-is-served"),
        pytest.param(healthy(), "waits", "waits", id="a-step-passed"),
        pytest.param(FAILING, "waits", "waits", id="taken-back-this-moment"),
        pytest.param(ROLLED_BACK, "hopeless", "came", id="rolled-back"),
        pytest.param(UNKNOWN_MODEL, "hopeless", "hopeless", id="no-such-model"),
        pytest.param(REGISTRY_DOWN, "waits", "waits", id="registry-is-down"),
        pytest.param(NOT_ACCEPTED, "waits", "waits", id="the-gateway-does-not-take-it"),
        pytest.param(at_rest(revisions={"old": GONE}), "waits", "waits", id="the-pods-are-gone"),
    ],
)
def test_promoted_and_rolled_back(facts: Facts, promoted: str, rolled_back: str) -> None:
    model = model_of(facts)
    found = []
    for text in ("promoted", "rolledback"):
        goal = parse_goal(text)
        came = goal.reached(model)
        found.append("came" if came else "hopeless" if goal.hopeless(model) else "waits")

    assert found == [promoted, rolled_back]


@pytest.mark.parametrize("goal", ["promoted", "rolledback", "ready", "condition=Ready"])
def test_what_is_said_about_an_older_spec_counts_for_nothing(goal: str) -> None:
    wanted = parse_goal(goal)
    for facts in (at_rest(), ROLLED_BACK):
        model = model_of(facts, generation=facts.generation + 1)

        assert (wanted.reached(model), wanted.hopeless(model)) == (None, None)


def test_before_the_first_status_everything_is_waited_for() -> None:
    model = model_of(at_rest())
    del model["status"]

    for text in ("promoted", "rolledback", "ready"):
        goal = parse_goal(text)
        assert (goal.reached(model), goal.hopeless(model)) == (None, None)


def test_a_condition_is_true_unless_another_status_is_named() -> None:
    model = model_of(ROLLED_BACK)

    assert parse_goal("condition=Stalled").reached(model)
    assert not parse_goal("condition=Stalled=False").reached(model)
    assert parse_goal("condition=Reconciling=false").reached(model)
    assert parse_goal("ready").reached(model) == "Ready is True: 1.0.0 serves all requests"


@pytest.mark.parametrize("text", ["", "done", "condition", "condition=", "promoted=yes"])
def test_another_goal_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="write promoted, rolledback, ready or condition=TYPE"):
        parse_goal(text)
