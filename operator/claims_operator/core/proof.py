"""What a gate asks a metric to show, and how long that takes when things go on as they are."""

import math
from dataclasses import dataclass
from typing import Final

from claims_operator.core.limits import Gate
from claims_operator.core.metric import Burstiness, MetricEvidence
from claims_sequential import Counts, OneSampleTest, Pair, TwoSampleTest, clip_rate, log_mean_exp

FEWEST_OBSERVATIONS: Final = 30.0
"""Of each arm: with fewer nothing is said about the time."""
SECONDS_PER_BATCH: Final = 60.0
"""How often bursts are learnt about."""
BISECTIONS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One claim that a gate asks for."""

    test: TwoSampleTest | OneSampleTest
    difference: float | None
    """Largest difference to stable that is to be shown; None for a claim about the limit."""
    burstiness: Burstiness
    """Of the counts that the test was fed with; it tempers the evidence."""

    @property
    def log_e_value(self) -> float:
        """Natural logarithm of the e-value for the claim."""
        return self.test.tempered(self.burstiness.dispersion())


def wanted(metric: MetricEvidence, gate: Gate, *, has_stable: bool) -> tuple[Wanted, ...]:
    """Return the claims that a gate asks for: against stable by the step's margin, at the end below the limit too."""
    found = []
    if has_stable:
        factor = gate.tested_factor
        test, difference = metric.promotion_at(factor), factor * metric.question.margin
        found.append(Wanted(test=test, difference=difference, burstiness=metric.burstiness(is_final=gate.final)))
    if metric.below_limit is not None and (gate.final or not has_stable):
        burstiness = metric.limit_burstiness(is_final=gate.final)
        found.append(Wanted(test=metric.below_limit, difference=None, burstiness=burstiness))
    return tuple(found)


def seconds_to_show(metric: MetricEvidence, claim: Wanted, log_needed: float) -> float | None:
    """Return how long a claim takes; infinity where the present rates do not lead there, None where they are not known.

    By the expected growth of each alternative's log likelihood ratio per second, at the rates of bad events as they are
    estimated now and at the pace at which observations come in. No promise: it takes longer about as often as not.
    """
    second = _expected_second(metric)
    if second is None:
        return None
    now = claim.test
    if isinstance(now, TwoSampleTest):
        then = now.after(second, stable_rate=metric.history.rate).log_values
    else:
        then = now.after(second.candidate).log_values
    growth = [new - old for new, old in zip(then, now.log_values, strict=True)]
    return _seconds_until(claim, growth, log_needed)


def _expected_second(metric: MetricEvidence) -> Pair | None:
    """Return what one second brings on average: fractions of observations."""
    pace, total, difference = metric.pace, metric.total, metric.estimated_difference
    is_comparable = total.stable.total >= FEWEST_OBSERVATIONS and pace.stable_per_second > 0
    if difference is None or not is_comparable or total.candidate.total < FEWEST_OBSERVATIONS:
        return None
    if not pace.candidate_per_second:
        return None
    stable_rate = metric.history.rate
    candidate_rate = clip_rate(stable_rate + difference)
    return Pair(
        stable=_expected(pace.stable_per_second, stable_rate),
        candidate=_expected(pace.candidate_per_second, candidate_rate),
    )


def _expected(total: float, rate: float) -> Counts:
    return Counts(total=total, bad=total * rate)


def _seconds_until(claim: Wanted, growth: list[float], log_needed: float) -> float:
    """Return when the claim's evidence reaches the level; infinity for never."""
    values = claim.test.log_values

    def log_e_value(seconds: float) -> float:
        dispersion = claim.burstiness.dispersion(more_batches=seconds / SECONDS_PER_BATCH)
        return log_mean_exp([(value + each * seconds) / dispersion for value, each in zip(values, growth, strict=True)])

    if log_e_value(0.0) >= log_needed:
        return 0.0
    level = (log_needed + math.log(len(values))) * claim.burstiness.dispersion()
    low = 0.0
    high = min(
        [(level - value) / each for value, each in zip(values, growth, strict=True) if each > 0], default=math.inf
    )
    if math.isinf(high):
        return high
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if log_e_value(middle) >= log_needed:
            high = middle
        else:
            low = middle
    return high
