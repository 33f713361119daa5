"""One reading of a Prometheus for all ClaimsModels, renewed when somebody needs it and it is too old."""

import asyncio
import datetime as dt
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from claims_operator.api.status import OwnMetricRecord
from claims_operator.api.v1alpha1 import OwnMetric
from claims_operator.core import own_metrics
from claims_operator.core.limits import Window
from claims_operator.core.own_metrics import Answer
from claims_operator.core.snapshot import Snapshot

THRESHOLD_SECONDS: Final = 600.0
"""A latency limit that nobody asked for so long is not read any more."""


class Source(Protocol):
    """Where snapshots come from. It never raises: trouble is in `Snapshot.error` and `Answer.error`."""

    async def collect(self, thresholds: frozenset[int]) -> Snapshot:
        """Read everything at once; ``thresholds`` are latency limits in milliseconds."""
        ...

    async def ask(self, query: str) -> Answer:
        """Ask one query of a user's."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class Refusal:
    """The source of a ClaimsModel whose Prometheus is not asked."""

    def __init__(self, why: str, now: Callable[[], dt.datetime]) -> None:
        self._why = why
        self._now = now

    async def collect(self, _thresholds: frozenset[int]) -> Snapshot:
        """Return why."""
        return Snapshot(collected_at=self._now(), error=self._why)

    async def ask(self, _query: str) -> Answer:
        """Return why."""
        return Answer(error=self._why)

    async def close(self) -> None:
        """Return at once."""


class Collector:
    """Shares snapshots between ClaimsModels."""

    def __init__(self, source: Source, *, least_seconds: float, monotonic: Callable[[], float]) -> None:
        self._source = source
        self._least_seconds = least_seconds
        self._monotonic = monotonic
        self._lock = asyncio.Lock()
        self._asked_at: dict[int, float] = {}
        """Latency limit → when it was last asked for."""
        self._covered: frozenset[int] = frozenset()
        self._latest: Snapshot | None = None
        self._read_at = float("-inf")

    async def snapshot(self, threshold_milliseconds: int) -> Snapshot:
        """Return a snapshot that is no older than ``least_seconds`` and covers this latency limit."""
        async with self._lock:
            now = self._monotonic()
            self._asked_at[threshold_milliseconds] = now
            fresh = now - self._read_at < self._least_seconds
            if self._latest is not None and fresh and threshold_milliseconds in self._covered:
                return self._latest
            self._asked_at = {edge: at for edge, at in self._asked_at.items() if now - at <= THRESHOLD_SECONDS}
            self._covered = frozenset(self._asked_at)
            self._latest = await self._source.collect(self._covered)
            self._read_at = self._monotonic()
            return self._latest

    async def ask(
        self,
        metrics: Iterable[OwnMetric],
        records: tuple[OwnMetricRecord, ...],
        window: Window,
        now: dt.datetime,
    ) -> tuple[OwnMetricRecord, ...]:
        """Ask for own metrics, all at the same time; return the records with what they came to."""
        known = {record.name: record for record in records}

        async def ask_one(metric: OwnMetric) -> OwnMetricRecord:
            before = known.get(metric.name)
            try:
                asked = own_metrics.questions(metric, window)
            except ValueError as problem:
                return own_metrics.unasked(before, metric, str(problem), now)
            candidate, stable = await asyncio.gather(self._source.ask(asked.candidate), self._ask(asked.stable))
            return own_metrics.after(before, metric, asked, (candidate, stable), now)

        renewed = await asyncio.gather(*map(ask_one, metrics))
        return tuple((known | {record.name: record for record in renewed}).values())

    async def _ask(self, query: str | None) -> Answer | None:
        return None if query is None else await self._source.ask(query)

    async def close(self) -> None:
        """Close the source."""
        await self._source.close()
