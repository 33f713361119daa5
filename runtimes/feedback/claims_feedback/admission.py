"""What no database stores, found before it spoils a transaction that others are in. Pure."""

from collections.abc import Sequence
from typing import Final

from claims_feedback import errors, join

FIELDS: Final = {"request_id": "requestId", "claim_id": "claimId", "cohort": "cohort"}
"""The fields that hold a sender's text, and what the wire calls them."""


def check_propensities(outcomes: Sequence[join.ObservedOutcome], floor: float) -> None:
    """Raise `errors.Unacceptable` that names every propensity below the floor: no sample could be made even with it."""
    problems = tuple(
        errors.Problem(
            index=index,
            where=f"outcomes[{index}].propensity",
            what=f"Expected at least {floor:g}, got {each.propensity:g}. Label such claims more often, send the outcome"
            " without `propensity` (it is no evidence then), or lower CLAIMS_FEEDBACK_PROPENSITY_FLOOR",
        )
        for index, each in enumerate(outcomes)
        if each.propensity is not None and each.propensity < floor
    )
    if problems:
        raise errors.Unacceptable(problems)


def check(predictions: Sequence[join.Prediction], outcomes: Sequence[join.ObservedOutcome]) -> None:
    """Raise `errors.Unacceptable` that names every text with a character that PostgreSQL has no place for."""
    sent = [(f"[{index}].data", index, each) for index, each in enumerate(predictions)]
    told = [(f"outcomes[{index}]", index, each) for index, each in enumerate(outcomes)]
    problems = tuple(
        errors.Problem(index=index, where=f"{where}.{FIELDS[field]}", what="Expected text without U+0000")
        for where, index, each in (*sent, *told)
        for field in FIELDS
        if "\0" in (getattr(each, field, None) or "")
    )
    if problems:
        raise errors.Unacceptable(problems)
