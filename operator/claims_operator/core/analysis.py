"""From raw counters to a verdict per metric: `absorb` takes one look in, `assess` says what is known so far.

The rule (docs of `claims_sequential` name the papers): the candidate is rolled back when the mean of all e-values
against it, weighted as `terms` says, reaches 1 / (1 - confidence), and promoted when every metric's e-value for "not
worse than stable by the margin" and for "below the absolute limit" does (tempered, where events come in bursts). Both
hold however often one looks, and the strata of the comparison are the epochs in which requests were served.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from claims_operator.api.outcomes import OUTCOME_METRICS, Labels
from claims_operator.core import queries, sentences, shown
from claims_operator.core.absorbing import absorb
from claims_operator.core.evidence import Evidence, MetricEvidence
from claims_operator.core.limits import (
    AccuracyLimits,
    ErrorLimits,
    Gate,
    LatencyLimits,
    Limits,
    OutcomeLimits,
    PrecisionLimits,
    RecallLimits,
    Window,
)
from claims_operator.core.proof import wanted
from claims_operator.core.snapshot import Snapshot
from claims_operator.core.terms import log_sum

__all__ = [
    "AccuracyLimits",
    "Analysis",
    "Assessment",
    "ErrorLimits",
    "Evidence",
    "Gate",
    "LatencyLimits",
    "Limits",
    "OutcomeLimits",
    "PrecisionLimits",
    "RecallLimits",
    "Snapshot",
    "Verdict",
    "Window",
    "absorb",
    "assess",
]

STALE_AFTER_SECONDS = 60.0
"""A metric whose newest scrape is older than this and one interval holds the rollout."""


class Verdict(StrEnum):
    """What a metric says about a gate. Only Pass moves a rollout forward, only Fail back."""

    PASS = "Pass"  # noqa: S105 - a verdict, not a password
    FAIL = "Fail"
    INCONCLUSIVE = "Inconclusive"
    NO_DATA = "NoData"
    ERROR = "Error"


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """One metric against the gate that was asked for."""

    metric: str
    verdict: Verdict
    estimate: float | None
    """Candidate's rate of bad events minus stable's; None before there are enough of both."""
    interval: tuple[float, float] | None
    """Confidence sequence for that difference, at the limits' confidence; asymptotic, for people to look at."""
    stable_samples: int
    candidate_samples: int
    query: str
    """PromQL that shows the counters behind it."""
    message: str
    """What is seen and what is missing."""


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """All metrics against the gate."""

    assessments: tuple[Assessment, ...]
    rollback: str | None
    """Why the candidate has to go, as a sentence that names the metric; None where nothing says so."""
    passed: bool
    """Whether every metric passes, and there is one."""


def assess(evidence: Evidence, limits: Limits, gate: Gate, window: Window, now: datetime) -> Analysis:
    """Return what the evidence says about a gate, at ``now``."""
    evidence = evidence.asked(limits)
    if evidence.attempt != window.attempt:
        evidence = Evidence.empty(limits)
    terms = evidence.rollback_terms
    cause = max(terms, key=lambda term: term.log_weighted) if log_sum(terms) >= limits.log_needed else None
    assessments, rollback = [], None
    for metric in evidence.metrics:
        if window.stable_slot is None and metric.below_limit is None:
            continue  # Nothing to compare with and no limit: nothing is asked.
        name = metric.question.metric
        if cause is not None and name == cause.metric:
            rollback = sentences.rollback(metric, cause.claim, confidence=limits.confidence)
            verdict, message = Verdict.FAIL, rollback
        else:
            verdict, message = _judge(evidence, metric, limits, gate, window, now)
        assessments.append(
            Assessment(
                metric=name,
                verdict=verdict,
                estimate=metric.comparison.difference.estimate,
                interval=metric.comparison.difference.interval(
                    confidence=limits.confidence, margin=metric.question.margin
                ),
                stable_samples=round(metric.total.stable.total),
                candidate_samples=round(metric.total.candidate.total),
                query=queries.shown(name, window, limits),
                message=message,
            )
        )
    assessments = _with_what_is_shown(assessments, evidence, limits, window)
    passed = bool(assessments) and all(assessment.verdict == Verdict.PASS for assessment in assessments)
    return Analysis(
        assessments=(*assessments, *_unidentified(limits, window)),
        rollback=rollback,
        passed=passed,
    )


