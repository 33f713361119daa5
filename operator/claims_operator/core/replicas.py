"""Replicas of Prometheus that answer in turn: one that is a little behind must not look like a restarted gateway.

A counter that falls was reset, and all of its value is new. But the clocks of two replicas differ, and a scrape is
dated when it begins: of two scrapes, the one with the later date may have read the older numbers. Counted as a reset,
it would make evidence of everything that the gateway ever counted.
"""

from dataclasses import replace

from claims_operator.core import counting
from claims_operator.core.counters import GatewayCounters
from claims_operator.core.limits import Window
from claims_operator.core.snapshot import Counter, Snapshot

LAG_SECONDS = 60.0
"""A replica lags by less; counters that are still lower after so long were reset."""
LAG_SHARE = 0.5
"""A pod that shows at least this share of what it showed before may have been read late; after a restart it begins at
zero."""


def without_lagging(snapshot: Snapshot, window: Window, counted: GatewayCounters) -> Snapshot:
    """Return the snapshot without gateway pods whose counters fell a little since they were ``counted``.

    Such a pod waits for a scrape that is not behind; its requests are counted then.
    """
    if counted.route_key != window.route_key:
        return snapshot
    readings = counting.readings_of(snapshot, window)
    lagging = {
        pod
        for pod in {counter.instance for _, _, counter in readings}
        if _lags([reading for reading in readings if reading[2].instance == pod], counted)
    }
    if not lagging:
        return snapshot
    kept = {
        backend: tuple(counter for counter in counters if counter.instance not in lagging)
        if (backend.namespace, backend.route) == (window.namespace, window.name)
        else counters
        for backend, counters in snapshot.gateway.items()
    }
    return replace(snapshot, gateway=kept)


def _lags(readings: list[tuple[int, int, Counter]], counted: GatewayCounters) -> bool:
    known = [(counter, counted.last_sample(rule, slot, counter)) for rule, slot, counter in readings]
    pairs = [(counter, last) for counter, last in known if last is not None]
    if not any(counter.value < value for counter, (value, _) in pairs):
        return False
    age = max(counter.at for counter, _ in pairs) - max(at for _, (_, at) in pairs)
    before, now = sum(value for _, (value, _) in pairs), sum(counter.value for counter, _ in pairs)
    return age < LAG_SECONDS and now >= LAG_SHARE * before
