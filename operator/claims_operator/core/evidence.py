"""The state of an attempt's tests: kept in its ClaimsRollout, together with the last raw counters, in one write."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from claims_operator.core.counters import GatewayCounters
from claims_operator.core.limits import MARGIN_FACTORS, Limits
from claims_operator.core.snapshot import Backend, Counter, OutcomeTotal, Snapshot
from claims_sequential import ConfidenceSequence, Counts, OneSampleTest, Pair, RateHistory, TwoSampleTest, log_mean_exp

__all__ = ["Backend", "Counter", "Evidence", "MetricEvidence", "OutcomeTotal", "Question", "Snapshot"]

ERRORS: Final = "errors"
LATENCY: Final = "latency"
ACCURACY: Final = "accuracy"

RARE_EFFECTS: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.15)
"""How much worse a candidate's errors or latency are looked for."""
ACCURACY_EFFECTS: Final = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16)
"""How much worse a candidate's accuracy is looked for."""
RARE_SHARES: Final = (0.2, 0.5, 1.0)
"""How far inside its margin a candidate's errors and latency are looked for, in margins."""
ACCURACY_SHARES: Final = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
"""The same for accuracy."""
LIMIT_FRACTIONS: Final = (0.0625, 0.25, 0.5, 0.75, 0.875)
"""Which part of an absolute limit a candidate's rate is looked for at, to prove that it is below."""

SEED_OBSERVATIONS: Final = 1_000.0
"""What stable counted before the attempt weighs no more than so many observations."""
MERGE_OBSERVATIONS: Final = 10.0
"""Batches of the confidence sequence hold at least so many observations of each arm."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is tested about one metric. Another question is another test, which starts at the beginning."""

    metric: str
    margin: float
    """Largest acceptable difference candidate - stable of the rate of bad events."""
    limit: float | None
    """Largest acceptable rate of bad events of the candidate; None for no such limit."""

    @property
    def is_bursty(self) -> bool:
        """Whether bad events come in bursts, so that evidence against the candidate is damped by their dispersion."""
        return self.metric != ACCURACY

    @property
    def effects(self) -> tuple[float, ...]:
        """Differences that the rollback test looks for."""
        return ACCURACY_EFFECTS if self.metric == ACCURACY else RARE_EFFECTS

    @property
    def shares(self) -> tuple[float, ...]:
        """Distances from the margin that the promotion tests look for, in margins."""
        return ACCURACY_SHARES if self.metric == ACCURACY else RARE_SHARES


def questions(limits: Limits) -> tuple[Question, ...]:
    """Return what the limits ask, in the order in which it is shown."""
    found = []
    if limits.errors is not None:
        found.append(Question(metric=ERRORS, margin=limits.errors.margin, limit=limits.errors.max_ratio))
    if limits.latency is not None:
        slow = _complement(limits.latency.min_fraction_under)
        found.append(Question(metric=LATENCY, margin=limits.latency.margin, limit=slow))
    if limits.accuracy is not None:
        wrong = None if limits.accuracy.min is None else _complement(limits.accuracy.min)
        found.append(Question(metric=ACCURACY, margin=limits.accuracy.margin, limit=wrong))
    return tuple(found)


