"""Reads the counters of all ClaimsModels from one Prometheus, with three queries a look."""

import asyncio
import datetime as dt
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from claims_contract import metrics
from claims_operator.adapters import clock
from claims_operator.core import queries
from claims_operator.core.snapshot import (
    INFINITE_EDGE,
    Backend,
    Counter,
    OutcomeTotal,
    Snapshot,
    bucket_kind,
    grpc_kind,
    http_kind,
)

PATH: Final = "/api/v1/query"
SHOWN_CHARACTERS: Final = 200
"""Of an answer that is not Prometheus's, so many are quoted."""


class Unanswered(Exception):
    """Prometheus gave no usable answer; the message is a sentence for people."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """The newest sample of one series."""

    labels: Mapping[str, str]
    value: float
    at: float
    """When it was scraped, in seconds since 1970."""


class Prometheus:
    """One Prometheus (or what speaks its query API: Thanos, Mimir), by address and headers."""

    def __init__(
        self,
        address: str,
        *,
        timeout_seconds: float = 10.0,
        headers: Mapping[str, str] | None = None,
        staleness_seconds: int = 60,
        now: Callable[[], dt.datetime] = clock.now,
    ) -> None:
        """Prepare to ask; nothing is sent yet.

        ``address``: base URL, for example ``http://prometheus.claims-system:9090``; a path is kept.
        ``timeout_seconds``: for one look, all queries together.
        ``headers``: sent with each query (tenant, authorization), never to another host.
        ``staleness_seconds``: older samples are not used; at least two scrape intervals.
        """
        self._address = address.rstrip("/")
        self._timeout_seconds = timeout_seconds
        self._staleness_seconds = staleness_seconds
        self._now = now
        self._client = httpx.AsyncClient(headers=headers, timeout=timeout_seconds, follow_redirects=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def collect(self, thresholds: frozenset[int]) -> Snapshot:
        """Return the counters of all ClaimsModels; trouble is the snapshot's ``error``, never an exception.

        ``thresholds``: the latency thresholds in use, in milliseconds.
        """
        window = self._staleness_seconds
        try:
            async with asyncio.timeout(self._timeout_seconds):
                gateway = await self._ask(queries.gateway_counters(thresholds, window_seconds=window))
                outcomes = await self._ask(queries.outcome_totals(window_seconds=window))
                edges = await self._ask(queries.latency_edges())
        except TimeoutError:
            return self._failed(f"did not answer within {self._timeout_seconds:g} s")
        except Unanswered as problem:
            return self._failed(str(problem))
        return Snapshot(
            collected_at=self._now(),
            gateway=_read_gateway(gateway),
            outcomes=_read_outcomes(outcomes),
            latency_edges=_read_edges(edges),
        )

    def _failed(self, why: str) -> Snapshot:
        return Snapshot(collected_at=self._now(), error=f"Prometheus at {self._address} {why}")

    async def _ask(self, query: str) -> tuple[Series, ...]:
        try:
            response = await self._client.post(self._address + PATH, data={"query": query})
        except httpx.InvalidURL as problem:
            raise Unanswered(f"cannot be asked, its address is wrong: {problem}") from problem
        except httpx.TimeoutException as problem:
            raise Unanswered(f"did not answer within {self._timeout_seconds:g} s") from problem
        except httpx.HTTPError as problem:
            raise Unanswered(f"cannot be reached: {str(problem) or type(problem).__name__}") from problem
        try:
            answer = response.json()
        except ValueError as problem:
            raise Unanswered(f"did not answer as Prometheus does: {_quote(response)}") from problem
        if not isinstance(answer, dict) or answer.get("status") != "success" or response.status_code != httpx.codes.OK:
            why = answer.get("error") if isinstance(answer, dict) else None
            raise Unanswered(f"refused the query {query}: {why or _quote(response)}")
        try:
            return tuple(_read_series(answer["data"]["result"]))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as problem:
            raise Unanswered(f"did not answer as Prometheus does: {_quote(response)}") from problem


def _quote(response: httpx.Response) -> str:
    return f"HTTP {response.status_code} {response.text[:SHOWN_CHARACTERS].strip()}".strip()


def _read_series(result: Any) -> Iterator[Series]:
    """Yield the newest sample of each series, leaving out NaN and infinity: no value is known then."""
    for entry in result:
        at, text = entry["values"][-1] if "values" in entry else entry["value"]
        value = float(text)
        if math.isfinite(value):
            labels = {str(name): str(label) for name, label in entry["metric"].items()}
            yield Series(labels=labels, value=value, at=float(at))


def _read_gateway(found: tuple[Series, ...]) -> dict[Backend, tuple[Counter, ...]]:
    """Return one counter per backend, kind and gateway pod; what Envoy splits further (gRPC methods) is summed."""
    counters: dict[Backend, dict[tuple[str, str], Counter]] = {}
    for series in found:
        named = queries.CLUSTER_PATTERN.fullmatch(series.labels.get(queries.CLUSTER_LABEL, ""))
        kind = _kind(series.labels)
        if named is None or kind is None:
            continue
        namespace, route, rule, slot = named.groups()
        backend = Backend(namespace=namespace, route=route, rule=int(rule), slot=int(slot))
        instance = _instance(series.labels)
        same = counters.setdefault(backend, {})
        part = same.get((kind, instance))
        value, at = (part.value, part.at) if part is not None else (0.0, series.at)
        same[kind, instance] = Counter(kind=kind, instance=instance, value=value + series.value, at=max(at, series.at))
    return {backend: tuple(same.values()) for backend, same in counters.items()}


def _kind(labels: Mapping[str, str]) -> str | None:
    name = labels.get("__name__", "")
    if name == queries.HTTP_ANSWERS:
        return http_kind(labels.get(queries.RESPONSE_CLASS_LABEL, ""))
    if name == queries.REQUEST_TIME_BUCKET:
        edge = _edge(labels)
        return None if edge is None else INFINITE_EDGE if math.isinf(edge) else bucket_kind(edge)
    status = queries.GRPC_STATUS_PATTERN.fullmatch(name)
    return None if status is None else grpc_kind(int(status[1]))


def _edge(labels: Mapping[str, str]) -> float | None:
    try:
        return float(labels.get("le", ""))
    except ValueError:
        return None


def _instance(labels: Mapping[str, str]) -> str:
    """Return a short name of the scraped process: a hash of the labels that do not tell what is counted."""
    told = {"__name__", "le"}
    own = {name: label for name, label in labels.items() if name not in told and not name.startswith("envoy_")}
    identity = "\n".join(f"{name}={label}" for name, label in sorted(own.items()))
    return hashlib.sha256(identity.encode()).hexdigest()[:10]


def _read_outcomes(found: tuple[Series, ...]) -> dict[tuple[str, str], tuple[OutcomeTotal, ...]]:
    """Replicas of the feedback service show the same totals; one may lag behind, so the largest is right."""
    largest: dict[tuple[str, ...], Series] = {}
    for series in found:
        identity = tuple(series.labels.get(name, "") for name in (*metrics.STRATUM_LABELS, "result"))
        other = largest.get(identity)
        if other is None or series.value > other.value:
            largest[identity] = series
    totals: dict[tuple[str, str], list[OutcomeTotal]] = {}
    for (namespace, model, revision, attempt, epoch, result), series in largest.items():
        if not attempt.isdecimal() or not epoch.isdecimal() or result not in metrics.RESULTS:
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
    return {key: tuple(found) for key, found in totals.items()}


def _read_edges(found: tuple[Series, ...]) -> tuple[float, ...]:
    edges = {_edge(series.labels) for series in found}
    return tuple(sorted(edge for edge in edges if edge is not None and math.isfinite(edge)))
