"""How long a rollout takes, before it is begun: the shipped tests, fed with what is to be expected.

Each look brings the expected counts (fractions and all) instead of drawn ones, so the tests go the way of their
expected growth and the times are near the medians of rollouts: half of them take longer. Nothing is drawn, so the same
plan always gives the same answer. Bursts, faults and delays between the parts are not in it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from claims_operator.core.evidence import Evidence, MetricEvidence
from claims_operator.core.judging import STEP_FACTORS
from claims_operator.core.limits import AccuracyLimits, Gate, Limits
from claims_operator.core.proof import wanted
from claims_operator.core.questions import ACCURACY
from claims_sequential import Counts, Pair

PAST_OBSERVATIONS: Final = 1_000.0
"""Stable's rate is known from so many."""
LOOKS_PER_SPAN: Final = 50.0
"""A look is at least so small a part of the time that has passed: long rollouts are not looked at more often."""
HORIZON_SECONDS: Final = 365 * 86_400.0
"""After this a rollout counts as undecided."""
WORSE_MARGINS: Final = (1.0, 2.5)
"""How much worse a model is whose refusal is planned, in margins."""


class Ending(StrEnum):
    """How a planned rollout ends."""

    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    UNDECIDED = "Undecided"


@dataclass(frozen=True, kw_only=True)
class PlannedStep:
    """One step of the rollout."""

    weight: float
    """The candidate's share of the requests, in (0, 1)."""
    seconds: float = 0.0
    """It lasts at least so long."""
    min_requests: int = 0
    """The candidate answers at least so many requests in it."""

    def __post_init__(self) -> None:
        if not 0 < self.weight < 1:
            raise ValueError(f"a step's weight must be between 0 and 1, not {self.weight}")
        if not 0 <= self.seconds < math.inf or self.min_requests < 0:
            raise ValueError(
                f"a step's least time and requests must not be below 0: {self.seconds}, {self.min_requests}"
            )


@dataclass(frozen=True, kw_only=True)
class Workload:
    """The requests, and the outcomes that become known."""

    requests_per_second: float
    labelled_share: float = 1.0
    """Share of the requests whose outcome becomes known, in (0, 1]."""
    label_delay_seconds: float = 0.0
    """Mean time until it does; the times are taken for exponential."""

    def __post_init__(self) -> None:
        if not 0 < self.requests_per_second < math.inf:
            raise ValueError(f"requests_per_second must be above 0, not {self.requests_per_second}")
        if not 0 < self.labelled_share <= 1:
            raise ValueError(f"labelled_share must be above 0 and at most 1, not {self.labelled_share}")
        if not 0 <= self.label_delay_seconds < math.inf:
            raise ValueError(f"label_delay_seconds must not be below 0: {self.label_delay_seconds}")


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a rollout comes to, at the middle."""

    ending: Ending
    seconds: float
    candidate_requests: float
    """Requests that the candidate has answered by then."""
    outcomes: float
    """Outcomes that are known by then, of both versions."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long it takes to find out."""

    equal: Expected
    """The candidate is as good as stable."""
    worse: Mapping[float, Expected]
    """By how many margins the candidate is worse → what comes of it."""


def plan(
    *,
    margin: float,
    rate: float,
    workload: Workload,
    steps: Sequence[PlannedStep],
    confidence: float = 0.95,
    interval_seconds: float = 30.0,
) -> Plan:
    """Return the plan of a rollout that is judged by accuracy alone.

    ``margin``, in (0, 1): how much larger the share of wrong decisions may be; ``rate``, in (0, 1): stable's.
    """
    if not 0 < rate < 1:
        raise ValueError(f"rate must be between 0 and 1, not {rate}")
    limits = Limits(confidence=confidence, interval_seconds=interval_seconds, accuracy=AccuracyLimits(margin=margin))

    def worse_by(margins: float) -> Expected:
        rates = {ACCURACY: (rate, min(rate + margins * margin, 1.0))}
        return expected_rollout(limits, rates=rates, workload=workload, steps=steps)

    return Plan(equal=worse_by(0.0), worse={margins: worse_by(margins) for margins in WORSE_MARGINS})


def expected_rollout(
    limits: Limits,
    *,
    rates: Mapping[str, tuple[float, float]],
    workload: Workload,
    steps: Sequence[PlannedStep],
    horizon_seconds: float = HORIZON_SECONDS,
) -> Expected:
    """Return what comes of a rollout.

    ``rates``: for each metric that the limits ask for, stable's and the candidate's rate of bad events, in [0, 1].
    """
    if not steps:
        raise ValueError("a rollout needs at least one step")
    rollout = _Rollout(limits=limits, rates=rates, workload=workload, steps=steps)
    ending = None
    while ending is None and rollout.seconds < horizon_seconds:
        ending = rollout.look()
    return Expected(
        ending=ending or Ending.UNDECIDED,
        seconds=rollout.seconds,
        candidate_requests=rollout.candidate_requests,
        outcomes=rollout.outcomes,
    )


