"""An interval for candidate - stable that may be looked at at any time, and how bursty the counts are."""

import math
from dataclasses import dataclass
from typing import Any, Self

from claims_sequential.counts import Pair

LARGEST_DISPERSION = 50.0
"""Bound of the dispersion, so that a sudden total failure is never taken for mere burstiness."""

PRIOR_DISPERSION = 5.0
PRIOR_BATCHES = 5.0
"""Before there are batches to learn from, dispersion is taken for PRIOR_DISPERSION, as if from PRIOR_BATCHES."""


@dataclass(frozen=True, kw_only=True)
class ConfidenceSequence:
    """Normal-mixture confidence sequence for a difference of two rates, stratified and weighted by precision.

    Paper: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas 2024, "Time-uniform central limit theory and asymptotic
    confidence sequences" (arXiv 2103.06473); boundary: Howard, Ramdas, McAuliffe, Sekhon 2021 (arXiv 1810.08240).
    Assumptions: batches of at least about ten observations per arm; variances change slowly; Pearson's dispersion
    over the batches stands for whatever makes counts vary more than Bernoulli's.
    Guarantee: asymptotic. In the limit the true (precision-weighted) difference is in all intervals at once with the
    stated confidence. It is for people to look at; decisions rest on the exact tests.
    """

    precision: float = 0.0
    """Sum of the batches' weights: one over the variance of each batch's difference."""
    weighted: float = 0.0
    """Sum of weight times difference."""
    squared: float = 0.0
    """Sum of weight times squared difference."""
    batches: int = 0

    def after(self, batch: Pair, *, stable_rate: float, candidate_rate: float) -> "ConfidenceSequence":
        """Return the sequence after one batch with observations in both arms.

        The rates, each in (0, 1), are those of the past; from them comes the batch's variance.
        """
        stable, candidate = batch.stable, batch.candidate
        if not stable.total or not candidate.total:
            raise ValueError("a difference needs observations of both arms")
        difference = candidate.bad / candidate.total - stable.bad / stable.total
        weight = 1.0 / (
            candidate_rate * (1 - candidate_rate) / candidate.total + stable_rate * (1 - stable_rate) / stable.total
        )
        return ConfidenceSequence(
            precision=self.precision + weight,
            weighted=self.weighted + weight * difference,
            squared=self.squared + weight * difference * difference,
            batches=self.batches + 1,
        )

    @property
    def estimate(self) -> float | None:
        """Estimated difference candidate - stable; None before the first batch."""
        return self.weighted / self.precision if self.batches else None

    @property
    def dispersion(self) -> float:
        """Variance of the batches' differences over that of Bernoulli counts, in [1, LARGEST_DISPERSION]."""
        residual = PRIOR_DISPERSION * PRIOR_BATCHES
        if self.batches:
            residual += max(0.0, self.squared - self.weighted * self.weighted / self.precision)
        found = residual / (PRIOR_BATCHES + max(0, self.batches - 1))
        return min(max(found, 1.0), LARGEST_DISPERSION)

    def interval(self, *, confidence: float, margin: float) -> tuple[float, float] | None:
        """Return the two-sided interval, within [-1, 1]; None before the first batch.

        ``confidence`` in (0, 1); it is narrowest when there is just enough data to tell ``margin`` (> 0) from 0.
        """
        estimate = self.estimate
        if estimate is None:
            return None
        alpha = (1.0 - confidence) / 2.0
        log_term = 2.0 * math.log(1.0 / (2.0 * alpha))
        rho = 9.0 / (margin * margin) / (log_term + math.log(1.0 + log_term))
        precision = self.precision / self.dispersion
        spread = (precision + rho) * math.log((precision + rho) / (4.0 * alpha * alpha * rho) + 1.0)
        radius = math.sqrt(spread) / precision
        return max(estimate - radius, -1.0), min(estimate + radius, 1.0)

    def to_json(self) -> list[float]:
        """Return [precision, weighted, squared, batches]."""
        return [self.precision, self.weighted, self.squared, self.batches]

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read what `to_json` returned."""
        precision, weighted, squared, batches = data
        return cls(precision=float(precision), weighted=float(weighted), squared=float(squared), batches=int(batches))
