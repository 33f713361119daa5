"""What one look at Prometheus found, for all ClaimsModels at once: raw counters with the time of their scrape."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

INFINITE_EDGE = "le:inf"
"""Kind of the latency bucket that holds every request that was answered."""

ABANDONED_STREAM = "abandoned:stream"
ABANDONED_CONNECTION = "abandoned:connection"
ABANDONED_KINDS = (ABANDONED_STREAM, ABANDONED_CONNECTION)
"""Kinds of the counters of requests that were given up before their answer came: over HTTP/2 their stream is reset,
over HTTP/1.1 their connection is closed. The gateway times none of them."""


def http_kind(response_class: str) -> str:
    """Return the kind of the counter of HTTP answers of a class, ``"2"`` to ``"5"``."""
    return f"http:{response_class}"


def grpc_kind(status: int) -> str:
    """Return the kind of the counter of gRPC answers with a status, 0 to 16."""
    return f"grpc:{status}"


def bucket_kind(edge_milliseconds: float) -> str:
    """Return the kind of the counter of requests that took at most ``edge_milliseconds``."""
    return f"le:{edge_milliseconds:g}"


@dataclass(frozen=True, kw_only=True)
class Backend:
    """One backendRef of an HTTPRoute; ``slot`` is its index in the rule's list."""

    namespace: str
    route: str
    rule: int
    slot: int


@dataclass(frozen=True, kw_only=True)
class Counter:
    """The newest sample of one series."""

    kind: str
    """`http_kind`, `grpc_kind`, `bucket_kind`, `INFINITE_EDGE` or one of `ABANDONED_KINDS`."""
    instance: str
    """Short name of the scraped process: equal for all series of one gateway pod."""
    value: float
    """Finite, at least 0; falls only when the process restarted."""
    at: float
    """When it was scraped, in seconds since 1970."""


SAMPLE = "sample-"
"""What the kind of a total of the random sample begins with."""


@dataclass(frozen=True, kw_only=True)
class OutcomeTotal:
    """Predictions or outcomes of one revision, stratum and kind; the largest over the feedback service's replicas."""

    revision: str
    attempt: int
    epoch: int
    result: str
    """One of claims_contract.metrics.RESULTS; of numbers that are off by at most an edge, `bucket_kind` of it; either
    with `SAMPLE` before it for the random sample alone. Of predictions the decision, ``refer`` or ``settle``."""
    value: float
    at: float
    """When it was scraped, in seconds since 1970."""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What a look is for."""

    models: frozenset[tuple[str, str]] | None
    """Namespace and name of the ClaimsModels that are judged; None for all that there are."""
    thresholds: frozenset[int]
    """Latency thresholds in use, in milliseconds."""

    def reads(self, edge_milliseconds: float) -> bool:
        """Return whether requests are read by this bucket edge: all up to the largest threshold, for a test at a lower
        edge; only the thresholds where all ClaimsModels are read, or the answer would be too large.
        """
        if self.models is None:
            return edge_milliseconds in self.thresholds
        return edge_milliseconds <= max(self.thresholds)

    def covers(self, namespace: str, name: str, threshold_milliseconds: int) -> bool:
        """Return whether a look with this scope is one for a ClaimsModel."""
        named = self.models is None or (namespace, name) in self.models
        return named and threshold_milliseconds in self.thresholds


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One look. Samples that are older than the collector's staleness limit are not in it, nor is NaN."""

    collected_at: datetime
    error: str | None = None
    """Why Prometheus could not be asked, as a sentence for people; then everything else is empty."""
    gateway: Mapping[Backend, tuple[Counter, ...]] = field(default_factory=dict)
    outcomes: Mapping[tuple[str, str], tuple[OutcomeTotal, ...]] = field(default_factory=dict)
    """By namespace and name of the ClaimsModel."""
    latency_edges: tuple[float, ...] = ()
    """Finite edges of the gateway's latency buckets in milliseconds, rising; empty when no request was counted."""
