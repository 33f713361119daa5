"""From raw counters to evidence: one look at a time."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from claims_operator.core import counting
from claims_operator.core.comparison import SHORTEST_BATCH_SECONDS
from claims_operator.core.counters import Source
from claims_operator.core.evidence import Evidence, MetricEvidence
from claims_operator.core.limits import Limits, Window
from claims_operator.core.questions import ERRORS, LATENCY
from claims_operator.core.snapshot import Snapshot
from claims_operator.core.split import Split
from claims_sequential import Counts, Pair


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
        ERRORS: counting.trouble_with_errors(sums),
        LATENCY: counting.trouble_with_latency(snapshot.latency_edges, threshold),
    }

    def absorbed(metric: MetricEvidence) -> MetricEvidence:
        name = metric.question.metric
        if metric.question.is_of_outcomes:
            return metric
        seconds = SHORTEST_BATCH_SECONDS if newest is None or metric.last_at is None else newest - metric.last_at
        metric = replace(metric, trouble=troubles[name], last_at=metric.last_at if newest is None else newest)
        if metric.trouble is not None:
            return metric
        if not metric.history.total:
            metric = metric.seeded(_before(name, sums, deltas, window, threshold))
        batch = Pair(
            stable=counting.requests(name, deltas, window.stable_slot, threshold),
            candidate=counting.requests(name, deltas, window.candidate_slot, threshold),
        )
        lower = _at_lower_edge(metric, sums, deltas, window)
        metric = metric.after(batch, window.epoch, seconds=max(seconds, 0.0), lower=lower)
        if newest is not None and newest >= window.not_before.timestamp():
            metric = metric.paced(batch, newest, window.epoch)
        if name == LATENCY and metric.lower is None:
            found = counting.lower_edge(sums, snapshot.latency_edges, threshold, window.stable_slot)
            metric = metric if found is None else metric.with_lower_edge(*found)
        return metric

    split = _split(evidence, window, deltas)
    return replace(evidence, metrics=tuple(map(absorbed, evidence.metrics)), gateway=gateway, split=split)


def _before(
    metric: str, sums: Mapping[Source, float], deltas: Mapping[Source, float], window: Window, threshold: int
) -> Counts:
    """Return what stable had counted before this look: a test that knew the look's own counts would not be valid."""
    past = {source: max(value - deltas.get(source, 0.0), 0.0) for source, value in sums.items()}
    return counting.requests(metric, past, window.stable_slot, threshold)


def _at_lower_edge(
    metric: MetricEvidence, sums: Mapping[Source, float], deltas: Mapping[Source, float], window: Window
) -> Pair | None:
    if metric.lower is None or not counting.has_edge(sums, metric.lower.edge_milliseconds):
        return None
    edge = metric.lower.edge_milliseconds
    return Pair(
        stable=counting.slower(deltas, window.stable_slot, edge),
        candidate=counting.slower(deltas, window.candidate_slot, edge),
    )


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
    grown, seen = counting.new_outcomes(totals, evidence.outcomes, window)

    def absorbed(metric: MetricEvidence) -> MetricEvidence:
        if not metric.question.is_of_outcomes:
            return metric
        question = metric.question
        newest = counting.newest_outcome(question, totals)
        metric = replace(metric, last_at=metric.last_at if newest is None else newest)
        metric = replace(metric, trouble=counting.trouble_with_outcomes(question, totals))
        metric = metric.seeded(counting.outcomes_before(question, totals, window))
        whole = Pair()
        for epoch, batch in counting.outcome_batches(question, grown, window).items():
            metric, whole = metric.after(batch, epoch), whole + batch
        return metric if newest is None else metric.paced(whole, newest, window.epoch)

    return replace(evidence, metrics=tuple(map(absorbed, evidence.metrics)), outcomes=seen)
