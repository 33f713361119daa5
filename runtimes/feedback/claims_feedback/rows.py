"""Predictions and outcomes as they are stored."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from claims_feedback import join

Subject = tuple[str | int, ...]
"""What an outcome names: (claim id, id of the ClaimsModel), or (request id, row, id of the ClaimsModel)."""

CLAIM_SUBJECT_PARTS: Final = 2


@dataclass(kw_only=True, slots=True)
class Candidate:
    """A prediction that outcomes may label."""

    id: int | None = None
    """None while it is not stored."""
    stratum_id: int
    revision_id: int
    decision: join.Decision
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
        key, stratum_id, revision_id, decision, cohort, is_tester, served_at_ms, outcome, *flags = values
        corrected, is_repeat, is_sampled = map(bool, flags)
        return cls(
            id=key,
            stratum_id=stratum_id,
            revision_id=revision_id,
            decision=join.Decision(decision),
            cohort=cohort,
            is_tester=bool(is_tester),
            served_at_ms=served_at_ms,
            label=join.Label(outcome=join.Outcome(outcome) if outcome else None, corrected=corrected),
            is_repeat=is_repeat,
            is_sampled=is_sampled,
        )

    @property
    def label_values(self) -> tuple[str | None, int, int, int]:
        """The outcome, whether it was corrected, is a repeat, and had a representative one, as they are stored."""
        outcome = self.label.outcome
        flags = int(self.label.corrected), int(self.is_repeat), int(self.is_sampled)
        return outcome.value if outcome else None, *flags


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictionRow:
    """A prediction that was sent."""

    model_id: int
    request_id: str
    row: int
    claim_id: str | None
    score: float
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
        answered = (it.decision.value, self.score, it.served_at_ms, it.cohort, int(it.is_tester), received_at_ms)
        return *named, *answered, *it.label_values


@dataclass(frozen=True, kw_only=True, slots=True)
class OutcomeRow:
    """An outcome that was sent."""

    model_id: int
    subject: Subject
    outcome: join.Outcome
    is_representative: bool
    observed_at_ms: int

    @property
    def said(self) -> tuple[Subject, join.Outcome, bool]:
        """What no other outcome says."""
        return self.subject, self.outcome, self.is_representative

    @property
    def subjects(self) -> list[Subject]:
        """The one thing it names."""
        return [self.subject]

    def values(self, *, received_at_ms: int) -> tuple[object, ...]:
        """Return the values of `queries.INSERT_OUTCOME`."""
        names_claim = len(self.subject) == CLAIM_SUBJECT_PARTS
        named = (self.subject[0], None, None) if names_claim else (None, *self.subject[:2])
        said = self.outcome.value, int(self.is_representative)
        return self.model_id, *named, *said, self.observed_at_ms, received_at_ms
