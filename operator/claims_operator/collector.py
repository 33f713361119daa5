"""One reading of Prometheus for all ClaimsModels, renewed when somebody needs it and it is too old."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from claims_operator.core.snapshot import Snapshot


class Source(Protocol):
    """Where snapshots come from. It never raises: trouble is in `Snapshot.error`."""

    async def collect(self, thresholds: frozenset[int]) -> Snapshot:
        """Read everything at once; ``thresholds`` are latency limits in milliseconds."""
        ...


class Collector:
    """Shares snapshots between ClaimsModels."""

    def __init__(self, source: Source, *, least_seconds: float, monotonic: Callable[[], float]) -> None:
        self._source = source
        self._least_seconds = least_seconds
        self._monotonic = monotonic
        self._lock = asyncio.Lock()
        self._thresholds: frozenset[int] = frozenset()
        self._latest: Snapshot | None = None
        self._read_at = float("-inf")

    async def snapshot(self, threshold_milliseconds: int) -> Snapshot:
        """Return a snapshot that is no older than ``least_seconds`` and covers this latency limit."""
        async with self._lock:
            fresh = self._monotonic() - self._read_at < self._least_seconds
            if self._latest is not None and fresh and threshold_milliseconds in self._thresholds:
                return self._latest
            self._thresholds |= {threshold_milliseconds}
            self._latest = await self._source.collect(self._thresholds)
            self._read_at = self._monotonic()
            return self._latest
