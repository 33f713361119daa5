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
from claims_operator.core.snapshot import Scope, Snapshot

FORGET_SECONDS: Final = 600.0
"""A ClaimsModel that was not asked for so long is not read any more."""
LONGEST_LIST: Final = 100
"""More ClaimsModels than this are not named one by one: all that there are, are read."""
REST_FACTOR: Final = 2.0
"""After a look that took long, so many times its duration pass before the next."""


class Source(Protocol):
    """Where snapshots come from. It never raises: trouble is in `Snapshot.error` and `Answer.error`."""

    async def collect(self, scope: Scope) -> Snapshot:
        """Read everything at once."""
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

    async def collect(self, _scope: Scope) -> Snapshot:
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
        self._wanted: dict[tuple[str, str], tuple[int, float]] = {}
        """Namespace and name → latency threshold in milliseconds, and when it was last asked for."""
        self._latest: tuple[Scope, Snapshot] | None = None
        self._good_until = float("-inf")

    async def snapshot(self, namespace: str, name: str, threshold_milliseconds: int) -> Snapshot:
        """Return a snapshot that covers a ClaimsModel with its latency threshold, and is hardly older than
        ``least_seconds``.
        """
        # Said before it waits: whoever looks next, looks for all who wait.
        self._wanted[namespace, name] = (threshold_milliseconds, self._monotonic())
        async with self._lock:
            began = self._monotonic()
            if self._latest is not None and began < self._good_until:
                scope, snapshot = self._latest
                if scope.covers(namespace, name, threshold_milliseconds):
                    return snapshot
            scope = self._scope(began)
            snapshot = await self._source.collect(scope)
            self._latest = (scope, snapshot)
            took = self._monotonic() - began
            self._good_until = began + took + max(self._least_seconds, REST_FACTOR * took)
            return snapshot

    def _scope(self, now: float) -> Scope:
        self._wanted = {model: asked for model, asked in self._wanted.items() if now - asked[1] <= FORGET_SECONDS}
        return Scope(
            models=frozenset(self._wanted) if len(self._wanted) <= LONGEST_LIST else None,
            thresholds=frozenset(threshold for threshold, _ in self._wanted.values()),
        )

    async def ask(
        self,
        metrics: Iterable[OwnMetric],
        records: tuple[OwnMetricRecord, ...],
        window: Window,
        now: dt.datetime,
    ) -> tuple[OwnMetricRecord, ...]:
        """Ask for own metrics, all at the same time; return all records, with what these came to."""
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
