"""Is the candidate's rate of bad events worse than stable's, or at least not worse by a margin?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from claims_sequential.counts import Pair, clip_rate
from claims_sequential.logs import log_mean_exp, log_weights

RELATIVE_PRECISION = 1e-15
SMALL_NEWTON_STEP = 1e-9
MAX_ITERATIONS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoSampleTest:
    """Exact sequential test of two Bernoulli rates, batch by batch, stratum by stratum.

    Paper: Turner, Ly, Grünwald 2024, "Generic E-variables for exact sequential k-sample tests that allow for optional
    stopping" (arXiv 2106.02693); margins and strata: Turner, Grünwald (arXiv 2203.09785, 2302.11401).
    Assumptions: given the past, each observation of a batch is Bernoulli with its arm's rate, independently; the sizes
    of a batch do not depend on its own bad events; the rates may change from batch to batch at will, as long as their
    difference stays in the null hypothesis; ``stable_rate`` comes from the past only.
    Guarantee: under the null hypothesis the expected e-value is at most 1 at every look, so
    P(ever log_e_value >= log(1/alpha)) <= alpha. Exact at every sample size.
    What does not hold from totals alone: events in bursts are not independent (see `ConfidenceSequence`, `tempered`),
    nor are the outcomes of a few users who always meet the same version (count the first of each, or see `cohorts`).
    """

    null_difference: float
    """Border of the null hypothesis for candidate - stable, in (-1, 1)."""
    effects: tuple[float, ...]
    """Alternatives, as distances of candidate - stable from the border: positive tests ``<= border``, negative
    tests ``>= border``. All of one sign, none 0."""
    log_values: tuple[float, ...]
    """Logarithm of the likelihood ratio for each alternative, times its weight; the weights' mean is 1."""

    def __post_init__(self) -> None:
        if not -1 < self.null_difference < 1:
            raise ValueError(f"the border must be between -1 and 1, not {self.null_difference}")
        if not self.effects or not (min(self.effects) > 0 or max(self.effects) < 0):
            raise ValueError(f"effects must be all positive or all negative, not {self.effects}")
        if len(self.log_values) != len(self.effects):
            raise ValueError("there must be one log value per effect")

    @classmethod
    def that_candidate_is_worse(
        cls, effects: Sequence[float], *, border: float = 0.0, weights: Sequence[float] = ()
    ) -> Self:
        """Start a test of ``candidate - stable <= border``; rejecting it is a reason to roll back.

        ``weights``, one per effect and above 0, say which effects are looked for first; all the same without.
        """
        ups = tuple(abs(effect) for effect in effects)
        return cls(null_difference=border, effects=ups, log_values=log_weights(weights or (1.0,) * len(ups)))

    @classmethod
    def that_candidate_is_not_worse_by(cls, margin: float, effects: Sequence[float]) -> Self:
        """Start a test of ``candidate - stable >= margin``; rejecting it is a reason to promote."""
        downs = tuple(-abs(effect) for effect in effects)
        return cls(null_difference=margin, effects=downs, log_values=(0.0,) * len(downs))

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

    def after(self, batch: Pair, *, stable_rate: float) -> Self:
        """Return the test after one batch of one stratum; ``stable_rate``: stable's rate as it looked before it."""
        if batch.is_empty:
            return self
        stable_rate, border = clip_rate(stable_rate), self.null_difference
        stable, candidate = batch.stable, batch.candidate
        stable_good, candidate_good = stable.total - stable.bad, candidate.total - candidate.bad
        values = []
        for old, effect in zip(self.log_values, self.effects, strict=True):
            candidate_rate = clip_rate(stable_rate + border + effect)
            if (candidate_rate - stable_rate - border) * effect <= 0:
                values.append(old)  # Clipping moved the alternative into the null hypothesis: nothing to be learnt.
                continue
            null_rate = project(
                stable_rate, candidate_rate, border, stable_total=stable.total, candidate_total=candidate.total
            )
            # A count of 0 has no part, whatever the ratio: the null rate may be 0 or 1 then.
            if stable.bad:
                old += stable.bad * math.log(stable_rate / null_rate)
            if stable_good:
                old += stable_good * math.log((1.0 - stable_rate) / (1.0 - null_rate))
            if candidate.bad:
                old += candidate.bad * math.log(candidate_rate / (null_rate + border))
            if candidate_good:
                old += candidate_good * math.log((1.0 - candidate_rate) / (1.0 - null_rate - border))
            values.append(old)
        return type(self)(null_difference=border, effects=self.effects, log_values=tuple(values))

    def to_json(self) -> dict[str, Any]:
        """Return the whole state; `from_json` continues the same test."""
        return {"border": self.null_difference, "effects": list(self.effects), "logs": list(self.log_values)}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read what `to_json` returned."""
        return cls(
            null_difference=float(data["border"]),
            effects=tuple(map(float, data["effects"])),
            log_values=tuple(map(float, data["logs"])),
        )


def project(
    stable_rate: float, candidate_rate: float, border: float, *, stable_total: float, candidate_total: float
) -> float:
    """Return stable's rate ``a`` in the point ``(a, a + border)`` nearest to the alternative.

    Nearest by ``stable_total * KL(stable_rate || a) + candidate_total * KL(candidate_rate || a + border)``, which is
    convex in ``a``. The test is valid only at the minimum itself, so this runs to convergence: safeguarded Newton on
    the derivative times its (positive) denominators, a cubic without poles. Rates are in (0, 1); one total is positive.
    """
    low, high = stable_rate, candidate_rate - border
    if low > high:
        low, high = high, low
    low, high = max(low, 0.0, -border), min(high, 1.0, 1.0 - border)
    if not stable_total or not candidate_total or low >= high:
        own = stable_rate if stable_total else candidate_rate - border
        return min(max(own, 0.0, -border), 1.0, 1.0 - border)
    if border == 0:
        return (stable_total * stable_rate + candidate_total * candidate_rate) / (stable_total + candidate_total)
    # Where the two terms would meet if their variances did not change on the way.
    stable_weight = stable_total / (stable_rate * (1 - stable_rate))
    candidate_weight = candidate_total / (candidate_rate * (1 - candidate_rate))
    start = (stable_weight * stable_rate + candidate_weight * (candidate_rate - border)) / (
        stable_weight + candidate_weight
    )
    rate = start if low < start < high else (low + high) / 2
    last_step = 2 * (high - low)
    for _ in range(MAX_ITERATIONS):
        b = rate + border
        left, right = b * (1 - b), rate * (1 - rate)
        value = stable_total * (rate - stable_rate) * left + candidate_total * (b - candidate_rate) * right
        slope = stable_total * (left + (rate - stable_rate) * (1 - 2 * b)) + candidate_total * (
            right + (b - candidate_rate) * (1 - 2 * rate)
        )
        if value > 0:
            high = rate
        else:
            low = rate
        newton = rate - value / slope if slope else low
        is_safe = low <= newton <= high and abs(newton - rate) < last_step / 2
        following = newton if is_safe else (low + high) / 2
        last_step = abs(following - rate)
        rate = following
        # Newton's error is squared with each step: after a small one the rest is below a double's precision.
        if last_step <= (SMALL_NEWTON_STEP if is_safe else RELATIVE_PRECISION) * rate:
            break
    return rate
