"""What a Prometheus answered → counters per backendRef and gateway pod, outcome totals, bucket edges.

A gateway pod may be seen more than once: by two scrape jobs, by two replicas of Prometheus, or by both. All of them
read the same counters, so for each pod and backendRef the scrape that is newest counts, whole, and the others do not.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from claims_contract import metrics, tensors
from claims_operator.core import queries
from claims_operator.core.snapshot import (
    INFINITE_EDGE,
    SAMPLE,
    Backend,
    Counter,
    OutcomeTotal,
    bucket_kind,
    grpc_kind,
    http_kind,
)

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Series:
    """The newest sample of one series."""

    labels: Mapping[str, str]
    value: float
    at: float
    """When it was scraped (for an instant query: evaluated), in seconds since 1970."""


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """One counter as one scrape target showed it."""

    backend: Backend
    target: Labels
    """Labels that tell what was scraped, and by whom."""
    kind: str
    value: float
    at: float


def read_gateway(
    counters: Iterable[Series], grpc: Iterable[Series], replica_labels: frozenset[str]
) -> dict[Backend, tuple[Counter, ...]]:
    """Return one counter per backend, kind and gateway pod.

    ``counters`` answer `queries.gateway_counters`, ``grpc`` answers `queries.grpc_answers`.
    ``replica_labels``: labels by which replicas of one Prometheus differ.
    """
    samples = [sample for sample in map(_sample, counters) if sample is not None]
    scraped: dict[tuple[Backend, Labels], float] = {}
    for sample in samples:
        key = (sample.backend, sample.target)
        scraped[key] = max(sample.at, scraped.get(key, sample.at))
    samples += _grpc_samples(grpc, scraped)
    pods = _pods({sample.target for sample in samples}, replica_labels)
    newest: dict[tuple[Backend, str], tuple[float, Labels]] = {}
    for (backend, target), at in scraped.items():
        place = (backend, pods[target])
        newest[place] = max(newest.get(place, (at, target)), (at, target))
    found: dict[Backend, list[Counter]] = {}
    for sample in samples:
        pod = pods[sample.target]
        if newest[sample.backend, pod][1] == sample.target:
            counter = Counter(kind=sample.kind, instance=pod, value=sample.value, at=sample.at)
            found.setdefault(sample.backend, []).append(counter)
    return {backend: tuple(its) for backend, its in found.items()}


def _sample(series: Series) -> _Sample | None:
    backend, kind = _backend(series.labels), _kind(series.labels)
    if backend is None or kind is None:
        return None
    return _Sample(backend=backend, target=_target(series.labels), kind=kind, value=series.value, at=series.at)


def _grpc_samples(found: Iterable[Series], scraped: Mapping[tuple[Backend, Labels], float]) -> list[_Sample]:
    """Return gRPC answers with the time of the scrape that they are of. Envoy counts each as an HTTP answer too."""
    samples = []
    for series in found:
        backend, status = _backend(series.labels), series.labels.get(queries.GRPC_STATUS_LABEL, "")
        target = _target(series.labels)
        if backend is None or not status.isdecimal() or (backend, target) not in scraped:
            continue
        at = scraped[backend, target]
        samples.append(_Sample(backend=backend, target=target, kind=grpc_kind(int(status)), value=series.value, at=at))
    return samples


def _backend(labels: Mapping[str, str]) -> Backend | None:
    named = queries.CLUSTER_PATTERN.fullmatch(labels.get(queries.CLUSTER_LABEL, ""))
    if named is None:
        return None
    namespace, route, rule, slot = named.groups()
    return Backend(namespace=namespace, route=route, rule=int(rule), slot=int(slot))


def _kind(labels: Mapping[str, str]) -> str | None:
    name = labels.get("__name__", "")
    if name == queries.HTTP_ANSWERS:
        return http_kind(labels.get(queries.RESPONSE_CLASS_LABEL, ""))
    if name in queries.ABANDONED:
        return queries.ABANDONED[name]
    edge = _edge(labels)
    if name != queries.REQUEST_TIME_BUCKET or edge is None:
        return None
    return INFINITE_EDGE if math.isinf(edge) else bucket_kind(edge)


def _edge(labels: Mapping[str, str]) -> float | None:
    try:
        return float(labels.get("le", ""))
    except ValueError:
        return None


def _target(labels: Mapping[str, str]) -> Labels:
    """Return the labels that do not tell what is counted."""
    told = {"__name__", "le", queries.GRPC_STATUS_LABEL}
    return tuple(
        sorted((name, value) for name, value in labels.items() if name not in told and not name.startswith("envoy_"))
    )


def _pods(targets: Iterable[Labels], replica_labels: frozenset[str]) -> dict[Labels, str]:
    """Return the short name of the gateway pod behind each target.

    Targets at one address (``instance``) are one pod, and so are targets that name the same pod. Where there is neither
    label, all of them but the ``replica_labels`` tell pods apart.
    """
    known = {target: dict(target) for target in targets}
    at_address: dict[str, str] = {}
    for labels in known.values():
        if "instance" in labels and "pod" in labels:
            # The largest: a name with its namespace before one without.
            address = labels["instance"]
            at_address[address] = max(_pod_name(labels), at_address.get(address, ""))
    pods = {}
    for target, labels in known.items():
        if "instance" in labels:
            identity = at_address.get(labels["instance"], labels["instance"])
        elif "pod" in labels:
            identity = _pod_name(labels)
        else:
            identity = repr([pair for pair in target if pair[0] not in replica_labels])
        pods[target] = hashlib.sha256(identity.encode()).hexdigest()[:10]
    return pods


def _pod_name(labels: Mapping[str, str]) -> str:
    return f"{labels.get('namespace', '')}/{labels['pod']}"


def read_outcomes(found: Iterable[Series]) -> dict[tuple[str, str], tuple[OutcomeTotal, ...]]:
    """Replicas of the feedback service show the same totals; one may lag behind, so the largest is right."""
    largest: dict[tuple[str, ...], Series] = {}
    for series in found:
        identity = (*(series.labels.get(name, "") for name in metrics.STRATUM_LABELS), _outcome_kind(series.labels))
        other = largest.get(identity)
        if other is None or series.value > other.value:
            largest[identity] = series
    totals: dict[tuple[str, str], list[OutcomeTotal]] = {}
    for (namespace, model, revision, attempt, epoch, result), series in largest.items():
        if not attempt.isdecimal() or not epoch.isdecimal() or not result:
            continue
        total = OutcomeTotal(
            revision=revision,
            attempt=int(attempt),
            epoch=int(epoch),
            result=result,
            value=series.value,
            at=series.at,
        )
        totals.setdefault((namespace, model), []).append(total)
    return {key: tuple(its) for key, its in totals.items()}


def _outcome_kind(labels: Mapping[str, str]) -> str:
    """Return what a total of the feedback service counts; empty where that is nothing we know."""
    name, result, decision = (labels.get(label, "") for label in ("__name__", "result", "decision"))
    if name == metrics.PREDICTIONS_TOTAL:
        return decision if decision in (tensors.REFER, tensors.SETTLE) else ""
    is_of_sample = name.startswith((metrics.REPRESENTATIVE_OUTCOMES_TOTAL, metrics.REPRESENTATIVE_RELATIVE_ERROR))
    edge = _edge(labels)
    if edge is not None:
        result = INFINITE_EDGE if math.isinf(edge) else bucket_kind(edge)
    elif result not in metrics.RESULTS:
        return ""
    return SAMPLE + result if is_of_sample else result


def read_edges(found: Iterable[Series]) -> tuple[float, ...]:
    """Return the finite edges of the gateway's latency buckets in milliseconds, rising."""
    edges = {_edge(series.labels) for series in found}
    return tuple(sorted(edge for edge in edges if edge is not None and math.isfinite(edge)))
