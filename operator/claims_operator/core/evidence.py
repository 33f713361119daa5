"""The state of an attempt's tests: kept in its ClaimsRollout, together with the last raw counters, in one write."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from claims_operator.core.counters import GatewayCounters
from claims_operator.core.limits import Limits
from claims_operator.core.metric import MetricEvidence
from claims_operator.core.questions import questions
from claims_operator.core.split import Split
from claims_operator.core.terms import Term, log_sum, shared

__all__ = ["Evidence", "MetricEvidence"]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The tests of one attempt, and the counters up to which they have counted."""

    metrics: tuple[MetricEvidence, ...]
    attempt: int | None = None
    """Attempt it belongs to; None before the first look."""
    gateway: GatewayCounters = field(default_factory=GatewayCounters)
    outcomes: Mapping[str, float] = field(default_factory=dict)
    """``revision/epoch/result`` → highest total seen."""
    split: Split | None = None
    """How the gateway split the requests of the latest epoch; None where it is not tested."""
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
        asked = questions(limits)
        if asked == tuple([metric.question for metric in self.metrics]):
            return self
        known = {metric.question: metric for metric in self.metrics}
        wanted = (known.get(question) or MetricEvidence.start(question) for question in asked)
        return replace(self, metrics=tuple(wanted))

    @property
    def rollback_terms(self) -> tuple[Term, ...]:
        """Every test that may roll back, with its share of the chance of a wrong rollback."""
        return shared(
            (metric.question.metric, claim, log_e_value)
            for metric in self.metrics
            for claim, log_e_value in metric.claims()
        )

    @property
    def rollback_log_e_value(self) -> float:
        """Logarithm of the weighted mean of the e-values against the candidate; see `terms`."""
        return log_sum(self.rollback_terms)

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
            "split": None if self.split is None else self.split.to_json(),
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
            split=Split.from_json(data["split"]) if data.get("split") else None,
        )
