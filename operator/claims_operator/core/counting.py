"""Which requests were bad: from counters per kind, and outcome totals, to the counts that are tested."""

from collections.abc import Iterable, Mapping

from claims_contract import metrics
from claims_operator.core import queries
from claims_operator.core.counters import Source
from claims_operator.core.limits import Window
from claims_operator.core.metric import Trouble
from claims_operator.core.questions import ACCURACY, ERRORS, PRECISION, RECALL, Question
from claims_operator.core.snapshot import (
    ABANDONED_KINDS,
    INFINITE_EDGE,
    SAMPLE,
    Backend,
    Counter,
    OutcomeTotal,
    Snapshot,
    bucket_kind,
    grpc_kind,
    http_kind,
)
from claims_sequential import Counts, Pair

RULES = (queries.GRPC_RULE, queries.REST_RULE)
RIGHT_RESULTS = {ACCURACY: ("tp", "tn"), PRECISION: ("tp",), RECALL: ("tp",)}
WRONG_RESULTS = {ACCURACY: ("fp", "fn"), PRECISION: ("fp",), RECALL: ("fn",)}
"""Results that count for a metric: precision is of claims that were referred, recall of those that should be."""

Growth = Mapping[tuple[int, str], Iterable[tuple[str, float]]]
"""By epoch and revision: results, and how many came."""

LOWER_SHARES = (0.02, 0.1)
"""Share of stable's requests above the lower bucket edge: its 90th to 98th percentile."""
LOWER_OBSERVATIONS = 500.0
"""Fewer requests of stable do not tell where its percentiles are."""


def readings_of(snapshot: Snapshot, window: Window) -> list[tuple[int, int, Counter]]:
    """Return rule, slot and counter of every gateway series of the two that are compared."""
    slots = [slot for slot in (window.stable_slot, window.candidate_slot) if slot is not None]
    backends = [
        Backend(namespace=window.namespace, route=window.name, rule=rule, slot=slot) for rule in RULES for slot in slots
    ]
    return [
        (backend.rule, backend.slot, counter) for backend in backends for counter in snapshot.gateway.get(backend, ())
    ]


def sums_of(readings: Iterable[tuple[int, int, Counter]]) -> dict[Source, float]:
    """Return the sum over the gateway's pods."""
    sums: dict[Source, float] = {}
    for rule, slot, counter in readings:
        source = (rule, slot, counter.kind)
        sums[source] = sums.get(source, 0.0) + counter.value
    return sums


def requests(metric: str, counted: Mapping[Source, float], slot: int | None, threshold_milliseconds: int) -> Counts:
    """Return the requests of a slot and how many of them failed (`errors`) or were slow (`latency`)."""
    if slot is None:
        return Counts()
    return _failed(counted, slot) if metric == ERRORS else slower(counted, slot, threshold_milliseconds)


def _failed(counted: Mapping[Source, float], slot: int) -> Counts:
    """REST by HTTP class. gRPC by status; an HTTP fault that carries no status is a failed request of its own."""
    rest_total, rest_faults = _http(counted, queries.REST_RULE, slot)
    http_total, http_faults = _http(counted, queries.GRPC_RULE, slot)
    statuses = [counted.get((queries.GRPC_RULE, slot, grpc_kind(status)), 0.0) for status in range(17)]
    faults = sum(statuses[status] for status in queries.FAULT_STATUSES)
    without_status = min(http_faults, max(0.0, http_total - sum(statuses)))
    return Counts(total=rest_total + sum(statuses) + without_status, bad=rest_faults + faults + without_status)


def _http(counted: Mapping[Source, float], rule: int, slot: int) -> tuple[float, float]:
    total = sum(counted.get((rule, slot, http_kind(str(number))), 0.0) for number in range(1, 6))
    return total, counted.get((rule, slot, http_kind(queries.FAULT_CLASS)), 0.0)


def answered(counted: Mapping[Source, float], slot: int | None) -> float:
    """Return how many requests of a slot got an answer over HTTP, whatever it was."""
    return 0.0 if slot is None else sum(_http(counted, rule, slot)[0] for rule in RULES)


def slower(counted: Mapping[Source, float], slot: int | None, edge_milliseconds: float) -> Counts:
    """Return the requests of a slot and how many of them took longer than a bucket edge.

    One that was given up before its answer came counts as slower: nobody knows how long it would have taken.
    """
    if slot is None:
        return Counts()
    answered = sum(counted.get((rule, slot, INFINITE_EDGE), 0.0) for rule in RULES)
    fast = sum(counted.get((rule, slot, bucket_kind(edge_milliseconds)), 0.0) for rule in RULES)
    abandoned = sum(counted.get((rule, slot, kind), 0.0) for rule in RULES for kind in ABANDONED_KINDS)
    return Counts(total=max(answered, fast) + abandoned, bad=max(answered - fast, 0.0) + abandoned)


def lower_edge(
    sums: Mapping[Source, float], edges: Iterable[float], threshold_milliseconds: float, stable_slot: int | None
) -> tuple[float, Counts] | None:
    """Return the highest edge below the threshold that some of stable's requests exceed, and what stable counted there.

    None where no edge that was asked for has a share of LOWER_SHARES above it, or stable counted too few to tell.
    """
    for edge in sorted(edges, reverse=True):
        if edge >= threshold_milliseconds or not has_edge(sums, edge):
            continue
        counts = slower(sums, stable_slot, edge)
        if counts.total < LOWER_OBSERVATIONS:
            return None
        if LOWER_SHARES[0] <= counts.bad / counts.total <= LOWER_SHARES[1]:
            return edge, counts
    return None


