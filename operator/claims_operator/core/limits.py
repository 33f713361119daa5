"""What is asked of a candidate: metrics with their limits, the gate of a step, and who is compared with whom."""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final

from claims_operator.api.outcomes import Labels

MARGIN_FACTORS: Final = (5.0, 3.0, 2.0, 1.0)
"""Margins that are tested, as multiples of a metric's own: steps may ask for the wide ones, promotion for 1."""


@dataclass(frozen=True, kw_only=True)
class ErrorLimits:
    """Failed requests, counted at the gateway."""

    max_ratio: float
    """Largest share of failed requests of the candidate, in (0, 1)."""
    margin: float
    """How much larger the candidate's share may be than stable's, in (0, 1)."""

    def __post_init__(self) -> None:
        _require_share("errors.max_ratio", self.max_ratio)
        _require_share("errors.margin", self.margin)


@dataclass(frozen=True, kw_only=True)
class LatencyLimits:
    """Slow requests, counted at the gateway."""

    threshold_milliseconds: int
    """A request is slow when it took longer. Must be an edge of the gateway's latency buckets."""
    min_fraction_under: float
    """Smallest share of requests of the candidate that are not slow, in (0, 1)."""
    margin: float
    """How much larger the candidate's share of slow requests may be than stable's, in (0, 1)."""

    def __post_init__(self) -> None:
        if self.threshold_milliseconds <= 0:
            raise ValueError(f"latency.threshold_milliseconds must be above 0, not {self.threshold_milliseconds}")
        _require_share("latency.min_fraction_under", self.min_fraction_under)
        _require_share("latency.margin", self.margin)


@dataclass(frozen=True, kw_only=True)
class OutcomeLimits:
    """Wrong decisions among those that a metric looks at, by outcomes that arrive late."""

    metric: ClassVar[str]
    margin: float
    """How much larger the candidate's share of wrong decisions may be than stable's, in (0, 1)."""
    min: float | None = None
    """Smallest share of right decisions of the candidate, in (0, 1); None for no such limit."""
    min_labels: int = 1
    """Least outcomes of the candidate that count for the metric, before it may pass; at least 1."""

    def __post_init__(self) -> None:
        _require_share(f"{self.metric}.margin", self.margin)
        if self.min is not None:
            _require_share(f"{self.metric}.min", self.min)
        if self.min_labels < 1:
            raise ValueError(f"{self.metric}.min_labels must be at least 1, not {self.min_labels}")


@dataclass(frozen=True, kw_only=True)
class AccuracyLimits(OutcomeLimits):
    """Wrong decisions of all, or numbers that are off by more than a tolerance."""

    metric: ClassVar[str] = "accuracy"
    tolerance: float | None = None
    """Largest relative error of a number that counts as right, one of claims_contract.metrics.RELATIVE_ERROR_EDGES;
    None for decisions."""


@dataclass(frozen=True, kw_only=True)
class PrecisionLimits(OutcomeLimits):
    """Negative outcomes among claims that were referred."""

    metric: ClassVar[str] = "precision"


@dataclass(frozen=True, kw_only=True)
class RecallLimits(OutcomeLimits):
    """Claims that were settled among those with a positive outcome."""

    metric: ClassVar[str] = "recall"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Everything that is tested in one attempt."""

    confidence: float
    """Of the whole attempt, in (0.5, 1): a wrong rollback and a wrong promotion each have at most 1 - confidence."""
    interval_seconds: float
    """Time between two looks."""
    errors: ErrorLimits | None = None
    latency: LatencyLimits | None = None
    accuracy: AccuracyLimits | None = None
    precision: PrecisionLimits | None = None
    recall: RecallLimits | None = None
    labels: Labels = Labels.COMPLETE

    @property
    def outcomes(self) -> tuple[OutcomeLimits, ...]:
        """What is asked of outcomes, in the order in which it is shown. With `Labels.SELECTIVE` none is tested."""
        return tuple(limits for limits in (self.accuracy, self.precision, self.recall) if limits is not None)

    @property
    def log_needed(self) -> float:
        """Natural logarithm of the e-value at which a test rejects: of 1 / (1 - confidence)."""
        return -math.log(1.0 - self.confidence)

    def __post_init__(self) -> None:
        if not 0.5 < self.confidence < 1:
            raise ValueError(f"confidence must be between 0.5 and 1, not {self.confidence}")
        if self.interval_seconds <= 0:
            raise ValueError(f"interval_seconds must be above 0, not {self.interval_seconds}")


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What the step that is under way asks for before the next."""

    final: bool
    """Whether passing it means promotion: then the absolute limits must be proven too."""
    margin_factor: float = 1.0
    """How much wider than the metric's margin the difference may be, at least 1. Tested is the widest of
    `MARGIN_FACTORS` that is not above it. A final gate takes 1."""
    min_requests: int = 0
    """Requests the candidate must have answered in this epoch."""

    def __post_init__(self) -> None:
        if self.margin_factor < 1 or (self.final and self.margin_factor != 1):
            raise ValueError(f"margin_factor must be at least 1, and 1 for a final gate, not {self.margin_factor}")

    @property
    def tested_factor(self) -> float:
        """The member of `MARGIN_FACTORS` that stands for ``margin_factor``."""
        return max(factor for factor in MARGIN_FACTORS if factor <= self.margin_factor)


@dataclass(frozen=True, kw_only=True)
class Window:
    """Who is compared with whom, since when."""

    namespace: str
    name: str
    """The ClaimsModel, and its HTTPRoute."""
    attempt: int
    epoch: int
    """Counts changes of weight within the attempt, from 0."""
    stable_slot: int | None
    """Index of stable's backendRef; None without a stable revision."""
    candidate_slot: int
    stable_revision: str | None
    candidate_revision: str
    route_key: str
    """Changes when the list of backendRefs changes: the gateway's counters then start from a new baseline."""
    candidate_share: float | None = None
    """Share of the requests that the candidate's weight stands for, in (0, 1), where each request is drawn on its own;
    None where it is not known or cohorts stay with their version: then the split is not tested."""
    not_before: datetime
    """End of the settle time after the last change of weight, with time zone. What the gateway counted before is no
    evidence. The clocks of operator and Prometheus must agree to within the settle time."""

    def __post_init__(self) -> None:
        if self.not_before.tzinfo is None:
            raise ValueError("not_before needs a time zone")
        if self.stable_slot == self.candidate_slot:
            raise ValueError(f"stable and candidate cannot share slot {self.candidate_slot}")
        if self.candidate_share is not None:
            _require_share("candidate_share", self.candidate_share)


def _require_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{name} must be between 0 and 1, not {value}")
