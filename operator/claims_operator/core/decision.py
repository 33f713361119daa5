"""The policies, in order: the first that applies decides the tick. This table is the specification."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from claims_operator.api.outcomes import OUTCOME_METRICS
from claims_operator.api.quantities import to_timedelta
from claims_operator.api.reasons import Reason
from claims_operator.api.status import Candidate, Revision
from claims_operator.api.v1alpha1 import Step
from claims_operator.core import own_metrics
from claims_operator.core.analysis import Assessment, Verdict
from claims_operator.core.facts import Facts, Unresolved
from claims_operator.core.questions import ACCURACY, ERRORS, LATENCY, PRECISION, RECALL

FAILED: Final = {
    ERRORS: Reason.ERRORS_FAILED,
    LATENCY: Reason.LATENCY_FAILED,
    ACCURACY: Reason.ACCURACY_FAILED,
    PRECISION: Reason.PRECISION_FAILED,
    RECALL: Reason.RECALL_FAILED,
}
OVERDUE: Final = {
    ACCURACY: Reason.ACCURACY_DEADLINE_EXCEEDED,
    PRECISION: Reason.PRECISION_DEADLINE_EXCEEDED,
    RECALL: Reason.RECALL_DEADLINE_EXCEEDED,
}


@dataclass(frozen=True, kw_only=True)
class Hold:
    """Change nothing; the reason says what is waited for."""

    reason: Reason
    message: str


@dataclass(frozen=True, kw_only=True)
class Begin:
    """Start an attempt: deploy the target without traffic."""

    target: Revision
    reason: Reason
    message: str


@dataclass(frozen=True, kw_only=True)
class Shift:
    """Give the candidate this weight, in percent; 0 takes it away."""

    step: int
    weight: int
    reason: Reason
    message: str


@dataclass(frozen=True, kw_only=True)
class Promote:
    """Make the candidate the stable revision."""

    reason: Reason
    message: str


@dataclass(frozen=True, kw_only=True)
class RollBack:
    """Give all requests back to the stable revision and reject the candidate."""

    reason: Reason
    message: str


@dataclass(frozen=True, kw_only=True)
class Withdraw:
    """End the attempt without a verdict, since the spec asks for something else."""

    reason: Reason
    message: str


Decision = Hold | Begin | Shift | Promote | RollBack | Withdraw

AtRest = Callable[[Facts], Decision | None]
UnderWay = Callable[[Facts, Candidate], Decision | None]


def decide(facts: Facts) -> Decision:
    """Decide one tick; the same facts always give the same decision."""
    candidate = facts.status.candidate
    if candidate is None:
        decisions = (policy(facts) for policy in AT_REST)
    else:
        decisions = (policy(facts, candidate) for policy in UNDER_WAY)
    for decision in decisions:
        if decision is not None:
            return decision
    raise AssertionError("the last policy of each table always decides")


# At rest ------------------------------------------------------------------------------------------------------------


def hold_while_something_is_wrong(facts: Facts) -> Decision | None:
    """A spec that cannot be served starts nothing."""
    if not facts.obstacles:
        return None
    message = "; ".join(obstacle.message for obstacle in facts.obstacles)
    return Hold(reason=facts.obstacles[0].reason, message=message)


def hold_while_the_model_is_unknown(facts: Facts) -> Decision | None:
    """Without a pinned model there is nothing to start."""
    if not isinstance(facts.target, Unresolved):
        return None
    return Hold(reason=facts.target.reason, message=facts.target.message)


def hold_once_the_target_serves(facts: Facts) -> Decision | None:
    """The usual state: nothing to do."""
    stable = facts.status.stable
    if isinstance(facts.target, Unresolved) or stable is None or stable.revision != facts.target.revision:
        return None
    return Hold(reason=Reason.SERVING, message=f"{stable.version} serves all requests")


def hold_once_the_target_was_rejected(facts: Facts) -> Decision | None:
    """What was rolled back is not tried again for the same spec."""
    if isinstance(facts.target, Unresolved):
        return None
    for rejected in facts.status.rejected:
        if rejected.revision == facts.target.revision and rejected.generation == facts.generation:
            serving = f"serving {facts.status.stable.version}" if facts.status.stable else "serving nothing"
            return Hold(
                reason=Reason.ROLLED_BACK, message=f"{serving}, rejected {rejected.version}: {rejected.message}"
            )
    return None


def begin_the_attempt(facts: Facts) -> Decision | None:
    """A new revision was asked for."""
    if isinstance(facts.target, Unresolved):
        return None
    return Begin(
        target=facts.target,
        reason=Reason.ATTEMPT_STARTED,
        message=f"{facts.target.version} ({facts.target.uri}) is deployed as revision {facts.target.revision}",
    )


# Under way ----------------------------------------------------------------------------------------------------------


def withdraw_when_the_spec_moved_on(facts: Facts, candidate: Candidate) -> Decision | None:
    """A new spec starts over against the stable revision; nothing of the old attempt is carried into it."""
    if isinstance(facts.target, Unresolved) or facts.target.revision == candidate.revision:
        return None
    if facts.status.stable is not None and facts.target.revision == facts.status.stable.revision:
        return Withdraw(
            reason=Reason.BACK_TO_STABLE,
            message=f"the spec asks for {facts.target.version} again, which serves; {candidate.version} is taken out",
        )
    return Withdraw(
        reason=Reason.SPEC_CHANGED,
        message=f"the spec asks for {facts.target.version}; {candidate.version} is taken out",
    )


def roll_back_on_failed_analysis(facts: Facts, candidate: Candidate) -> Decision | None:
    """A proven fault ends the attempt at once."""
    analysis = facts.analysis
    if analysis is None or analysis.rollback is None:
        return None
    return RollBack(reason=_failed_metric(analysis.assessments), message=f"{candidate.version}: {analysis.rollback}")


def roll_back_when_progress_is_overdue(facts: Facts, candidate: Candidate) -> Decision | None:
    """A hold on readiness, errors or latency does not last for ever. Needs no metrics to be decided."""
    since = candidate.started_at
    if candidate.weight == 0 and candidate.step_started_at and is_last_step(facts, candidate.step):
        # It waited for outcomes, perhaps for weeks, when its pods were lost: they get the whole time to come back.
        since = candidate.step_started_at
    if facts.now < since + to_timedelta(facts.spec.rollout.progress_deadline) or _only_outcomes_are_missing(
        facts, candidate
    ):
        return None
    return RollBack(
        reason=Reason.PROGRESS_DEADLINE_EXCEEDED,
        message=f"{candidate.version} did not pass within {facts.spec.rollout.progress_deadline}: "
        + _what_is_missing(facts, candidate),
    )


def roll_back_when_outcomes_are_overdue(facts: Facts, candidate: Candidate) -> Decision | None:
    """Outcomes may take weeks, but not for ever; each metric has a deadline of its own."""
    said = () if facts.analysis is None else facts.analysis.assessments
    passed = {assessment.metric for assessment in said if assessment.verdict == Verdict.PASS}
    passed |= own_metrics.optional_names(facts.spec)
    for metric, gate in facts.spec.analysis.outcome_gates.items():
        if metric not in passed and facts.now >= candidate.started_at + to_timedelta(gate.deadline):
            missing = "; ".join(assessment.message for assessment in said if assessment.metric == metric)
            return RollBack(
                reason=OVERDUE[metric],
                message=f"{candidate.version} did not pass on {metric} within {gate.deadline}: "
                + (missing or _what_is_missing(facts, candidate)),
            )
    return None


def take_the_weight_of_a_candidate_without_pods(facts: Facts, candidate: Candidate) -> Decision | None:
    """Requests go only where somebody answers; the attempt goes on when the pods are back."""
    if candidate.weight == 0 or facts.seen(candidate.revision).serving:
        return None
    return Shift(
        step=candidate.step,
        weight=0,
        reason=Reason.CANDIDATE_UNAVAILABLE,
        message=f"no replica of {candidate.version} is available; stable takes its requests",
    )


def hold_while_something_is_wrong_under_way(facts: Facts, _candidate: Candidate) -> Decision | None:
    """A spec that cannot be served moves nothing forward."""
    return hold_while_something_is_wrong(facts)


def hold_while_the_model_is_unknown_under_way(facts: Facts, _candidate: Candidate) -> Decision | None:
    """The spec changed, and what it asks for is not known yet: the old candidate gets no further."""
    return hold_while_the_model_is_unknown(facts)


def hold_until_the_candidate_is_ready(facts: Facts, candidate: Candidate) -> Decision | None:
    """Weight moves only to a revision with all its replicas."""
    seen = facts.seen(candidate.revision)
    if candidate.weight > 0 or seen.ready:
        return None
    return Hold(reason=Reason.WAITING_FOR_REPLICAS, message=f"waiting for {candidate.version}: {seen.why}")


def promote_the_first_version(facts: Facts, candidate: Candidate) -> Decision | None:
    """Nothing serves yet, so nothing can be compared."""
    if facts.status.stable is not None:
        return None
    return Promote(reason=Reason.FIRST_VERSION, message=f"{candidate.version} is ready and serves all requests")


def give_a_ready_candidate_its_weight(facts: Facts, candidate: Candidate) -> Decision | None:
    """The first step begins, or goes on after the candidate's pods were lost."""
    if candidate.weight > 0:
        return None
    step = max(candidate.step, 1)
    weight = current_step(facts, step).weight
    reason = Reason.STEP_STARTED if candidate.step == 0 else Reason.WEIGHT_RESTORED
    return Shift(step=step, weight=weight, reason=reason, message=_started(facts, candidate, step, weight))


