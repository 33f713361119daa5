"""Predictions and outcomes as they are stored."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from claims_feedback import join

Subject = tuple[str | int, ...]
"""What an outcome names: (claim id, id of the ClaimsModel), or (request id, row, id of the ClaimsModel)."""

CLAIM_SUBJECT_PARTS: Final = 2

NO_DECISION: Final = join.Decision.SETTLE.value
NO_OUTCOME: Final = join.Outcome.NEGATIVE.value
"""What a row with a number has in the columns of models that decide: those take nothing else, and nobody reads them."""


def truth_of(outcome: str | None, value: float | None) -> join.Truth | None:
    """Return what two columns say; None where it is not known."""
    if value is not None:
        return value
    return join.Outcome(outcome) if outcome else None


@dataclass(kw_only=True, slots=True)
class Candidate:
    """A prediction that outcomes may label."""

    id: int | None = None
    """None while it is not stored."""
    stratum_id: int
    revision_id: int
    answer: join.Answer
    cohort: str | None
    """Its keyed hash."""
    is_tester: bool
    served_at_ms: int
    label: join.Label = field(default_factory=join.Label)
    is_repeat: bool = False
    """Whether its outcome is no evidence, since its cohort had given some."""
    is_sampled: bool = False
    """Whether it has had a representative outcome."""

    @classmethod
    def stored(cls, values: Sequence[Any]) -> "Candidate":
        """Return a prediction that is stored. ``values``: of `queries.CANDIDATE_COLUMNS`."""
        key, stratum_id, revision_id, decision, value, cohort, is_tester, served_at_ms, *label = values
        outcome, actual, *flags = label
        corrected, is_repeat, is_sampled = map(bool, flags)
        return cls(
            id=key,
            stratum_id=stratum_id,
            revision_id=revision_id,
            answer=join.Decision(decision) if value is None else value,
            cohort=cohort,
            is_tester=bool(is_tester),
            served_at_ms=served_at_ms,
            label=join.Label(outcome=truth_of(outcome, actual), corrected=corrected),
            is_repeat=is_repeat,
            is_sampled=is_sampled,
        )

    @property
    def label_values(self) -> tuple[str | None, float | None, int, int, int]:
        """The outcome, whether it was corrected, is a repeat, and had a representative one, as they are stored."""
        outcome = self.label.outcome
        flags = int(self.label.corrected), int(self.is_repeat), int(self.is_sampled)
        if isinstance(outcome, float):
            return None, outcome, *flags
        return outcome.value if outcome else None, None, *flags


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictionRow:
    """A prediction that was sent."""

    model_id: int
    request_id: str
    row: int
    claim_id: str | None
    score: float | None
    candidate: Candidate

    @property
    def identity(self) -> tuple[str, int, int]:
        """What no other prediction has."""
        return self.request_id, self.row, self.candidate.revision_id

    @property
    def claim(self) -> tuple[str, int, int] | None:
        """Of what it may be the first; None where no claim was named."""
        if self.claim_id is None:
            return None
        return self.claim_id, self.candidate.stratum_id, int(self.candidate.is_tester)

    @property
    def row_subject(self) -> Subject:
        """What an outcome names that is of this row."""
        return self.request_id, self.row, self.model_id

    @property
    def subjects(self) -> list[Subject]:
        """All by which an outcome may name it."""
        by_row = self.row_subject
        return [by_row] if self.claim_id is None else [(self.claim_id, self.model_id), by_row]

    def values(self, *, is_first_of_claim: bool, received_at_ms: int) -> tuple[object, ...]:
        """Return the values of `queries.INSERT_PREDICTION`."""
        it = self.candidate
        named = (it.revision_id, it.stratum_id, self.request_id, self.row, self.claim_id, int(is_first_of_claim))
        if isinstance(it.answer, float):
            answer: tuple[str, float, float | None] = (NO_DECISION, 0.0, it.answer)
        else:
            answer = (it.answer.value, self.score or 0.0, None)
        answered = (*answer, it.served_at_ms, it.cohort, int(it.is_tester), received_at_ms)
        return *named, *answered, *it.label_values


@dataclass(frozen=True, kw_only=True, slots=True)
class OutcomeRow:
    """An outcome that was sent."""

    model_id: int
    subject: Subject
    truth: join.Truth
    is_representative: bool
    observed_at_ms: int

    @property
    def said(self) -> tuple[Subject, join.Truth, bool]:
        """What no other outcome says."""
        return self.subject, self.truth, self.is_representative

    @property
    def subjects(self) -> list[Subject]:
        """The one thing it names."""
        return [self.subject]

    def values(self, *, received_at_ms: int) -> tuple[object, ...]:
        """Return the values of `queries.INSERT_OUTCOME`."""
        names_claim = len(self.subject) == CLAIM_SUBJECT_PARTS
        named = (self.subject[0], None, None) if names_claim else (None, *self.subject[:2])
        said = (NO_OUTCOME, self.truth) if isinstance(self.truth, float) else (self.truth.value, None)
        return self.model_id, *named, *said, int(self.is_representative), self.observed_at_ms, received_at_ms
