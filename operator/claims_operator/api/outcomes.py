"""What a ClaimsModel asks of outcomes: gates on accuracy, precision and recall, and which outcomes are evidence."""

from enum import StrEnum
from typing import Final

from pydantic import Field

from claims_operator.api.base import ApiModel
from claims_operator.api.quantities import Duration, Margin, Share, Tolerance

OUTCOME_METRICS: Final = ("accuracy", "precision", "recall")
"""Fields of spec.analysis that are judged from outcomes, in the order in which they are shown."""


class Labels(StrEnum):
    """Which claims get an outcome, and so which outcomes are evidence."""

    COMPLETE = "Complete"
    """Every claim, sooner or later: every outcome is evidence."""
    AUDITED = "Audited"
    """A random sample, whatever was decided: outcomes of the audit are evidence."""
    PROPENSITY = "Propensity"
    """By a chance that each outcome names: a random sample of them is evidence."""
    SELECTIVE = "Selective"
    """By what was decided, in a way that nobody knows: no outcome is evidence."""

    @property
    def is_sample(self) -> bool:
        """Whether outcomes of a random sample are evidence, and others are not."""
        return self in (Labels.AUDITED, Labels.PROPENSITY)


class OutcomeGate(ApiModel):
    """A share of right decisions that a candidate must show, by outcomes that may come weeks late."""

    min: Share | None = Field(default=None, description="Least share of the candidate; not judged where not set.")
    min_labels: int = Field(
        default=100,
        ge=1,
        le=10_000_000,
        description="Outcomes of the candidate that must count for the share before it may pass; it may fail earlier.",
    )
    deadline: Duration = Field(
        default="30d", description="A candidate whose share did not pass is rolled back this long after its start."
    )


class Accuracy(OutcomeGate):
    """The share of decisions that the later outcome confirmed, or of numbers that were near enough."""

    margin: Margin = Field(default="0.02", description="The candidate's share may be lower by less than this.")
    tolerance: Tolerance | None = Field(
        default=None,
        description="For a model that returns a number (severity, price): a prediction is right when it is off by at"
        ' most this share of the actual number, for example "0.1".',
    )


class Precision(OutcomeGate):
    """The share of positive outcomes among the claims that were referred."""

    margin: Margin = Field(default="0.05", description="The candidate's share may be lower by less than this.")


class Recall(OutcomeGate):
    """The share of claims that were referred among those whose outcome is positive."""

    margin: Margin = Field(default="0.05", description="The candidate's share may be lower by less than this.")
