"""Outcomes that come in cohorts: the same user or policy again and again, always with the same version."""

from dataclasses import dataclass
from typing import Any, Final, Self

from claims_sequential.confidence import TEST_ALPHA
from claims_sequential.counts import Counts
from claims_sequential.normal_mixture import log_mixture, radius, tuned_rho

FEWEST_COHORTS: Final = 20.0
"""With fewer cohorts in an arm their variance is not known, and nothing is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortSums:
    """Sums over the cohorts of one arm: all that the variance between cohorts needs."""

    cohorts: float = 0.0
    total: float = 0.0
    """Observations."""
    bad: float = 0.0
    """Bad events among them."""
    total_squared: float = 0.0
    """Sum of each cohort's squared number of observations; the others alike."""
    bad_squared: float = 0.0
    total_times_bad: float = 0.0

    def moved(self, before: Counts, after: Counts) -> "CohortSums":
        """Return the sums after one cohort's counts have grown; ``before`` is empty for a cohort that is new."""
        return CohortSums(
            cohorts=self.cohorts + bool(after.total) - bool(before.total),
            total=self.total + after.total - before.total,
            bad=self.bad + after.bad - before.bad,
            total_squared=self.total_squared + after.total**2 - before.total**2,
            bad_squared=self.bad_squared + after.bad**2 - before.bad**2,
            total_times_bad=self.total_times_bad + after.total * after.bad - before.total * before.bad,
        )

    @property
    def rate(self) -> float:
        """Share of bad events; for at least one observation."""
        return self.bad / self.total

    @property
    def variance(self) -> float:
        """Variance of `rate`, between cohorts; for at least two cohorts."""
        rate = self.rate
        residual = self.bad_squared - 2.0 * rate * self.total_times_bad + rate * rate * self.total_squared
        return max(residual, 0.0) / (self.total * self.total) * self.cohorts / (self.cohorts - 1.0)

    def to_json(self) -> list[float]:
        """Return the sums in the order of the fields."""
        return [
            self.cohorts, self.total, self.bad, self.total_squared, self.bad_squared, self.total_times_bad
        ]  # fmt: skip

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read what `to_json` returned."""
        cohorts, total, bad, total_squared, bad_squared, total_times_bad = map(float, data)
        return cls(
            cohorts=cohorts,
            total=total,
            bad=bad,
            total_squared=total_squared,
            bad_squared=bad_squared,
            total_times_bad=total_times_bad,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortComparison:
    """Normal-mixture test and confidence sequence for candidate - stable with the variance between cohorts.

    Papers: see `normal_mixture`; variance: Liang, Zeger 1986, "Longitudinal data analysis using generalized linear
    models"; why one may look again while known cohorts bring more outcomes: such estimates at successive looks have
    (nearly) independent increments (Jennison, Turnbull 2000, "Group Sequential Methods", 11).
    Assumptions: cohorts are independent of each other and went to an arm by chance; both arms met the same time, so the
    shares of traffic did not change (otherwise compare within each epoch).
    Guarantee: asymptotic in the number of cohorts; see `ConfidenceSequence`.
    """

    stable: CohortSums = CohortSums()
    candidate: CohortSums = CohortSums()

    @property
    def estimate(self) -> float | None:
        """Candidate - stable; None before there are observations of both."""
        return self.candidate.rate - self.stable.rate if self.stable.total and self.candidate.total else None

    @property
    def _precision(self) -> float:
        if min(self.stable.cohorts, self.candidate.cohorts) < FEWEST_COHORTS:
            return 0.0
        variance = self.stable.variance + self.candidate.variance
        return 1.0 / variance if variance else 0.0

    def log_e_value(self, *, border: float, scale: float) -> float:
        """Return the log e-value against ``difference <= border``; 0 while there are too few cohorts.

        ``scale`` (> 0) is the excess over the border that it is quickest to find.
        """
        precision, estimate = self._precision, self.estimate
        if not precision or estimate is None:
            return 0.0
        return log_mixture(precision * (estimate - border), precision, tuned_rho(scale, TEST_ALPHA))

    def interval(self, *, confidence: float, margin: float) -> tuple[float, float] | None:
        """Return the two-sided interval, within [-1, 1]; None while there are too few cohorts."""
        precision, estimate = self._precision, self.estimate
        if not precision or estimate is None:
            return None
        alpha = (1.0 - confidence) / 2.0
        reach = radius(precision, tuned_rho(margin, alpha), alpha)
        return max(estimate - reach, -1.0), min(estimate + reach, 1.0)
