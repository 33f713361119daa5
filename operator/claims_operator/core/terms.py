"""How the chance of a wrong rollback is shared among the tests that may roll back.

A candidate is rolled back when the sum of all e-values against it, each times its share, reaches 1 / (1 - confidence).
The shares sum to 1 and are fixed before the first observation. So the sum starts at 1 and is itself an e-process,
whatever the tests have to do with each other (a weighted mean of e-values: Vovk, Wang 2021, "E-values: calibration,
combination and applications", Annals of Statistics 49), and a candidate for which every null hypothesis holds is ever
rolled back with a chance of at most 1 - confidence. There is no second budget beside it: the exact tests that trip on
gross faults are terms of the same sum.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from claims_operator.core.questions import ACCURACY, ERRORS, LATENCY, PRECISION, RECALL
from claims_sequential import log_sum_exp


class Claim(StrEnum):
    """What a test finds that may roll back."""

    WORSE = "worse"
    """More bad events than stable."""
    GROSSLY_WORSE = "grosslyWorse"
    """The same by the gross difference, found at once."""
    ABOVE_LIMIT = "aboveLimit"
    """More bad events than the absolute limit."""
    GROSSLY_ABOVE_LIMIT = "grosslyAboveLimit"
    """The same by the gross difference, found at once."""
    SLOWER = "slower"
    """More requests above a bucket edge below the threshold than stable, by more than the margin."""


METRIC_SHARES: Final[Mapping[str, float]] = {ERRORS: 1.0, LATENCY: 1.0, ACCURACY: 2.0, PRECISION: 1.0, RECALL: 1.0}
"""Accuracy gets most: outcomes are few and late, requests are many. Precision and recall count parts of the same."""

CLAIM_SHARES: Final[Mapping[Claim, float]] = {
    Claim.WORSE: 11.0,
    Claim.GROSSLY_WORSE: 2.0,
    Claim.ABOVE_LIMIT: 2.0,
    Claim.GROSSLY_ABOVE_LIMIT: 1.0,
    Claim.SLOWER: 4.0,
}
"""Within a metric. A gross fault brings so much evidence that a small share costs it a few requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One test's part in the decision to roll back."""

    metric: str
    claim: Claim
    log_e_value: float
    log_share: float
    """Logarithm of its share in the sum."""

    @property
    def log_weighted(self) -> float:
        """Logarithm of the e-value times its share."""
        return self.log_share + self.log_e_value


def shared(tests: Iterable[tuple[str, Claim, float]]) -> tuple[Term, ...]:
    """Return a term for each metric, claim and log e-value; shares depend on which tests there are, and sum to 1."""
    found = tuple(tests)
    shares = _log_shares(tuple([(metric, claim) for metric, claim, _ in found]))
    return tuple(
        Term(metric=metric, claim=claim, log_e_value=log_e_value, log_share=log_share)
        for (metric, claim, log_e_value), log_share in zip(found, shares, strict=True)
    )


@lru_cache(maxsize=64)
def _log_shares(tests: tuple[tuple[str, Claim], ...]) -> tuple[float, ...]:
    whole = sum(METRIC_SHARES[metric] for metric in {metric for metric, _ in tests})
    parts = {metric: sum(CLAIM_SHARES[claim] for name, claim in tests if name == metric) for metric, _ in tests}
    return tuple(
        math.log(METRIC_SHARES[metric] / whole * CLAIM_SHARES[claim] / parts[metric]) for metric, claim in tests
    )


def log_sum(terms: Iterable[Term]) -> float:
    """Return the logarithm of the weighted sum of the e-values; minus infinity without a term."""
    logs = [term.log_weighted for term in terms]
    return log_sum_exp(logs) if logs else -math.inf