def _judge(
    evidence: Evidence, metric: MetricEvidence, limits: Limits, gate: Gate, window: Window, now: datetime
) -> tuple[Verdict, str]:
    if evidence.error is not None:
        return Verdict.ERROR, evidence.error + _last_look(evidence, now)
    if metric.trouble is not None:
        return Verdict.ERROR if metric.trouble.is_error else Verdict.NO_DATA, metric.trouble.message
    missing = _missing_data(metric, limits, gate, window, now)
    if missing is not None:
        return Verdict.NO_DATA, missing
    if evidence.split is not None and evidence.split.epoch == window.epoch and evidence.split.mismatch is not None:
        return Verdict.INCONCLUSIVE, evidence.split.mismatch
    claims = wanted(metric, gate, has_stable=window.stable_slot is not None)
    missing_claims = [claim for claim in claims if claim.log_e_value < limits.log_needed]
    seen = sentences.seen(metric, confidence=limits.confidence)
    if missing_claims:
        said = " and ".join(sentences.not_shown(metric, claim, limits.log_needed) for claim in missing_claims)
        return Verdict.INCONCLUSIVE, f"{seen}; not shown yet: {said}"
    return Verdict.PASS, seen


def _with_what_is_shown(
    assessments: list[Assessment], evidence: Evidence, limits: Limits, window: Window
) -> list[Assessment]:
    """Return them with what is only shown, in the words of the first that is of outcomes."""
    said = [shown.f1(evidence.outcomes, window, is_of_sample=limits.labels.is_sample)]
    if limits.labels is Labels.COMPLETE:
        said.append(shown.selection(evidence.outcomes))
    first = next((one for one in assessments if one.metric in OUTCOME_METRICS and one.candidate_samples), None)
    if first is None:
        return assessments
    message = "; ".join([first.message, *(words for words in said if words is not None)])
    return [replace(one, message=message) if one is first else one for one in assessments]


def _unidentified(limits: Limits, window: Window) -> list[Assessment]:
    """Return what is asked of outcomes and cannot be known from them."""
    if limits.labels is not Labels.SELECTIVE:
        return []
    return [
        Assessment(
            metric=asked.metric,
            verdict=Verdict.NO_DATA,
            estimate=None,
            interval=None,
            stable_samples=0,
            candidate_samples=0,
            query=queries.shown(asked.metric, window, limits),
            message=f"{asked.metric} {sentences.UNIDENTIFIED}",
        )
        for asked in limits.outcomes
    ]


def _last_look(evidence: Evidence, now: datetime) -> str:
    return "" if evidence.looked_at is None else f"; the last numbers are of {_time(evidence.looked_at, now)}"


def _time(at: float, now: datetime) -> str:
    return datetime.fromtimestamp(at, tz=now.tzinfo).isoformat(timespec="seconds")


def _missing_data(metric: MetricEvidence, limits: Limits, gate: Gate, window: Window, now: datetime) -> str | None:
    is_of_outcomes = metric.question.is_of_outcomes
    source = sentences.OBSERVATIONS[metric.question.metric]
    where = "the feedback service" if is_of_outcomes else "the gateway"
    if metric.last_at is None:
        return f"Prometheus has no {source} from {where} yet"
    if now.timestamp() - metric.last_at > STALE_AFTER_SECONDS + limits.interval_seconds:
        return f"Prometheus has had no numbers from {where} since {_time(metric.last_at, now)}"
    if not metric.total.candidate.total:
        return f"no {source} of the candidate were counted yet"
    if window.stable_slot is not None and not metric.total.stable.total:
        return f"no {source} of the stable version were counted since the rollout began"
    requests = metric.requests_in(window.epoch)
    if not is_of_outcomes and requests < gate.min_requests:
        return sentences.requests_left(metric, requests, gate.min_requests)
    least = next((asked.min_labels for asked in limits.outcomes if asked.metric == metric.question.metric), 0)
    if metric.total.candidate.total < least:
        return f"{sentences.seen(metric, confidence=limits.confidence)}; {sentences.labels_left(metric, least)}"
    return None
