"""What is tested about a metric, and how far apart the alternatives lie."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Self

from claims_operator.api.outcomes import OUTCOME_METRICS, Labels
from claims_operator.core.limits import MARGIN_FACTORS, AccuracyLimits, Limits
from claims_sequential import OneSampleTest, TwoSampleTest

ERRORS: Final = "errors"
LATENCY: Final = "latency"
ACCURACY: Final = "accuracy"
PRECISION: Final = "precision"
RECALL: Final = "recall"

WORSE_MARGINS: Final = (0.5, 1.25, 3.0, 7.5)
"""How much worse a candidate's decisions are looked for, in margins."""
WORSE_WEIGHTS: Final = (1.0, 2.0, 3.0, 1.0)
"""Most of the attention goes to models that are worse by a few margins: those should be out soonest."""
RARE_SHARES: Final = (0.5, 1.0)
"""How far inside its margin a candidate's errors and latency are looked for, in margins."""
DECISION_SHARES: Final = (0.5, 1.0, 2.0)
"""The same for its decisions; 1 is a candidate equal to stable, 2 one that is better by the margin."""
LIMIT_FRACTIONS: Final = (0.0625, 0.25, 0.5, 0.75, 0.875)
"""Which part of an absolute limit a candidate's rate is looked for at, to prove that it is below."""

GROSS_DIFFERENCE: Final = 0.05
"""A rate so far above stable's, or above its limit, is a gross fault, whatever bursts there are."""
GROSS_LIMITS: Final = 2.0
"""Where the limit says that bad events are common, bursts are larger too: a gross fault is so many limits above it."""
LARGEST_GROSS_DIFFERENCE: Final = 0.5
GROSS_SHARES: Final = (0.2, 0.8)
"""How far beyond that a gross fault is looked for, on the way to a total failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is tested about one metric. Another question is another test, which starts at the beginning."""

    metric: str
    margin: float
    """Largest acceptable difference candidate - stable of the rate of bad events."""
    limit: float | None
    """Largest acceptable rate of bad events of the candidate; None for no such limit."""
    is_of_sample: bool = False
    """Whether only outcomes of the random sample are counted."""
    tolerance: float | None = None
    """Relative error above which a number is wrong; None where decisions are."""

    def to_json(self) -> list[Any]:
        """Return the fields in order."""
        return [self.metric, self.margin, self.limit, self.is_of_sample, self.tolerance]

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read what `to_json` returned; older states end after the limit."""
        metric, margin, limit, is_of_sample, tolerance = [*data, False, None][:5]
        return cls(metric=metric, margin=margin, limit=limit, is_of_sample=is_of_sample, tolerance=tolerance)

    @property
    def is_of_outcomes(self) -> bool:
        """Whether it is counted by outcomes, and not at the gateway."""
        return self.metric in OUTCOME_METRICS

    @property
    def is_bursty(self) -> bool:
        """Whether bad events come in bursts, so that tests against the candidate have to allow for them."""
        return not self.is_of_outcomes

    @property
    def shares(self) -> tuple[float, ...]:
        """Distances from the margin that the promotion tests look for, in margins."""
        return DECISION_SHARES if self.is_of_outcomes else RARE_SHARES

    @property
    def gross_difference(self) -> float:
        """Difference above which a fault is gross."""
        return min(max(GROSS_DIFFERENCE, GROSS_LIMITS * (self.limit or 0.0)), LARGEST_GROSS_DIFFERENCE)

    @property
    def limit_scale(self) -> float:
        """Excess over the limit that is looked for first."""
        return self.margin if self.limit is None else min(self.margin, self.limit)


@lru_cache(maxsize=256)
def questions(limits: Limits) -> tuple[Question, ...]:
    """Return what the limits ask, in the order in which it is shown."""
    found = []
    if limits.errors is not None:
        found.append(Question(metric=ERRORS, margin=limits.errors.margin, limit=limits.errors.max_ratio))
    if limits.latency is not None:
        slow = _complement(limits.latency.min_fraction_under)
        found.append(Question(metric=LATENCY, margin=limits.latency.margin, limit=slow))
    for asked in () if limits.labels is Labels.SELECTIVE else limits.outcomes:
        wrong = None if asked.min is None else _complement(asked.min)
        found.append(
            Question(
                metric=asked.metric,
                margin=asked.margin,
                limit=wrong,
                is_of_sample=limits.labels.is_sample,
                tolerance=asked.tolerance if isinstance(asked, AccuracyLimits) else None,
            )
        )
    return tuple(found)


def _complement(share: float) -> float:
    return round(1.0 - share, 12)


def promotion_tests(question: Question) -> tuple[TwoSampleTest, ...]:
    """Return the tests of "not worse than stable by the margin", one for each of MARGIN_FACTORS."""
    margins = (min(factor * question.margin, 0.999) for factor in MARGIN_FACTORS)
    return tuple(
        TwoSampleTest.that_candidate_is_not_worse_by(margin, [margin * share for share in question.shares])
        for margin in margins
    )


def worse_test(question: Question) -> TwoSampleTest:
    """Return the exact test of "worse than stable"."""
    return TwoSampleTest.that_candidate_is_worse(
        [question.margin * margins for margins in WORSE_MARGINS], weights=WORSE_WEIGHTS
    )


def above_limit_test(question: Question) -> OneSampleTest | None:
    """Return the exact test of "above the limit"; None without a limit."""
    if question.limit is None:
        return None
    return OneSampleTest.that_rate_is_above(question.limit, [question.margin * margins for margins in WORSE_MARGINS])


def gross_test(question: Question) -> TwoSampleTest:
    """Return the test of "worse than stable by the gross difference"."""
    border = question.gross_difference
    return TwoSampleTest.that_candidate_is_worse([(1.0 - border) * share for share in GROSS_SHARES], border=border)


def gross_limit_test(question: Question) -> OneSampleTest | None:
    """Return the test of "above the limit by the gross difference"; None without a limit."""
    if question.limit is None:
        return None
    border = min(question.limit + question.gross_difference, 0.99)
    return OneSampleTest.that_rate_is_above(border, [(1.0 - border) * share for share in GROSS_SHARES])
