"""The same traffic minute by minute, for many rollouts at once: what the rules of other tools look at."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from claims_decisions.scenarios import Arm, Scenario

EDGES: Final = np.array([25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0])
"""Edges of Envoy's latency buckets that matter here, in milliseconds; the last bucket has none."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Minute:
    """What was counted in one minute. Every array begins with (runs, 2): stable, candidate."""

    requests: Ints
    failed: Ints
    buckets: Ints
    """Shape (runs, 2, edges + 1), not cumulative."""
    outcomes: Ints
    """That arrived in this minute, whenever their request was."""
    wrong: Ints

    @property
    def error_share(self) -> Floats:
        """Share of failed requests; NaN without requests."""
        return _share(self.failed, self.requests)

    @property
    def wrong_share(self) -> Floats:
        """Share of wrong decisions; NaN without outcomes."""
        return _share(self.wrong, self.outcomes)

    @property
    def p99_milliseconds(self) -> Floats:
        """The p99 as PromQL's histogram_quantile computes it; NaN without requests."""
        return quantile(self.buckets, 0.99)

    def slow_requests(self, threshold_milliseconds: float) -> Ints:
        """Return how many requests took longer than an edge."""
        first = int(np.searchsorted(EDGES, threshold_milliseconds)) + 1
        return np.asarray(self.buckets[..., first:].sum(axis=-1))


def _share(part: Ints, whole: Ints) -> Floats:
    return np.asarray(np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0))


def quantile(buckets: Ints, q: float) -> Floats:
    """Return quantiles, interpolated within the bucket as Prometheus does; the last bucket gives its lower edge."""
    cumulative = np.cumsum(buckets, axis=-1)
    total = cumulative[..., -1]
    rank = q * total
    index = np.argmax(cumulative >= rank[..., None], axis=-1)
    inside = np.minimum(index, len(EDGES) - 1)
    start = np.where(inside > 0, EDGES[inside - 1], 0.0)
    count = np.take_along_axis(buckets, inside[..., None], axis=-1)[..., 0]
    before = np.take_along_axis(cumulative, inside[..., None], axis=-1)[..., 0] - count
    found = start + (EDGES[inside] - start) * np.divide(rank - before, count, out=np.zeros(rank.shape), where=count > 0)
    return np.asarray(np.where(total == 0, np.nan, np.where(index >= len(EDGES), EDGES[-1], found)))


class Stream:
    """Traffic of many independent rollouts; each minute has its own weights."""

    def __init__(self, scenario: Scenario, runs: int, rng: np.random.Generator) -> None:
        self.scenario, self.runs, self.rng = scenario, runs, rng
        self.minute = 0
        self._arms = (scenario.stable, scenario.candidate)
        self._shares = np.array([_bucket_shares(arm) for arm in self._arms])
        self._slow_from = int(np.searchsorted(EDGES, scenario.latency.threshold_milliseconds)) + 1
        self._waiting: Ints = np.zeros((runs, 2, 2), dtype=np.int64)

    def next(self, weights: Floats) -> Minute:
        """Serve a minute; ``weights``: shape (runs,), the candidate's share in percent."""
        scenario, share = self.scenario, weights / 100
        factors = self._bursts()
        requests = self.rng.poisson(60 * scenario.requests_per_second * np.stack([1 - share, share], axis=1))
        error_rates = np.array([arm.error_rate for arm in self._arms])
        failed = self.rng.binomial(requests, np.minimum(error_rates * factors[..., 0], 1.0))
        buckets = self.rng.multinomial(requests, self._with_bursts(factors[..., 1]))
        arrived = self._label(requests)
        self.minute += 1
        return Minute(
            requests=requests, failed=failed, buckets=buckets, outcomes=arrived.sum(axis=2), wrong=arrived[..., 1]
        )

    def _bursts(self) -> Floats:
        cv = self.scenario.burst_cv
        if not cv:
            return np.ones((self.runs, 2, 2))
        return np.asarray(self.rng.gamma(1 / (cv * cv), cv * cv, size=(self.runs, 2, 2)))

    def _with_bursts(self, factors: Floats) -> Floats:
        """Scale the slow buckets by the factor, and the others so that all sum to 1."""
        shares = np.broadcast_to(self._shares, (self.runs, *self._shares.shape)).copy()
        slow = shares[..., self._slow_from :].sum(axis=-1)
        scaled = np.minimum(slow * factors, 1.0)
        shares[..., self._slow_from :] *= (scaled / slow)[..., None]
        shares[..., : self._slow_from] *= ((1 - scaled) / (1 - slow))[..., None]
        return shares

    def _label(self, requests: Ints) -> Ints:
        scenario, drift = self.scenario, self.scenario.drift
        change = drift.change if drift is not None and self.minute >= drift.minute else 0.0
        labelled = self.rng.binomial(requests, [arm.labelled_share for arm in self._arms])
        wrong = self.rng.binomial(labelled, np.array([1 - arm.accuracy - change for arm in self._arms]))
        decided = np.stack([labelled - wrong, wrong], axis=2)
        passed = 1 / scenario.label_delay_minutes
        late = self.rng.binomial(self._waiting, -np.expm1(-passed))
        soon = self.rng.binomial(decided, 1 + np.expm1(-passed) / passed)
        self._waiting += decided - soon - late
        return np.asarray(late + soon)


def _bucket_shares(arm: Arm) -> Floats:
    slower = np.array([1.0, *(arm.share_slower_than(edge) for edge in EDGES), 0.0])
    return np.asarray(slower[:-1] - slower[1:])