def hold_until_the_gateway_follows(facts: Facts, _candidate: Candidate) -> Decision | None:
    """What the gateway has not taken over cannot be measured."""
    if facts.route is not None and facts.route.programmed:
        return None
    why = facts.route.why if facts.route is not None else "the HTTPRoute does not exist yet"
    return Hold(
        reason=Reason.WAITING_FOR_GATEWAY,
        message="waiting for the gateway to take over the route" + (f": {why}" if why else ""),
    )


def hold_until_the_step_is_over(facts: Facts, candidate: Candidate) -> Decision | None:
    """The step's least time counts from its start."""
    step = current_step(facts, candidate.step)
    started = candidate.step_started_at or candidate.started_at
    end = started + to_timedelta(step.min_duration)
    if facts.now >= end:
        return None
    return Hold(
        reason=Reason.WAITING_FOR_DURATION,
        message=f"{candidate.version} takes {candidate.weight} % of the requests until {end:%H:%M:%S} UTC at least",
    )


def hold_until_the_metrics_pass(facts: Facts, candidate: Candidate) -> Decision | None:
    """Only Pass moves forward; anything else says what is missing."""
    missing = _not_passed(facts, candidate)
    if facts.analysis is not None and not missing:
        return None
    return Hold(reason=_reason_for(missing), message=_what_is_missing(facts, candidate))


