"""From raw counters to a verdict per metric: `absorb` takes one look in, `assess` says what is known so far.

The rule (docs of `claims_sequential` name the papers): the candidate is rolled back when the mean of all e-values
against it, weighted as `terms` says, reaches 1 / (1 - confidence), and promoted when every metric's e-value for "not
worse than stable by the margin" and for "below the absolute limit" does. Both hold however often one looks, and the
strata of the comparison are the epochs in which requests were served.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from claims_operator.core import counting, queries
from claims_operator.core.comparison import SHORTEST_BATCH_SECONDS
from claims_operator.core.counters import Source
from claims_operator.core.evidence import Evidence, MetricEvidence
from claims_operator.core.limits import AccuracyLimits, ErrorLimits, Gate, LatencyLimits, Limits, Window
from claims_operator.core.questions import ACCURACY, LATENCY
from claims_operator.core.snapshot import Snapshot
from claims_operator.core.split import Split
from claims_operator.core.terms import Claim, log_sum
from claims_sequential import Pair

__all__ = [
    "AccuracyLimits",
    "Analysis",
    "Assessment",
    "ErrorLimits",
    "Evidence",
    "Gate",
    "LatencyLimits",
    "Limits",
    "Snapshot",
    "Verdict",
    "Window",
    "absorb",
    "assess",
]

STALE_AFTER_SECONDS = 60.0
"""A metric whose newest scrape is older than this and one interval holds the rollout."""

BAD_EVENTS = {"errors": "failed requests", "latency": "slow requests", "accuracy": "wrong decisions"}
OBSERVATIONS = {"errors": "requests", "latency": "requests", "accuracy": "outcomes"}


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


# Taking a look in ---------------------------------------------------------------------------------------------------


def absorb(evidence: Evidence, snapshot: Snapshot, window: Window, limits: Limits, now: datetime) -> Evidence:
    """Return the evidence after one look at ``now``. The same look twice counts once; a failed one changes no test."""
    if evidence.attempt != window.attempt:
        evidence = replace(Evidence.empty(limits), attempt=window.attempt)
    evidence = evidence.asked(limits)
    if snapshot.error is not None:
        return replace(evidence, error=snapshot.error)
    evidence = _absorb_gateway(replace(evidence, error=None, looked_at=now.timestamp()), snapshot, window, limits)
    return _absorb_outcomes(evidence, snapshot, window)


def _absorb_gateway(evidence: Evidence, snapshot: Snapshot, window: Window, limits: Limits) -> Evidence:
    readings = counting.readings_of(snapshot, window)
    gateway, deltas = evidence.gateway.advance(window.route_key, readings, not_before=window.not_before.timestamp())
    sums = counting.sums_of(readings)
    newest = max((counter.at for _, _, counter in readings), default=None)
    threshold = 0 if limits.latency is None else limits.latency.threshold_milliseconds
    troubles = {
        "errors": counting.trouble_with_errors(sums),
        "latency": counting.trouble_with_latency(snapshot.latency_edges, threshold),
    }

    def absorbed(metric: MetricEvidence) -> MetricEvidence:
        name = metric.question.metric
        if name == ACCURACY:
            return metric
        seconds = SHORTEST_BATCH_SECONDS if newest is None or metric.last_at is None else newest - metric.last_at
        metric = replace(metric, trouble=troubles[name], last_at=metric.last_at if newest is None else newest)
        if metric.trouble is not None:
            return metric
        batch = Pair(
            stable=counting.requests(name, deltas, window.stable_slot, threshold),
            candidate=counting.requests(name, deltas, window.candidate_slot, threshold),
        )
        lower = None
        if name == LATENCY and metric.lower is not None and counting.has_edge(sums, metric.lower.edge_milliseconds):
            edge = metric.lower.edge_milliseconds
            lower = Pair(
                stable=counting.slower(deltas, window.stable_slot, edge),
                candidate=counting.slower(deltas, window.candidate_slot, edge),
            )
        past = counting.requests(name, sums, window.stable_slot, threshold)
        metric = metric.seeded(past).after(batch, window.epoch, seconds=max(seconds, 0.0), lower=lower)
        if name == LATENCY and metric.lower is None:
            found = counting.lower_edge(sums, snapshot.latency_edges, threshold, window.stable_slot)
            return metric if found is None else metric.with_lower_edge(*found)
        return metric

    split = _split(evidence, window, deltas)
    return replace(evidence, metrics=tuple(map(absorbed, evidence.metrics)), gateway=gateway, split=split)


def _split(evidence: Evidence, window: Window, deltas: Mapping[Source, float]) -> Split | None:
    """Return the split after one look; a new epoch has weights of its own."""
    if window.candidate_share is None or window.stable_slot is None:
        return None
    split = evidence.split
    if split is None or split.epoch != window.epoch:
        split = Split.of(window.epoch, window.candidate_share)
    return split.after(counting.answered(deltas, window.stable_slot), counting.answered(deltas, window.candidate_slot))


def _absorb_outcomes(evidence: Evidence, snapshot: Snapshot, window: Window) -> Evidence:
    totals = snapshot.outcomes.get((window.namespace, window.name), ())
    batches, seen = counting.new_outcomes(totals, evidence.outcomes, window)
    newest = max((total.at for total in totals), default=None)

    def absorbed(metric: MetricEvidence) -> MetricEvidence:
        if metric.question.metric != ACCURACY:
            return metric
        metric = replace(metric, last_at=metric.last_at if newest is None else newest)
        metric = metric.seeded(counting.outcomes_before(totals, window))
        for epoch, batch in batches.items():
            metric = metric.after(batch, epoch)
        return metric

    return replace(evidence, metrics=tuple(map(absorbed, evidence.metrics)), outcomes=seen)


# Saying what is known -----------------------------------------------------------------------------------------------


def assess(evidence: Evidence, limits: Limits, gate: Gate, window: Window, now: datetime) -> Analysis:
    """Return what the evidence says about a gate, at ``now``."""
    log_needed = -math.log(1.0 - limits.confidence)
    evidence = evidence.asked(limits)
    if evidence.attempt != window.attempt:
        evidence = Evidence.empty(limits)
    terms = evidence.rollback_terms
    cause = max(terms, key=lambda term: term.log_weighted) if log_sum(terms) >= log_needed else None
    assessments, rollback = [], None
    for metric in evidence.metrics:
        if window.stable_slot is None and metric.below_limit is None:
            continue  # Nothing to compare with and no limit: nothing is asked.
        name = metric.question.metric
        if cause is not None and name == cause.metric:
            rollback = _rollback_message(metric, cause.claim)
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
    passed = bool(assessments) and all(assessment.verdict == Verdict.PASS for assessment in assessments)
    return Analysis(assessments=tuple(assessments), rollback=rollback, passed=passed)


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
    log_needed = -math.log(1.0 - limits.confidence)
    unproven = _unproven(metric, gate, has_stable=window.stable_slot is not None, log_needed=log_needed)
    seen = _seen(metric)
    if unproven:
        return Verdict.INCONCLUSIVE, f"{seen}; not shown yet: {' and '.join(unproven)}"
    return Verdict.PASS, seen


def _last_look(evidence: Evidence, now: datetime) -> str:
    return "" if evidence.looked_at is None else f"; the last numbers are of {_time(evidence.looked_at, now)}"


def _time(at: float, now: datetime) -> str:
    return datetime.fromtimestamp(at, tz=now.tzinfo).isoformat(timespec="seconds")


def _missing_data(metric: MetricEvidence, limits: Limits, gate: Gate, window: Window, now: datetime) -> str | None:
    name = metric.question.metric
    source = "outcomes" if name == ACCURACY else "requests"
    where = "the feedback service" if name == ACCURACY else "the gateway"
    if metric.last_at is None:
        return f"Prometheus has no {source} from {where} yet"
    if now.timestamp() - metric.last_at > STALE_AFTER_SECONDS + limits.interval_seconds:
        return f"Prometheus has had no numbers from {where} since {_time(metric.last_at, now)}"
    if not metric.total.candidate.total:
        return f"no {source} of the candidate were counted yet"
    if window.stable_slot is not None and not metric.total.stable.total:
        return f"no {source} of the stable version were counted since the rollout began"
    requests = metric.requests_in(window.epoch)
    if name != ACCURACY and requests < gate.min_requests:
        return f"{requests:.0f} of the {gate.min_requests} requests that the step asks for were counted"
    return None


def _unproven(metric: MetricEvidence, gate: Gate, *, has_stable: bool, log_needed: float) -> list[str]:
    """Return the claims that the gate asks for and that are not shown, each with how far its evidence is."""
    bad, question = BAD_EVENTS[metric.question.metric], metric.question
    unproven = []
    if has_stable:
        margin = gate.tested_factor * question.margin
        log_e_value = metric.promotion_at(gate.tested_factor).log_e_value
        if log_e_value < log_needed:
            claim = f"{bad} at most {_points(margin)} above stable's"
            unproven.append(f"{claim} ({_strength(log_e_value, log_needed)})")
    if metric.below_limit is not None and (gate.final or not has_stable):
        log_e_value = metric.below_limit.log_e_value
        if log_e_value < log_needed:
            unproven.append(f"{bad} below {_percent(question.limit)} ({_strength(log_e_value, log_needed)})")
    return unproven


def _rollback_message(metric: MetricEvidence, claim: Claim) -> str:
    name, bad = metric.question.metric, BAD_EVENTS[metric.question.metric]
    match claim:
        case Claim.WORSE | Claim.GROSSLY_WORSE:
            found = f"more {bad} than stable"
        case Claim.ABOVE_LIMIT | Claim.GROSSLY_ABOVE_LIMIT:
            found = f"more {bad} than the limit of {_percent(metric.question.limit)}"
        case Claim.SLOWER:
            edge = 0.0 if metric.lower is None else metric.lower.edge_milliseconds
            found = f"more requests above {edge:g} ms than stable"
    return f"{name}: {found}, beyond chance: {_seen(metric)}"


def _seen(metric: MetricEvidence) -> str:
    bad, of = BAD_EVENTS[metric.question.metric], OBSERVATIONS[metric.question.metric]
    stable, candidate = metric.total.stable, metric.total.candidate
    said = f"{bad} {_percent(candidate.rate)} of {candidate.total:.0f} {of}"
    return said + (f", stable {_percent(stable.rate)} of {stable.total:.0f}" if stable.total else "")


def _strength(log_e_value: float, log_needed: float) -> str:
    """Return how far a test is, on the scale on which it crosses: e-values, 1 at the start."""
    e_value = math.exp(log_e_value)
    return f"evidence {'below 0.01' if e_value < 0.01 else format(e_value, '.2g')} of {math.exp(log_needed):.3g}"


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.3g} %"


def _points(difference: float) -> str:
    return f"{100 * difference:.3g} points"
