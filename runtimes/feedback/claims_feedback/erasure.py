"""A person's records: what is stored of a claim, and its end.

Erasure leaves the totals as they are, and a keyed hash of what was erased (the claim, and the rows of requests that it
was in): events and outcomes of it that come later are acknowledged, and neither stored nor counted.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from claims_feedback import join, queries
from claims_feedback.database import Row, Statements
from claims_feedback.pseudonyms import Pseudonyms
from claims_feedback.rows import CLAIM_SUBJECT_PARTS, Subject, truth_of


@dataclass(frozen=True, kw_only=True)
class Erased:
    """What was deleted of a claim."""

    predictions: int
    outcomes: int


@dataclass(frozen=True, kw_only=True)
class StoredPrediction:
    """A prediction as it is stored; ids are hashes where the settings say so."""

    revision: str
    attempt: int
    epoch: int
    request_id: str
    row: int
    decision: join.Decision | None
    score: float | None
    value: float | None
    """Of a model that returns a number; then decision and score are None."""
    served_at: dt.datetime
    received_at: dt.datetime | None
    """None for those of a release that did not keep it."""
    outcome: join.Truth | None
    corrected: bool
    is_cohort_repeat: bool
    """Whether its outcome is no evidence, since its cohort had given some."""
    is_tester: bool
    is_sampled: bool
    """Whether it has had a representative outcome."""
    cohort: str | None
    """Its keyed hash; the cohort itself is not stored."""


@dataclass(frozen=True, kw_only=True)
class StoredOutcome:
    """An outcome as it is stored; of the claim, or of a row where request and row are named."""

    request_id: str | None
    row: int | None
    outcome: join.Truth
    is_representative: bool
    """Whether it is of a random sample of all claims."""
    observed_at: dt.datetime
    received_at: dt.datetime | None


@dataclass(frozen=True, kw_only=True)
class ClaimRecords:
    """All that is stored of a claim."""

    predictions: list[StoredPrediction]
    outcomes: list[StoredOutcome]


def token_of(pseudonyms: Pseudonyms, subject: Subject) -> str:
    """Return by what it is known that a claim or a row was erased."""
    kind = "erased claim" if len(subject) == CLAIM_SUBJECT_PARTS else "erased row"
    return pseudonyms.token(kind, *subject[:-1])


def erase(
    statements: Statements, pseudonyms: Pseudonyms, claim: join.Claim, model_id: int, erased_at_ms: int
) -> Erased:
    """Delete what is stored of a claim, and remember that it was erased."""
    by_claim: Subject = (pseudonyms.claim(claim.claim_id), model_id)
    predictions, rows = _find(statements, by_claim)
    outcomes = statements.change(queries.DELETE_OUTCOMES_OF_CLAIM, by_claim)
    outcomes += sum(statements.change(queries.DELETE_OUTCOMES_OF_ROW, row) for row in rows)
    statements.change_each(queries.DELETE_PREDICTION, [(key,) for key in predictions])
    tokens = [(model_id, token_of(pseudonyms, subject), erased_at_ms) for subject in (by_claim, *rows)]
    statements.change_each(queries.INSERT_ERASED, tokens)
    return Erased(predictions=len(predictions), outcomes=outcomes)


def export(statements: Statements, pseudonyms: Pseudonyms, claim: join.Claim) -> ClaimRecords:
    """Return what is stored of a claim, in the order in which it came."""
    found = statements.select("SELECT id FROM model WHERE namespace = ? AND name = ?", (claim.namespace, claim.model))
    if not found:
        return ClaimRecords(predictions=[], outcomes=[])
    by_claim: Subject = (pseudonyms.claim(claim.claim_id), found[0][0])
    predictions, rows = _find(statements, by_claim)
    outcomes = statements.select(queries.EXPORT_OUTCOMES_OF_CLAIM, by_claim)
    outcomes += (each for row in rows for each in statements.select(queries.EXPORT_OUTCOMES_OF_ROW, row))
    return ClaimRecords(
        predictions=[_prediction(statements.select(queries.EXPORT_PREDICTION, [key])[0]) for key in predictions],
        outcomes=[_outcome(values) for values in sorted(outcomes)],
    )


def _find(statements: Statements, by_claim: Subject) -> tuple[list[int], list[Subject]]:
    """Return the ids of a claim's predictions, and what outcomes of their rows name, each once."""
    found = sorted(statements.select(queries.PREDICTION_IDS_OF_CLAIM, by_claim * 2))
    rows: Iterable[Subject] = ((request_id, row, by_claim[1]) for _, request_id, row in found)
    return [key for key, _, _ in found], list(dict.fromkeys(rows))


def _prediction(values: Row) -> StoredPrediction:
    revision, attempt, epoch, request_id, row, decision, score, value, *further = values
    served, received, outcome, actual, *flags, cohort = further
    corrected, is_repeat, is_tester, is_sampled = map(bool, flags)
    return StoredPrediction(
        revision=revision,
        attempt=attempt,
        epoch=epoch,
        request_id=request_id,
        row=row,
        decision=join.Decision(decision) if value is None else None,
        score=score if value is None else None,
        value=value,
        served_at=_moment(served),
        received_at=None if received is None else _moment(received),
        outcome=truth_of(outcome, actual),
        corrected=corrected,
        is_cohort_repeat=is_repeat,
        is_tester=is_tester,
        is_sampled=is_sampled,
        cohort=cohort,
    )


def _outcome(values: Row) -> StoredOutcome:
    _, request_id, row, outcome, value, is_representative, observed, received = values
    return StoredOutcome(
        request_id=request_id,
        row=row,
        outcome=join.Outcome(outcome) if value is None else value,
        is_representative=bool(is_representative),
        observed_at=_moment(observed),
        received_at=None if received is None else _moment(received),
    )


def _moment(milliseconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC)