def has_edge(counted: Mapping[Source, float], edge_milliseconds: float) -> bool:
    """Return whether an edge was counted wherever requests were timed."""
    kind = bucket_kind(edge_milliseconds)
    return all((rule, slot, kind) in counted for rule, slot, known in counted if known == INFINITE_EDGE)


def trouble_with_errors(sums: Mapping[Source, float]) -> Trouble | None:
    """Return why failed requests cannot be counted: over HTTP a failed gRPC request is a 200."""
    answered = sum(
        value for (rule, _, kind), value in sums.items() if rule == queries.GRPC_RULE and kind == http_kind("2")
    )
    has_status = any(rule == queries.GRPC_RULE and kind.startswith("grpc:") for rule, _, kind in sums)
    if not answered or has_status:
        return None
    return Trouble(
        is_error=False,
        message=f"the gateway answered {answered:.0f} gRPC requests but counts no gRPC statuses, so failed ones cannot"
        " be told; set telemetry.metrics.enableGRPCStats: true in its EnvoyProxy",
    )


def trouble_with_latency(edges: tuple[float, ...], threshold_milliseconds: int) -> Trouble | None:
    """Return why slow requests cannot be counted: their number is known at the edges of buckets only."""
    if not edges:
        return Trouble(is_error=False, message="the gateway has not counted the time of any request yet")
    if float(threshold_milliseconds) in edges:
        return None
    listed = ", ".join(f"{edge:g}" for edge in edges)
    return Trouble(
        is_error=True,
        message=f"thresholdMilliseconds {threshold_milliseconds} is no edge of the gateway's latency buckets;"
        f" use one of {listed}",
    )


def newest_outcome(question: Question, totals: Iterable[OutcomeTotal]) -> float | None:
    """Return when the newest total was scraped that counts for a question; None where there is none."""
    return max((total.at for total in totals if total.result.startswith(SAMPLE) == question.is_of_sample), default=None)


def trouble_with_outcomes(question: Question, totals: Iterable[OutcomeTotal]) -> Trouble | None:
    """Return why outcomes cannot be counted: what a model returns is not what the question is about."""
    kinds = {total.result.removeprefix(SAMPLE) for total in totals if total.value > 0}
    has_numbers, has_results = INFINITE_EDGE in kinds, not kinds.isdisjoint(metrics.RESULTS)
    if has_numbers and not has_results and question.tolerance is None:
        message = "the model returns numbers, which are right within a tolerance only: set analysis.accuracy.tolerance"
        if question.metric != ACCURACY:
            message = (
                f"the model returns numbers, which have no {question.metric}: judge it by accuracy with a tolerance"
            )
    elif has_results and not has_numbers and question.tolerance is not None:
        message = "the model returns decisions, which are right or wrong: remove analysis.accuracy.tolerance"
    else:
        return None
    return Trouble(is_error=False, message=message)


def outcomes_before(question: Question, totals: Iterable[OutcomeTotal], window: Window) -> Counts:
    """Return stable's outcomes of other attempts."""
    return _outcomes(
        question,
        [
            (total.result, total.value)
            for total in totals
            if total.revision == window.stable_revision and total.attempt != window.attempt
        ],
    )


def new_outcomes(
    totals: Iterable[OutcomeTotal], seen: Mapping[str, float], window: Window
) -> tuple[Growth, dict[str, float]]:
    """Return the attempt's outcomes that were not seen yet, and what is seen now.

    Totals come from a database: they start at 0 with their stratum, and one that is lower than before comes from a
    replica that lags behind, never from a reset.
    """
    highest = dict(seen)
    grown: dict[tuple[int, str], list[tuple[str, float]]] = {}
    for total in totals:
        if total.attempt != window.attempt or total.revision not in (window.stable_revision, window.candidate_revision):
            continue
        key = f"{total.revision}/{total.epoch}/{total.result}"
        growth = total.value - highest.get(key, 0.0)
        if growth > 0:
            highest[key] = total.value
            grown.setdefault((total.epoch, total.revision), []).append((total.result, growth))
    return grown, highest


def outcome_batches(question: Question, grown: Growth, window: Window) -> dict[int, Pair]:
    """Return what a question counts of new outcomes, by epoch."""
    return {
        epoch: Pair(
            stable=_outcomes(question, grown.get((epoch, window.stable_revision or ""), ())),
            candidate=_outcomes(question, grown.get((epoch, window.candidate_revision), ())),
        )
        for epoch in sorted({epoch for epoch, _ in grown})
    }


def _outcomes(question: Question, counts: Iterable[tuple[str, float]]) -> Counts:
    prefix = SAMPLE if question.is_of_sample else ""
    if question.tolerance is not None:
        numbers = {kind: count for kind, count in counts}
        near = numbers.get(prefix + bucket_kind(question.tolerance), 0.0)
        total = max(numbers.get(prefix + INFINITE_EDGE, 0.0), near)
        return Counts(total=total, bad=total - near)
    rights = {prefix + result for result in RIGHT_RESULTS[question.metric]}
    wrongs = {prefix + result for result in WRONG_RESULTS[question.metric]}
    right = bad = 0.0
    for result, count in counts:
        right += count if result in rights else 0.0
        bad += count if result in wrongs else 0.0
    return Counts(total=right + bad, bad=bad)
