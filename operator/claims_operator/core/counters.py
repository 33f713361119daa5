"""From raw counters to what was counted since the last look: resets, new series, baselines, settle time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from claims_operator.core.snapshot import Counter

FORGET_AFTER_SECONDS = 3_600.0
"""A series that was not scraped for so long is forgotten; should it return, it starts from a new baseline."""

Source = tuple[int, int, str]
"""Rule, slot and kind of a gateway counter, summed over the gateway's pods."""


@dataclass(frozen=True, kw_only=True)
class GatewayCounters:
    """The last value of each series of one HTTPRoute, and how its deltas are found.

    A delta counts when the scrape before it was made in the present route and not before the settle time ended. A
    value below the last one means a restart: all of it is new. A new series of a gateway pod that was seen before
    counts from 0 (the gateway makes a counter with its first event, so a candidate's first errors are not lost); the
    first sight of a pod is a baseline, for a pod that was merely not scraped would look the same.
    """

    route_key: str = ""
    last: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Series → value and time of scrape."""

    def advance(
        self, route_key: str, readings: Iterable[tuple[int, int, Counter]], *, not_before: float
    ) -> tuple["GatewayCounters", dict[Source, float]]:
        """Return the state after new readings (rule, slot, counter) and what they add since the last ones.

        ``not_before``: end of the settle time, in seconds since 1970.
        """
        last = dict(self.last) if route_key == self.route_key else {}
        instances = _last_sight(last)
        deltas: dict[Source, float] = {}
        for rule, slot, counter in readings:
            key = _key(rule, slot, counter)
            value_before, at_before = last.get(key, (0.0, instances.get(counter.instance, float("-inf"))))
            if counter.at <= at_before:
                continue
            last[key] = (counter.value, counter.at)
            if at_before >= not_before:
                grown = counter.value - value_before
                source = (rule, slot, counter.kind)
                deltas[source] = deltas.get(source, 0.0) + (grown if grown >= 0 else counter.value)
        newest = max((at for _, at in last.values()), default=0.0)
        kept = {key: pair for key, pair in last.items() if pair[1] >= newest - FORGET_AFTER_SECONDS}
        return GatewayCounters(route_key=route_key, last=kept), deltas

    def last_sample(self, rule: int, slot: int, counter: Counter) -> tuple[float, float] | None:
        """Return the last value of a counter's series and the time of its scrape; None where it was not seen."""
        return self.last.get(_key(rule, slot, counter))

    def to_json(self) -> dict[str, Any]:
        """Return the whole state."""
        return {"routeKey": self.route_key, "last": {key: list(pair) for key, pair in sorted(self.last.items())}}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read what `to_json` returned."""
        last = {str(key): (float(value), float(at)) for key, (value, at) in data["last"].items()}
        return cls(route_key=str(data["routeKey"]), last=last)


def _key(rule: int, slot: int, counter: Counter) -> str:
    return f"{rule}/{slot}/{counter.kind}/{counter.instance}"


def _last_sight(last: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """Return when each gateway pod was last scraped."""
    sights: dict[str, float] = {}
    for key, (_, at) in last.items():
        instance = key.rpartition("/")[2]
        sights[instance] = max(at, sights.get(instance, at))
    return sights
