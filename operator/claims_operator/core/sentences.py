"""What is seen of a metric, what is missing and how long that takes, in words."""

import math
from typing import Final

from claims_operator.core.metric import MetricEvidence
from claims_operator.core.proof import Wanted, seconds_to_show
from claims_operator.core.questions import Question
from claims_operator.core.terms import Claim
from claims_sequential import Pair

BAD_EVENTS: Final = {
    "errors": "failed requests",
    "latency": "slow requests",
    "accuracy": "wrong decisions",
    "precision": "wrong referrals",
    "recall": "missed positives",
}
OBSERVATIONS: Final = {
    "errors": "requests",
    "latency": "requests",
    "accuracy": "outcomes",
    "precision": "outcomes of referred claims",
    "recall": "positive outcomes",
}

UNIDENTIFIED: Final = (
    "is not identifiable and gates nothing: by spec.feedback.labels (Selective) it depends on the decision which claims"
    " get an outcome, so two equal versions would seem to differ; have a random sample of claims labelled whatever was"
    " decided and post it with audit: true (labels: Audited), or post the chance of each label as propensity (labels:"
    " Propensity)"
)

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
LONGEST_SECONDS: Final = 365 * DAY


def bad_events(question: Question) -> str:
    """Return what is counted against a version."""
    if question.tolerance is not None:
        return f"predictions off by more than {percent(question.tolerance)}"
    return BAD_EVENTS[question.metric]


def seen(metric: MetricEvidence, *, confidence: float) -> str:
    """Return the rates of both versions and, where there is one, the interval of their difference."""
    name, total = metric.question.metric, metric.total
    difference = metric.comparison.difference
    interval = difference.interval(confidence=confidence, margin=metric.question.margin)
    found = _rates(bad_events(metric.question), OBSERVATIONS[name], total)
    if interval is None or difference.estimate is None:
        return found
    low, high = (_points(bound) for bound in interval)
    return f"{found}; difference {_points(difference.estimate)} points, between {low} and {high}"


def not_shown(metric: MetricEvidence, claim: Wanted, log_needed: float) -> str:
    """Return a claim, how far its evidence is, and how long the rest takes."""
    bad = bad_events(metric.question)
    if claim.difference is None:
        claimed = f"{bad} below {percent(metric.question.limit)}"
    else:
        claimed = f"{bad} at most {100 * claim.difference:.3g} points above stable's"
    seconds = seconds_to_show(metric, claim, log_needed)
    return f"{claimed} ({_strength(claim.log_e_value, log_needed)}{_time_left(seconds)})"


def requests_left(metric: MetricEvidence, counted: float, asked: int) -> str:
    """Return how many requests a step still asks for, and how long they take."""
    pace = metric.pace.candidate_per_second
    seconds = (asked - counted) / pace if pace else None
    return f"{counted:.0f} of the {asked} requests that the step asks for were counted{_time_left(seconds)}"


def labels_left(metric: MetricEvidence, asked: int) -> str:
    """Return how many outcomes a gate still asks for, and how long they take."""
    counted, pace = metric.total.candidate.total, metric.pace.candidate_per_second
    seconds = (asked - counted) / pace if pace else None
    of = OBSERVATIONS[metric.question.metric]
    return f"{counted:.0f} of the {asked} {of} that minLabels asks for were counted{_time_left(seconds)}"


def rollback(metric: MetricEvidence, claim: Claim, *, confidence: float) -> str:
    """Return why a candidate has to go."""
    name, bad = metric.question.metric, bad_events(metric.question)
    said = seen(metric, confidence=confidence)
    match claim:
        case Claim.WORSE | Claim.GROSSLY_WORSE:
            found = f"more {bad} than stable"
        case Claim.ABOVE_LIMIT | Claim.GROSSLY_ABOVE_LIMIT:
            found = f"more {bad} than the limit of {percent(metric.question.limit)}"
        case Claim.SLOWER:
            if metric.lower is None:
                raise AssertionError("only a test at a lower edge finds this")
            slower = f"requests above {metric.lower.edge_milliseconds:g} ms"
            found, said = f"more {slower} than stable", _rates(slower, "requests", metric.lower.total)
    return f"{name}: {found}, beyond chance: {said}"


def percent(share: float | None) -> str:
    """Return a share as percent."""
    return "none" if share is None else f"{100 * share:.3g} %"


def duration(seconds: float) -> str:
    """Return a time as people say it: to one unit, and no more precisely than it is known."""
    if seconds < MINUTE:
        return "1 min"
    if seconds < 100 * MINUTE:
        minutes = seconds / MINUTE
        return f"{5 * round(minutes / 5) if minutes > 20 else round(minutes):d} min"
    if seconds < 2 * DAY:
        return f"{round(seconds / HOUR):d} h"
    return f"{round(seconds / DAY):d} days"


def _rates(bad: str, of: str, total: Pair) -> str:
    stable, candidate = total.stable, total.candidate
    said = f"{bad} {percent(candidate.rate)} of {candidate.total:.0f} {of}"
    return said + (f", stable {percent(stable.rate)} of {stable.total:.0f}" if stable.total else "")


def _points(difference: float) -> str:
    return f"{float(f'{100 * difference:.2g}'):+g}"


def _strength(log_e_value: float, log_needed: float) -> str:
    """Return how far a test is, on the scale on which it crosses: e-values, 1 at the start."""
    e_value = math.exp(log_e_value)
    return f"evidence {'below 0.01' if e_value < 0.01 else format(e_value, '.2g')} of {math.exp(log_needed):.3g}"


def _time_left(seconds: float | None) -> str:
    if seconds is None:
        return "; how long that takes cannot be said yet"
    if seconds > LONGEST_SECONDS:
        return "; not to be expected at the rates seen so far"
    return f", about {duration(seconds)} more at the present rate"
