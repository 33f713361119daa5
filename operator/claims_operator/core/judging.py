"""How a spec and a status say what is judged: limits, gate and window of the sequential tests."""

import datetime as dt
from dataclasses import replace
from typing import Final, TypeVar

from claims_operator.api.names import ObjectKey
from claims_operator.api.outcomes import Accuracy, Precision, Recall
from claims_operator.api.quantities import to_timedelta
from claims_operator.api.status import ClaimsModelStatus, ClaimsRolloutStatus, MetricStatus
from claims_operator.api.v1alpha1 import ClaimsModelSpec
from claims_operator.core.analysis import Analysis, Assessment
from claims_operator.core.evidence import Evidence
from claims_operator.core.limits import (
    MARGIN_FACTORS,
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
from claims_operator.core.record import in_route

Asked = TypeVar("Asked", bound=OutcomeLimits)

STEP_FACTORS: Final = tuple(sorted(MARGIN_FACTORS))
"""Margin of the last step's gate, the one before it, and so on, as multiples of the margin that is set; the last number
goes for all steps before. A small weight gives little evidence, and risks little."""


def limits(spec: ClaimsModelSpec) -> Limits:
    """Return what is tested."""
    analysis = spec.analysis
    return Limits(
        confidence=float(analysis.confidence),
        interval_seconds=to_timedelta(analysis.interval).total_seconds(),
        errors=ErrorLimits(max_ratio=float(analysis.errors.max_ratio), margin=float(analysis.errors.margin)),
        latency=LatencyLimits(
            threshold_milliseconds=analysis.latency.threshold_milliseconds,
            min_fraction_under=float(analysis.latency.min_fraction_under),
            margin=float(analysis.latency.margin),
        ),
        accuracy=_accuracy_limits(analysis.accuracy),
        precision=_outcome_limits(PrecisionLimits, analysis.precision),
        recall=_outcome_limits(RecallLimits, analysis.recall),
        labels=spec.feedback.labels,
    )


def _accuracy_limits(gate: Accuracy | None) -> AccuracyLimits | None:
    asked = _outcome_limits(AccuracyLimits, gate)
    if asked is None or gate is None or gate.tolerance is None:
        return asked
    return replace(asked, tolerance=float(gate.tolerance))


def _outcome_limits(kind: type[Asked], gate: Accuracy | Precision | Recall | None) -> Asked | None:
    if gate is None:
        return None
    least = None if gate.min is None else float(gate.min)
    return kind(margin=float(gate.margin), min=least, min_labels=gate.min_labels)


def gate(spec: ClaimsModelSpec, step: int) -> Gate:
    """Return what the metrics must show for leaving a step, numbered from 1."""
    steps = spec.rollout.steps
    left = max(len(steps) - step, 0)
    return Gate(
        final=left == 0,
        margin_factor=STEP_FACTORS[min(left, len(STEP_FACTORS) - 1)],
        min_requests=steps[len(steps) - 1 - left].min_requests,
    )


def window(key: ObjectKey, status: ClaimsModelStatus, settle: dt.timedelta) -> Window | None:
    """Return who is compared with whom; None while no candidate takes requests."""
    candidate, stable = status.candidate, status.stable
    if candidate is None or candidate.slot is None or candidate.weight == 0 or status.traffic.changed_at is None:
        return None
    return Window(
        namespace=key.namespace,
        name=key.name,
        attempt=candidate.attempt,
        epoch=status.traffic.epoch,
        stable_slot=None if stable is None else stable.slot,
        candidate_slot=candidate.slot,
        stable_revision=None if stable is None else stable.revision,
        candidate_revision=candidate.revision,
        candidate_share=candidate.weight / 100 if stable is not None and candidate.weight < 100 else None,
        route_key=",".join(revision.revision for revision in in_route(status).values()),
        not_before=status.traffic.changed_at + settle,
    )


def recall(rollout: ClaimsRolloutStatus, tested: Limits) -> Evidence:
    """Return the evidence that is recorded; a limit that is another by now starts its test again."""
    if rollout.evidence is None:
        return Evidence.empty(tested)
    return Evidence.from_json(rollout.evidence).asked(tested)


def next_look(spec: ClaimsModelSpec, rollout: ClaimsRolloutStatus, now: dt.datetime) -> dt.datetime:
    """Return when the metrics are looked at next."""
    if rollout.judged_at is None:
        return now
    return rollout.judged_at + to_timedelta(spec.analysis.interval)


def metric_statuses(analysis: Analysis, at: dt.datetime) -> tuple[MetricStatus, ...]:
    """Return an analysis as the status shows it."""
    return tuple(_metric_status(assessment, at) for assessment in analysis.assessments)


def _metric_status(assessment: Assessment, at: dt.datetime) -> MetricStatus:
    interval = assessment.interval
    return MetricStatus(
        metric=assessment.metric,
        verdict=assessment.verdict.value,
        estimate=None if assessment.estimate is None else f"{assessment.estimate:.4f}",
        interval=None if interval is None else tuple(f"{bound:.4f}" for bound in interval),
        stable_samples=assessment.stable_samples,
        candidate_samples=assessment.candidate_samples,
        query=assessment.query,
        message=assessment.message,
        at=at,
    )
