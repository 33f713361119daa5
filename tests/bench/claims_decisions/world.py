"""A gateway and a feedback service that count, and a Prometheus that shows what they counted. One rollout each."""

import datetime as dt
from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from claims_decisions.scenarios import Scenario
from claims_operator.api.names import ObjectKey
from claims_operator.core import queries
from claims_operator.core.snapshot import (
    INFINITE_EDGE,
    Backend,
    Counter,
    OutcomeTotal,
    Snapshot,
    bucket_kind,
    http_kind,
)

KEY: Final = ObjectKey("claims", "claim-risk")
START: Final = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
ATTEMPT: Final = 2
REVISIONS: Final = ("old", "new")
"""Stable's and the candidate's revision, by slot."""
MAX_EPOCHS: Final = 32
PAST_REQUESTS: Final = 72_000
"""What stable had answered when the rollout began."""
PAST_OUTCOMES: Final = 20_000
RESULTS: Final = ("tp", "fn")
"""A right and a wrong decision."""
EDGES: Final = (50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0)

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class World:
    """Traffic of one rollout. ``epoch`` and ``weight`` are set from outside, as the gateway takes them from a route."""

    def __init__(self, scenario: Scenario, rng: np.random.Generator) -> None:
        self.scenario, self.rng = scenario, rng
        self.seconds = 0.0
        self.epoch, self.weight = 1, 0
        self.candidate_requests = 0
        self._arms = (scenario.stable, scenario.candidate)
        self._bursts = np.ones((2, 2))
        self._edges = (*scenario.latency.lower_edges, scenario.latency.threshold_milliseconds)
        self._kinds = [bucket_kind(edge) for edge in self._edges]
        self._slow = np.array([[arm.share_slower_than(edge) for edge in self._edges] for arm in self._arms])
        self._pods: list[dict[tuple[int, str], float]] = [{} for _ in range(scenario.faults.gateway_pods)]
        self._shown = [(dict[tuple[int, str], float](), START.timestamp()) for _ in self._pods]
        # Epoch, slot, and right or wrong.
        self._waiting: Ints = np.zeros((MAX_EPOCHS, 2, 2), dtype=np.int64)
        self._arrived: Ints = np.zeros((MAX_EPOCHS, 2, 2), dtype=np.int64)
        self._totals: tuple[OutcomeTotal, ...] = ()
        self._backends = [
            Backend(namespace=KEY.namespace, route=KEY.name, rule=queries.REST_RULE, slot=slot) for slot in (0, 1)
        ]
        self._count_past()
        if scenario.cohorts is not None:
            self._meet_customers(scenario.cohorts.customers, scenario.cohorts.correlation)

    # Serving --------------------------------------------------------------------------------------------------------

    def serve(self, seconds: float) -> None:
        """Let time pass: requests are answered, and outcomes of earlier ones come in."""
        scenario, share = self.scenario, self.weight / 100
        minute = self.seconds / 60
        self._begin_minute(seconds)
        self.seconds += seconds
        arrivals = self.rng.poisson(scenario.requests_per_second * seconds * np.array([1 - share, share]))
        self.candidate_requests += int(arrivals[1])
        self._count(arrivals, self._bad(arrivals), seconds)
        self._label(self._decide(arrivals, seconds, minute), seconds)

    def _begin_minute(self, seconds: float) -> None:
        cv = self.scenario.burst_cv
        if cv and self.seconds % 60 == 0:
            shape = max(1.0, seconds / 60) / (cv * cv)
            self._bursts = self.rng.gamma(shape, 1 / shape, size=(2, 2))

    def _bad(self, requests: Ints) -> Ints:
        """Return failed requests, and those above each edge, the lowest first; shape (2, 1 + edges)."""
        errors = np.array([arm.error_rate for arm in self._arms]) * self._bursts[:, 0]
        slow = np.minimum(self._slow * self._bursts[:, 1:], 1.0)
        columns = [self.rng.binomial(requests, np.minimum(errors, 1.0)), self.rng.binomial(requests, slow[:, 0])]
        for edge in range(1, len(self._edges)):
            columns.append(self.rng.binomial(columns[-1], slow[:, edge] / slow[:, edge - 1]))
        return np.stack(columns, axis=1)

    def _count(self, requests: Ints, bad: Ints, seconds: float) -> None:
        """Spread the requests over the gateway's pods; one that restarts forgets all but the last part."""
        for number, pod in enumerate(self._pods):
            left = len(self._pods) - number
            part, bad_part = requests, bad
            if left > 1:
                part, bad_part = self._part_of(requests, bad, 1 / left)
                requests, bad = requests - part, bad - bad_part
            if self._happens(self.scenario.faults.resets_per_hour * seconds / 3600):
                pod.clear()
                part, bad_part = self._part_of(part, bad_part, self.rng.random())
            for slot in (0, 1):
                self._add(pod, slot, int(part[slot]), [int(count) for count in bad_part[slot]])

    def _part_of(self, requests: Ints, bad: Ints, share: float) -> tuple[Ints, Ints]:
        """Return a random part of the requests, and the bad ones in it."""
        part = self.rng.binomial(requests, share)
        columns = [self.rng.hypergeometric(bad[:, 0], requests - bad[:, 0], part)]
        whole, whole_part = requests, part
        for column in range(1, bad.shape[1]):
            columns.append(self.rng.hypergeometric(bad[:, column], whole - bad[:, column], whole_part))
            whole, whole_part = bad[:, column], columns[-1]
        return part, np.stack(columns, axis=1)

    def _add(self, pod: dict[tuple[int, str], float], slot: int, total: int, bad: list[int]) -> None:
        failed, *slow = bad
        counted = [(http_kind("2"), total - failed), (http_kind(queries.FAULT_CLASS), failed), (INFINITE_EDGE, total)]
        counted += [(kind, total - slower) for kind, slower in zip(self._kinds, slow, strict=True)]
        for kind, number in counted:
            if number:  # The gateway makes a counter with its first event.
                pod[slot, kind] = pod.get((slot, kind), 0.0) + number

    def _count_past(self) -> None:
        past = np.array([PAST_REQUESTS, 0])
        self._count(past, self._bad(past), 0.0)
        self._past_wrong = int(self.rng.binomial(PAST_OUTCOMES, 1 - self.scenario.stable.accuracy))

    # Outcomes -------------------------------------------------------------------------------------------------------

    def _decide(self, arrivals: Ints, seconds: float, minute: float) -> Ints:
        """Return the right and wrong decisions, by slot, whose outcome will be known."""
        if self.scenario.cohorts is not None:
            return self._decide_for_customers(seconds)
        drift = self.scenario.drift
        change = drift.change if drift is not None and minute >= drift.minute else 0.0
        labelled = self.rng.binomial(arrivals, [arm.labelled_share for arm in self._arms])
        wrong = self.rng.binomial(labelled, [1 - arm.accuracy - change for arm in self._arms])
        return np.stack([labelled - wrong, wrong], axis=1)

    def _meet_customers(self, customers: int, correlation: float) -> None:
        """Give each customer a place between 0 and 1, which says which version he meets, and rates of his own."""
        wrong = np.array([[1 - arm.accuracy] for arm in self._arms])
        spread = 1 / correlation - 1
        self._places = self.rng.random(customers)
        self._rates = self.rng.beta(wrong * spread, (1 - wrong) * spread, size=(2, customers))
        self._known = np.zeros((MAX_EPOCHS, customers), dtype=np.bool_)

    def _decide_for_customers(self, seconds: float) -> Ints:
        scenario = self.scenario
        expected = scenario.requests_per_second * seconds * scenario.stable.labelled_share
        customers = self.rng.integers(len(self._places), size=self.rng.poisson(expected))
        if scenario.cohorts is not None and scenario.cohorts.first_only:
            customers = np.unique(customers[~self._known[self.epoch, customers]])
            self._known[self.epoch, customers] = True
        slots = (self._places[customers] < self.weight / 100).astype(np.int64)
        wrong = (self.rng.random(len(customers)) < self._rates[slots, customers]).astype(np.int64)
        return np.bincount(2 * slots + wrong, minlength=4).reshape(2, 2)

    def _label(self, decided: Ints, seconds: float) -> None:
        """Let outcomes arrive after an exponential time: of those that wait, a fixed share in each interval."""
        passed = seconds / (60 * self.scenario.label_delay_minutes)
        late = self.rng.binomial(self._waiting[: self.epoch + 1], -np.expm1(-passed))
        # Requests come at any time of the interval.
        soon = self.rng.binomial(decided, 1 + np.expm1(-passed) / passed)
        self._waiting[: self.epoch + 1] -= late
        self._arrived[: self.epoch + 1] += late
        self._waiting[self.epoch] += decided - soon
        self._arrived[self.epoch] += soon

    # Looking --------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> dt.datetime:
        """The time."""
        return START + dt.timedelta(seconds=self.seconds)

    @property
    def outcomes(self) -> int:
        """How many outcomes of the rollout's requests are known."""
        return int(self._arrived.sum())

    def scrape(self) -> Snapshot:
        """Let Prometheus scrape, and return what it shows."""
        faults, at = self.scenario.faults, self.now.timestamp()
        for number, pod in enumerate(self._pods):
            if not self._happens(faults.missed_scrape_share):
                self._shown[number] = (dict(pod), at)
        if not self._happens(faults.missed_scrape_share):
            self._totals = self._outcome_totals(at)
        if self._happens(faults.failed_query_share):
            return Snapshot(collected_at=self.now, error="Prometheus does not answer")
        return Snapshot(
            collected_at=self.now,
            gateway=self._gateway(),
            outcomes={(KEY.namespace, KEY.name): self._totals},
            latency_edges=EDGES,
        )

    def _happens(self, share: float) -> bool:
        return bool(share) and self.rng.random() < share

    def _gateway(self) -> Mapping[Backend, tuple[Counter, ...]]:
        found: list[list[Counter]] = [[], []]
        for number, (pod, at) in enumerate(self._shown):
            for (slot, kind), value in pod.items():
                found[slot].append(Counter(kind=kind, instance=f"gateway-{number}", value=value, at=at))
        return {backend: tuple(counters) for backend, counters in zip(self._backends, found, strict=True) if counters}

    def _outcome_totals(self, at: float) -> tuple[OutcomeTotal, ...]:
        past = (PAST_OUTCOMES - self._past_wrong, self._past_wrong)
        totals = [
            OutcomeTotal(revision=REVISIONS[0], attempt=ATTEMPT - 1, epoch=4, result=result, value=float(value), at=at)
            for result, value in zip(RESULTS, past, strict=True)
        ]
        for epoch, slot, result in zip(*np.nonzero(self._arrived), strict=True):
            totals.append(
                OutcomeTotal(
                    revision=REVISIONS[slot],
                    attempt=ATTEMPT,
                    epoch=int(epoch),
                    result=RESULTS[result],
                    value=float(self._arrived[epoch, slot, result]),
                    at=at,
                )
            )
        return tuple(totals)
