"""How far a rate is above another: an interval that may be looked at at any time, and a test that allows for bursts."""

from dataclasses import dataclass, field
from typing import Any, Final, Self

from claims_sequential.counts import Counts, Pair
from claims_sequential.dispersion import Dispersion, Level
from claims_sequential.normal_mixture import log_mixture, radius, tuned_rho

FEWEST_BATCHES: Final = 6
"""The test says nothing before it knows the dispersion of so many batches."""

TEST_ALPHA: Final = 0.05
"""Chance of a wrong rejection for which the test's mixture is tuned. It holds at any other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidenceSequence:
    """Normal-mixture confidence sequence and test for a mean of weighted batches, divided by their dispersion.

    Papers: see `normal_mixture`; dispersion: see `Dispersion`.
    Assumptions: batches of about ten observations per arm or more, and several bad events in all of them together;
    variances change slowly; the dispersion over the batches stands for whatever makes counts vary more than
    independent events do. What makes outcomes of one arm alike over the whole time (the same few users, again and
    again) is no dispersion between batches: see `CohortSums`.
    Guarantee: asymptotic. In the limit the true mean (weighted by precision) is in all intervals at once with the
    stated confidence, and P(ever log_e_value >= log(1/alpha)) <= alpha while it is not above the border.
    """

    precision: float = 0.0
    """Sum of the batches' weights: one over the variance of each batch's value."""
    weighted: float = 0.0
    """Sum of weight times value."""
    spread: Dispersion = field(default_factory=Dispersion)

    def with_difference(self, batch: Pair, *, stable_rate: float, candidate_rate: float) -> "ConfidenceSequence":
        """Return the sequence of differences candidate - stable after a batch with observations in both arms.

        The rates, each in (0, 1), are those of the past; from them comes the batch's variance.
        """
        stable, candidate = batch.stable, batch.candidate
        if not stable.total or not candidate.total:
            raise ValueError("a difference needs observations of both arms")
        variance = (
            candidate_rate * (1 - candidate_rate) / candidate.total + stable_rate * (1 - stable_rate) / stable.total
        )
        return self._with(1.0 / variance, candidate.bad / candidate.total - stable.bad / stable.total)

    def with_excess(self, counts: Counts, *, limit: float) -> "ConfidenceSequence":
        """Return the sequence of differences rate - ``limit`` after a batch with observations; limit in (0, 1)."""
        if not counts.total:
            raise ValueError("a rate needs observations")
        return self._with(counts.total / (limit * (1 - limit)), counts.bad / counts.total - limit)

    def _with(self, weight: float, value: float) -> "ConfidenceSequence":
        return ConfidenceSequence(
            precision=self.precision + weight,
            weighted=self.weighted + weight * value,
            spread=self.spread.after(weight, value),
        )

    @property
    def batches(self) -> int:
        """How many batches it holds."""
        return self.spread.levels[0].blocks if self.spread.levels else 0

    @property
    def estimate(self) -> float | None:
        """Mean of the batches' values; None before the first batch."""
        return self.weighted / self.precision if self.precision else None

    @property
    def dispersion(self) -> float:
        """Variance of the values over that of independent events, at least 1."""
        return self.spread.value

    def log_e_value(self, *, border: float, scale: float) -> float:
        """Return the log e-value against ``mean <= border``; 0 before `FEWEST_BATCHES`.

        ``scale`` (> 0) is the excess over the border that it is quickest to find.
        """
        if self.batches < FEWEST_BATCHES:
            return 0.0
        dispersion = self.dispersion
        excess = self.weighted - border * self.precision
        return log_mixture(excess / dispersion, self.precision / dispersion, tuned_rho(scale, TEST_ALPHA))

    def interval(self, *, confidence: float, margin: float) -> tuple[float, float] | None:
        """Return the two-sided interval, within [-1, 1]; None before the first batch.

        ``confidence`` in (0, 1); it is narrowest when there is just enough data to tell ``margin`` (> 0) from 0.
        """
        estimate = self.estimate
        if estimate is None:
            return None
        alpha = (1.0 - confidence) / 2.0
        reach = radius(self.precision / self.dispersion, tuned_rho(margin, alpha), alpha)
        return max(estimate - reach, -1.0), min(estimate + reach, 1.0)

    def to_json(self) -> dict[str, Any]:
        """Return the whole state; `from_json` continues the same sequence."""
        return {"precision": self.precision, "weighted": self.weighted, "levels": self.spread.to_json()}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read what `to_json` returned, now or when it was the list [precision, weighted, squared, batches]."""
        if isinstance(data, list):
            precision, weighted, squared, batches = map(float, data)
            whole = Level(blocks=int(batches), weight=precision, weighted=weighted, squared=squared)
            return cls(precision=precision, weighted=weighted, spread=Dispersion.of((whole,) if batches else ()))
        return cls(
            precision=float(data["precision"]),
            weighted=float(data["weighted"]),
            spread=Dispersion.from_json(data["levels"]),
        )