def _complement(share: float) -> float:
    return round(1.0 - share, 12)


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Why a metric cannot be judged at present."""

    is_error: bool
    """True where somebody has to change something; False where data may still come."""
    message: str


@dataclass(frozen=True, kw_only=True)
class MetricEvidence:
    """All that is known about one metric of one attempt."""

    question: Question
    history: RateHistory
    """Stable's rate, from the past only."""
    rollback: TwoSampleTest
    promotion: tuple[TwoSampleTest, ...]
    """One test for each of MARGIN_FACTORS."""
    above_limit: OneSampleTest | None
    below_limit: OneSampleTest | None
    sequence: ConfidenceSequence = field(default_factory=ConfidenceSequence)
    pending: Mapping[int, Pair] = field(default_factory=dict)
    """Epoch → counts that are too few for a batch of the sequence."""
    total: Pair = field(default_factory=Pair)
    """Everything that was tested."""
    epoch: int = 0
    epoch_requests: float = 0.0
    """The candidate's observations in ``epoch``."""
    last_at: float | None = None
    """Time of the newest scrape, in seconds since 1970; None before the first."""
    trouble: Trouble | None = None
    """As of the latest look."""

    @classmethod
    def start(cls, question: Question) -> Self:
        """Return the evidence before the first observation."""
        limit = question.limit
        return cls(
            question=question,
            history=RateHistory(),
            rollback=TwoSampleTest.that_candidate_is_worse(question.effects),
            promotion=tuple(_promotion_test(question, factor) for factor in MARGIN_FACTORS),
            above_limit=None if limit is None else OneSampleTest.that_rate_is_above(limit, question.effects),
            below_limit=None if limit is None else OneSampleTest.that_rate_is_below(limit, LIMIT_FRACTIONS),
        )

    def seeded(self, past: Counts) -> Self:
        """Return it with what stable counted before the attempt; only the first such past is taken."""
        if self.history.total or not past.total:
            return self
        share = min(1.0, SEED_OBSERVATIONS / past.total)
        return replace(self, history=RateHistory(total=share * past.total, bad=share * past.bad))

    def after(self, batch: Pair, epoch: int) -> Self:
        """Return the evidence after one batch of requests that were served in ``epoch``."""
        if batch.is_empty:
            return self
        stable_rate = self.history.rate
        power = 1.0 / self.sequence.dispersion if self.question.is_bursty else 1.0
        above, below = self.above_limit, self.below_limit
        added = replace(
            self,
            history=self.history.after(batch.stable),
            rollback=self.rollback.after(batch, stable_rate=stable_rate, power=power),
            promotion=tuple(test.after(batch, stable_rate=stable_rate) for test in self.promotion),
            above_limit=None if above is None else above.after(batch.candidate, power=power),
            below_limit=None if below is None else below.after(batch.candidate),
            total=self.total + batch,
            epoch=epoch,
            epoch_requests=self.requests_in(epoch) + batch.candidate.total,
        )
        return added._merged(batch, epoch, stable_rate)

    def _merged(self, batch: Pair, epoch: int, stable_rate: float) -> Self:
        waiting = self.pending.get(epoch, Pair()) + batch
        others = {other: pair for other, pair in self.pending.items() if other != epoch}
        if min(waiting.stable.total, waiting.candidate.total) < MERGE_OBSERVATIONS:
            return replace(self, pending={**others, epoch: waiting})
        before = self.total.candidate.total - waiting.candidate.total, self.total.candidate.bad - waiting.candidate.bad
        candidate_rate = RateHistory(total=max(before[0], 0.0), bad=max(before[1], 0.0)).rate
        sequence = self.sequence.after(waiting, stable_rate=stable_rate, candidate_rate=candidate_rate)
        return replace(self, sequence=sequence, pending=others)

    def requests_in(self, epoch: int) -> float:
        """Return how many observations of the candidate were made in an epoch that is the latest."""
        return self.epoch_requests if epoch == self.epoch else 0.0

    def promotion_at(self, factor: float) -> TwoSampleTest:
        """Return the test of ``factor`` (one of MARGIN_FACTORS) times the margin."""
        return self.promotion[MARGIN_FACTORS.index(factor)]

    def summary(self) -> dict[str, Any]:
        """Return what a ClaimsRollout records of a step."""
        stable, candidate = self.total.stable, self.total.candidate
        logs = {f"promotionAtMargin{factor:g}": self.promotion_at(factor).log_e_value for factor in MARGIN_FACTORS}
        logs["rollback"] = self.rollback.log_e_value
        if self.above_limit is not None and self.below_limit is not None:
            logs["aboveLimit"] = self.above_limit.log_e_value
            logs["belowLimit"] = self.below_limit.log_e_value
        return {
            "stable": {"samples": round(stable.total), "bad": round(stable.bad)},
            "candidate": {"samples": round(candidate.total), "bad": round(candidate.bad)},
            "difference": self.sequence.estimate,
            "dispersion": round(self.sequence.dispersion, 3),
            "logEValues": {name: round(value, 3) for name, value in logs.items()},
        }

    def to_json(self) -> dict[str, Any]:
        """Return the whole state; `from_json` continues the same tests."""
        data: dict[str, Any] = {
            "question": [self.question.metric, self.question.margin, self.question.limit],
            "history": self.history.to_json(),
            "rollback": self.rollback.to_json(),
            "promotion": [test.to_json() for test in self.promotion],
            "sequence": self.sequence.to_json(),
            "pending": {str(epoch): _pair_to_json(pair) for epoch, pair in sorted(self.pending.items())},
            "total": _pair_to_json(self.total),
            "epoch": self.epoch,
            "epochRequests": self.epoch_requests,
        }
        if self.above_limit is not None and self.below_limit is not None:
            data |= {"aboveLimit": self.above_limit.to_json(), "belowLimit": self.below_limit.to_json()}
        if self.last_at is not None:
            data["lastAt"] = self.last_at
        if self.trouble is not None:
            data["trouble"] = [self.trouble.is_error, self.trouble.message]
        return data

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read what `to_json` returned."""
        metric, margin, limit = data["question"]
        return cls(
            question=Question(metric=metric, margin=margin, limit=limit),
            history=RateHistory.from_json(data["history"]),
            rollback=TwoSampleTest.from_json(data["rollback"]),
            promotion=tuple(TwoSampleTest.from_json(test) for test in data["promotion"]),
            above_limit=OneSampleTest.from_json(data["aboveLimit"]) if "aboveLimit" in data else None,
            below_limit=OneSampleTest.from_json(data["belowLimit"]) if "belowLimit" in data else None,
            sequence=ConfidenceSequence.from_json(data["sequence"]),
            pending={int(epoch): _pair_from_json(pair) for epoch, pair in data["pending"].items()},
            total=_pair_from_json(data["total"]),
            epoch=int(data["epoch"]),
            epoch_requests=float(data["epochRequests"]),
            last_at=data.get("lastAt"),
            trouble=Trouble(is_error=data["trouble"][0], message=data["trouble"][1]) if "trouble" in data else None,
        )


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The tests of one attempt, and the counters up to which they have counted."""

    metrics: tuple[MetricEvidence, ...]
    attempt: int | None = None
    """Attempt it belongs to; None before the first look."""
    gateway: GatewayCounters = field(default_factory=GatewayCounters)
    outcomes: Mapping[str, float] = field(default_factory=dict)
    """``revision/epoch/result`` → highest total seen."""
    error: str | None = None
    """Why the latest look at Prometheus failed."""
    looked_at: float | None = None
    """Time of the latest look that did not, in seconds since 1970."""

    @classmethod
    def empty(cls, limits: Limits) -> Self:
        """Return the evidence before the first look."""
        return cls(metrics=tuple(MetricEvidence.start(question) for question in questions(limits)))

    def asked(self, limits: Limits) -> Self:
        """Return it with the tests that ``limits`` ask for; tests whose question is the same go on."""
        known = {metric.question: metric for metric in self.metrics}
        wanted = (known.get(question) or MetricEvidence.start(question) for question in questions(limits))
        return replace(self, metrics=tuple(wanted))

    @property
    def rollback_terms(self) -> tuple[tuple[str, bool, float], ...]:
        """Metric, whether it is the absolute limit's, and log e-value of each test that may roll back."""
        terms = []
        for metric in self.metrics:
            terms.append((metric.question.metric, False, metric.rollback.log_e_value))
            if metric.above_limit is not None:
                terms.append((metric.question.metric, True, metric.above_limit.log_e_value))
        return tuple(terms)

    @property
    def rollback_log_e_value(self) -> float:
        """Logarithm of the mean e-value against the candidate: valid whatever the dependence of the metrics."""
        terms = self.rollback_terms
        return log_mean_exp([log_value for _, _, log_value in terms]) if terms else -math.inf

    def summary(self) -> dict[str, Any]:
        """Return what a ClaimsRollout records of a step: counts, differences, log e-values (natural) per metric."""
        found: dict[str, Any] = {metric.question.metric: metric.summary() for metric in self.metrics}
        if self.metrics:
            found["rollbackLogEValue"] = round(self.rollback_log_e_value, 3)
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the whole state; `from_json` continues the same tests."""
        return {
            "attempt": self.attempt,
            "metrics": [metric.to_json() for metric in self.metrics],
            "gateway": self.gateway.to_json(),
            "outcomes": dict(sorted(self.outcomes.items())),
            "error": self.error,
            "lookedAt": self.looked_at,
        }

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read what `to_json` returned."""
        return cls(
            metrics=tuple(MetricEvidence.from_json(metric) for metric in data["metrics"]),
            attempt=data["attempt"],
            gateway=GatewayCounters.from_json(data["gateway"]),
            outcomes={str(key): float(value) for key, value in data["outcomes"].items()},
            error=data["error"],
            looked_at=data["lookedAt"],
        )


def _promotion_test(question: Question, factor: float) -> TwoSampleTest:
    margin = min(factor * question.margin, 0.999)
    return TwoSampleTest.that_candidate_is_not_worse_by(margin, [margin * share for share in question.shares])


def _pair_to_json(pair: Pair) -> list[list[float]]:
    return [pair.stable.to_json(), pair.candidate.to_json()]


def _pair_from_json(data: Any) -> Pair:
    stable, candidate = data
    return Pair(stable=Counts.from_json(stable), candidate=Counts.from_json(candidate))
