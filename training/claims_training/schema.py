"""The columns of a claims table: what a model may use, what a row must hold, and in which bounds."""

import dataclasses
import re
from typing import Final, Literal

from claims_contract import tensors
from claims_training.errors import InvalidSetting

CLAIM_ID: Final = tensors.CLAIM_ID
"""Column of text, unique: names the claim. Never a feature."""

REPORTED_AT: Final = "reported_at"
"""Column of timestamps (UTC): when the claim was reported. Orders the table in time."""

OUTCOME: Final = "outcome"
"""Column of 0 and 1: 1 where the claim turned out to be one that a person had to look at."""

OUTCOME_AT: Final = "outcome_at"
"""Optional column of timestamps (UTC): when the outcome became known; never before `REPORTED_AT`."""

TRUE_PROBABILITY: Final = "true_probability"
"""Optional column in [0, 1], in generated tables only: the probability that the outcome was drawn with."""

_MODEL_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Feature:
    """One column that models use.

    ``minimum`` and ``maximum`` are inclusive and belong to numbers; ``categories`` belong to categories and are
    sorted. A column that is not ``required`` may hold unknown values.
    """

    name: str
    type: Literal["number", "category"]
    required: bool
    minimum: float = 0.0
    maximum: float = 0.0
    categories: tuple[str, ...] = ()


def _number(name: str, maximum: float, *, required: bool = True) -> Feature:
    return Feature(name=name, type="number", required=required, maximum=maximum)


def _category(name: str, *categories: str, required: bool = False) -> Feature:
    return Feature(name=name, type="category", required=required, categories=tuple(sorted(categories)))


FEATURES: Final[tuple[Feature, ...]] = (
    _category("line", "auto", "health", "home", "life", required=True),
    _category("region", "central", "east", "north", "south", "west"),
    _category("season", "autumn", "spring", "summer", "winter"),
    _category("channel", "agent", "mobile", "phone", "web"),
    _category("cause", "accident", "fire", "illness", "injury", "storm", "theft", "water"),
    _number("claim_amount", 5_000_000),  # Whole currency, as claimed.
    _number("policy_limit", 10_000_000),  # Whole currency, the most that the policy pays.
    _number("policy_age_days", 36_500),
    _number("claimant_age_years", 120, required=False),
    _number("prior_claims", 100),  # Of the same claimant, in five years.
    _number("report_delay_days", 3_650),  # From incident to report.
    _number("documents_missing", 50, required=False),
)
"""In the order of the columns that a model sees."""

FEATURE_NAMES: Final = tuple(feature.name for feature in FEATURES)
NUMBERS: Final = tuple(feature for feature in FEATURES if feature.type == "number")
CATEGORIES: Final = tuple(feature for feature in FEATURES if feature.type == "category")
LINES: Final = FEATURES[0].categories


def check_model_name(name: str) -> str:
    """Return ``name`` when Kubernetes could carry it as a label too; raise `InvalidSetting` otherwise."""
    if _MODEL_NAME.fullmatch(name) is None:
        msg = f"{name!r} is no model name: write lower-case letters, digits and '-' only, 63 at most, like claim-risk"
        raise InvalidSetting(msg)
    return name