@dataclass(kw_only=True)
class _Rollout:
    limits: Limits
    rates: Mapping[str, tuple[float, float]]
    workload: Workload
    steps: Sequence[PlannedStep]
    seconds: float = 0.0
    candidate_requests: float = 0.0
    outcomes: float = 0.0
    step: int = 0
    step_began: float = 0.0
    step_requests: float = 0.0
    waiting: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Step → requests of stable and of the candidate whose outcome is still to come."""

    def __post_init__(self) -> None:
        past = {
            name: Counts(total=PAST_OBSERVATIONS, bad=PAST_OBSERVATIONS * self.rates[name][0]) for name in self.rates
        }
        empty = Evidence.empty(self.limits)
        self.metrics = tuple([metric.seeded(past[metric.question.metric]) for metric in empty.metrics])

    def look(self) -> Ending | None:
        """Let some time pass, and decide."""
        step = self.steps[self.step]
        left = self.step_began + step.seconds - self.seconds
        passing = max(self.limits.interval_seconds, self.seconds / LOOKS_PER_SPAN)
        if self.limits.interval_seconds < left < passing:
            passing = left
        self.seconds += passing
        requests = self.workload.requests_per_second * passing
        stable, candidate = requests * (1.0 - step.weight), requests * step.weight
        self.candidate_requests += candidate
        self.step_requests += candidate
        labelled = self._labelled(stable, candidate, passing)
        self.outcomes += sum(sum(arms) for arms in labelled.values())
        self.metrics = tuple([self._fed(metric, stable, candidate, labelled, passing) for metric in self.metrics])
        if Evidence(metrics=self.metrics).rollback_log_e_value >= self.limits.log_needed:
            return Ending.ROLLED_BACK
        return self._advance() if self._is_over(step) else None

    def _labelled(self, stable: float, candidate: float, passing: float) -> dict[int, tuple[float, float]]:
        """Return the outcomes that come in, by the step in which their requests were served."""
        share, delay = self.workload.labelled_share, self.workload.label_delay_seconds
        spans = passing / delay if delay else math.inf
        late = -math.expm1(-spans)
        soon = 1.0 - late / spans if delay else 1.0
        came = {step: (late * arms[0], late * arms[1]) for step, arms in self.waiting.items()}
        self.waiting = {step: (arms[0] * (1 - late), arms[1] * (1 - late)) for step, arms in self.waiting.items()}
        mine, rest = came.get(self.step, (0.0, 0.0)), self.waiting.get(self.step, (0.0, 0.0))
        came[self.step] = (mine[0] + soon * share * stable, mine[1] + soon * share * candidate)
        self.waiting[self.step] = (rest[0] + (1 - soon) * share * stable, rest[1] + (1 - soon) * share * candidate)
        return came

    def _fed(
        self,
        metric: MetricEvidence,
        stable: float,
        candidate: float,
        labelled: Mapping[int, tuple[float, float]],
        passing: float,
    ) -> MetricEvidence:
        stable_rate, candidate_rate = self.rates[metric.question.metric]
        batches = labelled if metric.question.is_of_outcomes else {self.step: (stable, candidate)}
        for epoch, (of_stable, of_candidate) in batches.items():
            batch = Pair(
                stable=Counts(total=of_stable, bad=of_stable * stable_rate),
                candidate=Counts(total=of_candidate, bad=of_candidate * candidate_rate),
            )
            metric = metric.after(batch, epoch, seconds=passing)
        return metric

    def _is_over(self, step: PlannedStep) -> bool:
        left = len(self.steps) - 1 - self.step
        gate = Gate(final=not left, margin_factor=STEP_FACTORS[min(left, len(STEP_FACTORS) - 1)])
        is_long_enough = self.seconds - self.step_began >= step.seconds and self.step_requests >= step.min_requests
        return is_long_enough and all(
            claim.log_e_value >= self.limits.log_needed
            for metric in self.metrics
            if gate.final or not metric.question.is_of_outcomes
            for claim in wanted(metric, gate, has_stable=True)
        )

    def _advance(self) -> Ending | None:
        if self.step == len(self.steps) - 1:
            return Ending.PROMOTED
        self.step, self.step_began, self.step_requests = self.step + 1, self.seconds, 0.0
        return None
