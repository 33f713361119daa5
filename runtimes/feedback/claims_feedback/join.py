"""The rules that join predictions with outcomes. Pure.

* A prediction is (namespace, ClaimsModel, revision, request id, row). A second one of the same identity is a
  duplicate and changes nothing.
* An outcome names a claim or a row of a request. One that names a claim labels that claim's first prediction in each
  stratum (revision, attempt, epoch); one that names a row labels that row in each revision that answered it.
* "First" is the order in which this service stored them, for predictions as for outcomes. Totals are append-only, so
  a label once given cannot move to a prediction that turns up later with an earlier clock.
* The first outcome of a prediction counts. A later one that differs is a correction: counted once per prediction, in
  a total of its own, and changing no other.
* An outcome is evidence unless its prediction was a tester's, or one of a cohort that has given evidence in that
  stratum before. Those two kinds have totals of their own. Testers' predictions are kept apart altogether: a claim has
  a first prediction among them and one among the others.

* An outcome is representative when it is of a random sample: of an audit, which takes claims whatever was decided of
  them, or by its propensity, the known chance that its claim is labelled at all. Of the latter a claim is kept with the
  chance floor / propensity, so that each claim is labelled and kept with the chance floor, whatever was decided. The
  first representative outcome of a prediction counts in a total of its own, also where another outcome came before it:
  otherwise an audit would miss the claims that were investigated anyway.

* A model that returns a number (severity, price) instead of a decision has numbers as outcomes, and what is counted is
  the relative error. A number and a decision cannot be compared: such an outcome labels nothing, and counts nothing.

Without cohorts it follows that totals depend on the order of predictions among themselves and of outcomes among
themselves, and not on how the two are mixed: an outcome that came before its prediction counts as it would have after
it. With cohorts the mixture decides which outcome of a cohort is its evidence, and not how many are evidence.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from claims_contract import tensors

Model = tuple[str, str]
"""Namespace and name of a ClaimsModel."""


class Decision(StrEnum):
    """What the model returned for a claim."""

    REFER = tensors.REFER
    SETTLE = tensors.SETTLE


class Outcome(StrEnum):
    """What turned out to be true of a claim: positive is what a model should refer."""

    POSITIVE = "positive"
    NEGATIVE = "negative"


Answer = Decision | float
"""What a model returned for a claim: a decision, or a number."""

Truth = Outcome | float
"""What turned out to be true of a claim, in the same terms."""

LEAST_ACTUAL = 1e-9
"""Actual numbers nearer to zero count as this, so that the relative error is finite."""


class Result(StrEnum):
    """A decision compared with its outcome; the names are `claims_contract.metrics.RESULTS`."""

    TP = "tp"
    FP = "fp"
    TN = "tn"
    FN = "fn"


@dataclass(frozen=True, kw_only=True)
class Stratum:
    """What is counted apart: one revision under one set of weights."""

    namespace: str
    model: str
    revision: str
    attempt: int
    epoch: int


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One row of one request, as the revision answered it."""

    stratum: Stratum
    request_id: str
    row: int
    claim_id: str | None
    """None when the request named no claim: then only an outcome that names the row can label it."""
    decision: Decision | None = None
    """None of a model that returns a number."""
    score: float | None = None
    """Probability of the positive class, in [0, 1]; None of a model that returns a number."""
    value: float | None = None
    """The number that the model returned, finite; None of a model that decides."""
    served_at: dt.datetime
    cohort: str | None = None
    """What the caller's requests were assigned to a variant by; None where each request was assigned by itself."""
    is_tester: bool = False
    """Whether a tester sent it, and so met the candidate by choice: it is kept, and never evidence."""

    @property
    def answer(self) -> Answer:
        """What the model returned."""
        answer = self.decision if self.value is None else float(self.value)
        if answer is None:
            raise ValueError("A prediction has a decision, or a value.")
        return answer


@dataclass(frozen=True, kw_only=True)
class ObservedOutcome:
    """What was learnt of a claim, or of one row of a request; exactly one of the two is named."""

    namespace: str
    model: str
    claim_id: str | None = None
    request_id: str | None = None
    row: int | None = None
    outcome: Outcome | None = None
    """None of a model that returns a number."""
    value: float | None = None
    """The number that turned out to be right, finite; None of a model that decides."""
    observed_at: dt.datetime
    is_audit: bool = False
    """Whether the claim was drawn at random to be labelled, whatever was decided of it."""
    propensity: float | None = None
    """The chance that this claim would be labelled, in (0, 1]; None where it is not known."""

    @property
    def truth(self) -> Truth:
        """What turned out to be true."""
        truth = self.outcome if self.value is None else float(self.value)
        if truth is None:
            raise ValueError("An outcome is positive, negative, or a value.")
        return truth


@dataclass(frozen=True, kw_only=True)
class Label:
    """What is known of the truth of one prediction."""

    outcome: Truth | None = None
    """The first outcome; None as long as there is none."""
    corrected: bool = False
    """Whether a later outcome differed from the first."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim of a ClaimsModel: whose records are exported or erased."""

    namespace: str
    model: str
    claim_id: str


class Standing(StrEnum):
    """What the first outcome of a prediction counts as."""

    EVIDENCE = "evidence"
    COHORT_REPEAT = "cohort_repeat"
    TESTER = "tester"


RESULT_OF = {
    (Decision.REFER, Outcome.POSITIVE): Result.TP,
    (Decision.REFER, Outcome.NEGATIVE): Result.FP,
    (Decision.SETTLE, Outcome.NEGATIVE): Result.TN,
    (Decision.SETTLE, Outcome.POSITIVE): Result.FN,
}


def is_comparable(answer: Answer, truth: Truth) -> bool:
    """Return whether both are numbers, or neither is."""
    return isinstance(answer, float) == isinstance(truth, float)


def relative_error(predicted: float, actual: float) -> float:
    """Return |predicted - actual| / |actual|, rounded so that 1.1 is off from 1 by 0.1 and no more."""
    return round(abs(predicted - actual) / max(abs(actual), LEAST_ACTUAL), 9)


def relabel(label: Label, arriving: Iterable[Truth]) -> Label:
    """Return the label after further outcomes, given in the order in which they were stored."""
    outcome, corrected = label.outcome, label.corrected
    for later in arriving:
        if outcome is None:
            outcome = later
        elif later != outcome:
            corrected = True
    return Label(outcome=outcome, corrected=corrected)


def is_representative(observed: ObservedOutcome, *, uniform: float, floor: float) -> bool:
    """Return whether an outcome is of a random sample of all claims.

    ``uniform``: of the claim, in [0, 1), the same each time. ``floor``: the least propensity, in (0, 1]. A claim that
    is labelled with chance p is kept with chance floor / p, independently of what it turned out to be: so the weights
    of Horvitz and Thompson (1952), 1 / p, become 1 / floor for all that are kept, and tests of equal weights hold.
    """
    if observed.is_audit:
        return True
    return observed.propensity is not None and uniform * observed.propensity < floor


def standing_of(*, is_tester: bool, cohort_gave_evidence: bool) -> Standing:
    """Return what a first outcome counts as. ``cohort_gave_evidence``: in this stratum, before this outcome."""
    if is_tester:
        return Standing.TESTER
    return Standing.COHORT_REPEAT if cohort_gave_evidence else Standing.EVIDENCE