def advance_or_promote(facts: Facts, candidate: Candidate) -> Decision:
    """The step passed."""
    if is_last_step(facts, candidate.step):
        return Promote(reason=Reason.ALL_PASSED, message=f"{candidate.version} passed every test and is stable now")
    step = candidate.step + 1
    weight = current_step(facts, step).weight
    return Shift(step=step, weight=weight, reason=Reason.STEP_STARTED, message=_started(facts, candidate, step, weight))


AT_REST: Final[tuple[AtRest, ...]] = (
    hold_while_something_is_wrong,
    hold_while_the_model_is_unknown,
    hold_once_the_target_serves,
    hold_once_the_target_was_rejected,
    begin_the_attempt,
)

UNDER_WAY: Final[tuple[UnderWay, ...]] = (
    withdraw_when_the_spec_moved_on,
    # Faults and deadlines outrank every hold: what holds an attempt must not keep a bad candidate in traffic.
    roll_back_on_failed_analysis,
    roll_back_when_progress_is_overdue,
    roll_back_when_outcomes_are_overdue,
    take_the_weight_of_a_candidate_without_pods,
    hold_while_something_is_wrong_under_way,
    hold_while_the_model_is_unknown_under_way,
    hold_until_the_candidate_is_ready,
    promote_the_first_version,
    give_a_ready_candidate_its_weight,
    hold_until_the_gateway_follows,
    hold_until_the_step_is_over,
    hold_until_the_metrics_pass,
    advance_or_promote,
)


# What the policies ask ----------------------------------------------------------------------------------------------


def current_step(facts: Facts, step: int) -> Step:
    """Return the step with this number, from 1; the last one where the spec has fewer by now."""
    steps = facts.spec.rollout.steps
    return steps[min(max(step, 1), len(steps)) - 1]


def is_last_step(facts: Facts, step: int) -> bool:
    """Return whether only a promotion can follow."""
    return step >= len(facts.spec.rollout.steps)


def _not_passed(facts: Facts, candidate: Candidate) -> tuple[Assessment, ...]:
    """Return what does not pass; decisions count at the last step only, since outcomes come late."""
    if facts.analysis is None:
        return ()
    optional = own_metrics.optional_names(facts.spec)
    return tuple(
        assessment
        for assessment in facts.analysis.assessments
        if assessment.verdict != Verdict.PASS
        and assessment.metric not in optional
        and (assessment.metric not in OUTCOME_METRICS or is_last_step(facts, candidate.step))
    )


def _only_outcomes_are_missing(facts: Facts, candidate: Candidate) -> bool:
    """Return whether the candidate passed everything that the progress deadline is for."""
    if facts.analysis is None or candidate.weight == 0 or not is_last_step(facts, candidate.step):
        return False
    return all(assessment.metric in OUTCOME_METRICS for assessment in _not_passed(facts, candidate))


def _what_is_missing(facts: Facts, candidate: Candidate) -> str:
    if candidate.weight == 0:
        seen = facts.seen(candidate.revision)
        return seen.why or "it was not given weight"
    if facts.analysis is None:
        return "nothing was measured yet"
    missing = _not_passed(facts, candidate)
    return "; ".join(assessment.message for assessment in missing) or "the step is not over"


def _reason_for(missing: tuple[Assessment, ...]) -> Reason:
    verdicts = {assessment.verdict for assessment in missing}
    if Verdict.ERROR in verdicts:
        return Reason.ANALYSIS_ERROR
    if missing and all(assessment.metric in OUTCOME_METRICS for assessment in missing):
        return Reason.WAITING_FOR_ACCURACY
    if not missing or Verdict.NO_DATA in verdicts:
        return Reason.NO_DATA
    return Reason.INCONCLUSIVE


def _failed_metric(assessments: tuple[Assessment, ...]) -> Reason:
    failed = {assessment.metric for assessment in assessments if assessment.verdict == Verdict.FAIL}
    for metric, reason in FAILED.items():
        if metric in failed:
            return reason
    return Reason.METRIC_FAILED if failed else Reason.ANALYSIS_FAILED


def _started(facts: Facts, candidate: Candidate, step: int, weight: int) -> str:
    return f"{candidate.version} takes {weight} % of the requests, step {step} of {len(facts.spec.rollout.steps)}"
