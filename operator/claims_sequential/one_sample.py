"""Is the candidate's rate of bad events above a fixed limit, or below it?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

from claims_sequential.counts import Counts, clip_rate
from claims_sequential.logs import log_mean_exp


@dataclass(frozen=True, slots=True, kw_only=True)
class OneSampleTest:
    """Exact sequential test of one Bernoulli rate against a limit: a mixture of Wald's likelihood ratios.

    Paper: Wald 1945, "Sequential tests of statistical hypotheses"; as an e-process: Ramdas, Grünwald, Vovk, Shafer
    2023, "Game-theoretic statistics and safe anytime-valid inference" (arXiv 2210.01948).
    Assumptions: given the past, each observation of a batch is Bernoulli, independently, with a rate on the null
    hypothesis' side of the limit; it may differ from batch to batch; batch sizes do not depend on the batch's bad
    events.
    Guarantee: P(ever log_e_value >= log(1/alpha)) <= alpha under the null hypothesis, exact at every sample size. It
    holds on the whole side of the limit because a Bernoulli likelihood ratio is monotone in the number of bad events.
    """

    limit: float
    """Border of the null hypothesis, in (0, 1)."""
    alternatives: tuple[float, ...]
    """Rates in (0, 1), all above the limit (testing ``rate <= limit``) or all below (testing ``rate >= limit``)."""
    log_values: tuple[float, ...]
    """Logarithm of the likelihood ratio for each alternative."""

    def __post_init__(self) -> None:
        if not 0 < self.limit < 1:
            raise ValueError(f"a limit must be between 0 and 1, not {self.limit}")
        sides = {rate > self.limit for rate in self.alternatives if 0 < rate < 1 and rate != self.limit}
        if len(sides) != 1 or len(self.log_values) != len(self.alternatives):
            raise ValueError(f"alternatives must be rates on one side of {self.limit}, not {self.alternatives}")

    @classmethod
    def that_rate_is_above(cls, limit: float, effects: Sequence[float]) -> Self:
        """Start a test of ``rate <= limit``; ``effects`` are distances above it; those beyond 1 are left out."""
        rates = tuple(limit + effect for effect in effects if limit + effect < 1) or ((1 + limit) / 2,)
        return cls(limit=limit, alternatives=rates, log_values=(0.0,) * len(rates))

    @classmethod
    def that_rate_is_below(cls, limit: float, fractions: Sequence[float]) -> Self:
        """Start a test of ``rate >= limit``; ``fractions`` of the limit, in (0, 1), are the alternatives."""
        rates = tuple(limit * fraction for fraction in fractions)
        return cls(limit=limit, alternatives=rates, log_values=(0.0,) * len(rates))

    @property
    def log_e_value(self) -> float:
        """Natural logarithm of the e-value: the mean over the alternatives."""
        return log_mean_exp(self.log_values)

    def tempered(self, dispersion: float) -> float:
        """Return the log e-value for counts that vary ``dispersion`` (>= 1) times as much as independent events do.

        Each likelihood ratio is raised to the power of 1 / dispersion, as in quasi-likelihood. That is at most
        ``log_e_value / dispersion``, so where it reaches log(1/alpha), `log_e_value` does too: the exact guarantee is
        kept, and while events come in bursts there is an asymptotic one.
        """
        return log_mean_exp([value / dispersion for value in self.log_values])

    def after(self, counts: Counts) -> Self:
        """Return the test after one batch."""
        good = counts.total - counts.bad
        values = tuple(
            old + counts.bad * if_bad + good * if_good
            for old, (if_bad, if_good) in zip(self.log_values, _log_ratios(self.limit, self.alternatives), strict=True)
        )
        return type(self)(limit=self.limit, alternatives=self.alternatives, log_values=values)

    def to_json(self) -> dict[str, Any]:
        """Return the whole state; `from_json` continues the same test."""
        return {"limit": self.limit, "alternatives": list(self.alternatives), "logs": list(self.log_values)}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read what `to_json` returned."""
        return cls(
            limit=float(data["limit"]),
            alternatives=tuple(map(float, data["alternatives"])),
            log_values=tuple(map(float, data["logs"])),
        )


@lru_cache(maxsize=256)
def _log_ratios(limit: float, alternatives: tuple[float, ...]) -> tuple[tuple[float, float], ...]:
    """Return the log likelihood ratio of a bad event and of a good one, for each alternative."""
    ratios = []
    for rate in map(clip_rate, alternatives):
        if rate == limit or (rate > limit) != (alternatives[0] > limit):
            ratios.append((0.0, 0.0))  # A limit nearer to 0 or 1 than the clipping: the alternative is gone.
        else:
            ratios.append((math.log(rate / limit), math.log((1.0 - rate) / (1.0 - limit))))
    return tuple(ratios)
