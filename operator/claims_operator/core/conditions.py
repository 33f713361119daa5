"""Facts, decision and recorded status → what people and tools read: conditions, state, reason, message."""

from typing import Final, Literal

from claims_operator.api import names
from claims_operator.api.reasons import Reason
from claims_operator.api.status import ClaimsModelStatus, Condition, MetricStatus, State
from claims_operator.core import judging, own_metrics
from claims_operator.core.analysis import Verdict
from claims_operator.core.decision import Decision, Hold
from claims_operator.core.facts import Facts

READY: Final = "Ready"
RECONCILING: Final = "Reconciling"
STALLED: Final = "Stalled"
ANALYSED: Final = "Analysed"

_BLOCKING: Final = frozenset(
    {Reason.INVALID_SPEC, Reason.NAME_TAKEN, Reason.MODEL_NOT_FOUND, Reason.MODEL_UNUSABLE, Reason.ROLLED_BACK}
)
"""Reasons that only a change of the spec, or of what is around it, can end."""

MESSAGE_LIMIT: Final = 4000

Status = Literal["True", "False", "Unknown"]


def summarize(facts: Facts, decision: Decision, status: ClaimsModelStatus) -> ClaimsModelStatus:
    """Return the status with everything that people and tools read filled in."""
    ready, ready_reason, ready_message = _ready(facts, status)
    progressing = status.candidate is not None or not isinstance(decision, Hold)
    progressing = progressing or decision.reason == Reason.REGISTRY_UNAVAILABLE
    stalled = isinstance(decision, Hold) and decision.reason in _BLOCKING
    waiting = decision if progressing or stalled else Hold(reason=ready_reason, message=ready_message)
    analysed, analysed_reason, analysed_message = _analysed(facts, status)
    conditions = (
        _condition(facts, READY, ready, ready_reason, ready_message),
        _condition(
            facts, RECONCILING, "True" if progressing and not stalled else "False", decision.reason, decision.message
        ),
        _condition(facts, STALLED, "True" if stalled else "False", decision.reason, decision.message),
        _condition(facts, ANALYSED, analysed, analysed_reason, analysed_message),
    )
    return status.model_copy(
        update={
            "observed_generation": facts.generation,
            "state": _state(decision, ready=ready == "True", progressing=progressing, stalled=stalled),
            "reason": waiting.reason,
            "message": waiting.message[:MESSAGE_LIMIT],
            "url": f"http://{hostname(facts)}" if status.stable is not None else None,
            "analysis": _metrics(facts, status),
            "conditions": conditions,
        }
    )


def hostname(facts: Facts) -> str:
    """Return the host that clients name."""
    return facts.spec.serving.route.hostname or names.default_hostname(facts.key, facts.platform.route_domain)


def _ready(facts: Facts, status: ClaimsModelStatus) -> tuple[Status, Reason, str]:
    stable = status.stable
    if stable is None:
        return "False", Reason.NOT_SERVING, "no version has been ready yet"
    seen = facts.seen(stable.revision)
    if not seen.serving:
        return "False", Reason.NOT_SERVING, f"{stable.version} does not serve: {seen.why}"
    if facts.route is None or not facts.route.accepted:
        why = facts.route.why if facts.route is not None and facts.route.why else "it has not reported yet"
        return "False", Reason.WAITING_FOR_GATEWAY, f"the gateway does not take requests for the route: {why}"
    if facts.route.why:
        return "False", Reason.WAITING_FOR_GATEWAY, f"the gateway cannot serve the route: {facts.route.why}"
    others = "most" if status.candidate is not None and status.candidate.weight else "all"
    return "True", Reason.SERVING, f"{stable.version} serves {others} requests"


def _analysed(facts: Facts, status: ClaimsModelStatus) -> tuple[Status, Reason, str]:
    if status.candidate is None or facts.analysis is None:
        return "Unknown", Reason.NO_ROLLOUT, "no candidate takes requests"
    optional = own_metrics.optional_names(facts.spec)
    verdicts = {
        assessment.verdict.value
        for assessment in facts.analysis.assessments
        if assessment.metric not in optional or assessment.verdict == Verdict.FAIL
    }
    message = "; ".join(assessment.message for assessment in facts.analysis.assessments)
    for verdict, reason in (
        ("Fail", Reason.ANALYSIS_FAILED),
        ("Error", Reason.ANALYSIS_ERROR),
        ("NoData", Reason.NO_DATA),
        ("Inconclusive", Reason.INCONCLUSIVE),
    ):
        if verdict in verdicts:
            return "False", reason, message
    return "True", Reason.ALL_PASSED, message


def _metrics(facts: Facts, status: ClaimsModelStatus) -> tuple[MetricStatus, ...]:
    """Keep the last analysis after the attempt: it is why the attempt ended as it did."""
    if facts.analysis is None or facts.rollout is None or facts.rollout.judged_at is None:
        return status.analysis
    return judging.metric_statuses(facts.analysis, facts.rollout.judged_at)


def _state(decision: Decision, *, ready: bool, progressing: bool, stalled: bool) -> State:
    if stalled:
        return State.ROLLED_BACK if decision.reason == Reason.ROLLED_BACK else State.BLOCKED
    if progressing:
        return State.PROGRESSING
    return State.SERVING if ready else State.PENDING


def _condition(facts: Facts, type_: str, status: Status, reason: Reason, message: str) -> Condition:
    before = next((condition for condition in facts.status.conditions if condition.type == type_), None)
    since = before.last_transition_time if before is not None and before.status == status else facts.now
    return Condition(
        type=type_,
        status=status,
        reason=reason,
        message=message[:MESSAGE_LIMIT],
        last_transition_time=since,
        observed_generation=facts.generation,
    )
