"""The rules of `join` over a database.

Everything that one transaction stores is counted in the same transaction, so the totals always equal what the tables
say. `Store` is used by one thread at a time. What is decided here from what was read holds until the commit, since
`Database.writing` keeps other processes from the same ClaimsModels.
"""

import contextlib
import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from claims_feedback import erasure, join, queries, totals
from claims_feedback.database import Database, Statements, select_asked
from claims_feedback.pseudonyms import Pseudonyms
from claims_feedback.rows import CLAIM_SUBJECT_PARTS, Candidate, OutcomeRow, PredictionRow, Subject

Sent = TypeVar("Sent", PredictionRow, OutcomeRow)

Said = tuple[join.Truth, bool]
"""An outcome, and whether it is of a random sample."""

Arrival = tuple[Candidate, Said, int]
"""A prediction, what was said of it, and the time in milliseconds at which that came."""

SAMPLE_COHORT: Final = "/sample"
"""What the token of a cohort ends with that gave evidence of the random sample."""


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What became of the rows of one request."""

    accepted: int
    """Rows that are stored now, the duplicates included."""
    duplicates: int
    """Rows that changed nothing: they had been stored before, or are of a claim that was erased."""
    labelled: int
    """Predictions that got their first outcome."""
    corrections: int
    """Predictions of which an outcome differs from the first, for the first time."""


class Store:
    """Writes predictions and outcomes; every method but `transaction` and `close` runs inside `transaction`."""

    _statements: Statements

    def __init__(
        self, database: Database, pseudonyms: Pseudonyms, *, now: Callable[[], dt.datetime], propensity_floor: float
    ) -> None:
        """``now`` returns the present, with a time zone. ``propensity_floor``: see `join.is_representative`."""
        self.database = database
        self._pseudonyms = pseudonyms
        self._now = now
        self._propensity_floor = propensity_floor
        self._ids: dict[tuple[object, ...], int] = {}
        self._ids_of_session = database.sessions
        self._increments = totals.Increments()
        self._received_at_ms = 0
        self._has_erased = False

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    @contextlib.contextmanager
    def transaction(self, models: Iterable[join.Model]) -> Iterator[None]:
        """Store all of what happens inside, durably, or nothing; raise `errors.DatabaseUnavailable` for nothing.

        ``models``: every ClaimsModel of which something is stored.
        """
        try:
            with self.database.writing(models) as self._statements:
                if self._ids_of_session != self.database.sessions:
                    self._ids.clear()  # Another server may have taken over, or a backup may have been restored.
                    self._ids_of_session = self.database.sessions
                self._received_at_ms = _milliseconds(self._now())
                self._has_erased = bool(self._statements.select("SELECT 1 FROM erased LIMIT 1"))
                yield
                self._increments.write(self._statements)
        except BaseException:
            self._ids.clear()  # Some may have been given in this transaction.
            raise
        finally:
            self._increments.clear()

    def add_predictions(self, predictions: Sequence[join.Prediction]) -> Receipt:
        """Store predictions, and label those whose outcome came before them."""
        new = self._without_stored(self._without_erased(list(map(self._prediction_row, predictions))))
        firsts = self._firsts_of_claims(new)
        labelled, corrections = self._relabel(self._outcomes_before(new, firsts))
        self._statements.change_each(
            queries.INSERT_PREDICTION,
            [
                row.values(is_first_of_claim=is_first, received_at_ms=self._received_at_ms)
                for row, is_first in zip(new, firsts, strict=True)
            ],
        )
        for row in new:
            self._count_prediction(row)
        duplicates = len(predictions) - len(new)
        return Receipt(accepted=len(predictions), duplicates=duplicates, labelled=labelled, corrections=corrections)

    def add_outcomes(self, outcomes: Sequence[join.ObservedOutcome]) -> Receipt:
        """Store outcomes, and label the predictions they are about; one without a prediction waits for it."""
        new = self._without_known(self._without_erased(list(map(self._outcome_row, outcomes))))
        rows = [row.values(received_at_ms=self._received_at_ms) for row in new]
        self._statements.change_each(queries.INSERT_OUTCOME, rows)
        found = self._predictions_of([row.subject for row in new])
        before = {candidate.id: candidate.label_values for each in found.values() for candidate in each}
        labelled, corrections = self._relabel(
            [
                (candidate, (row.truth, row.is_representative), self._received_at_ms)
                for row in new
                for candidate in found[row.subject]
            ]
        )
        after = {candidate.id: candidate.label_values for each in found.values() for candidate in each}
        changed = [(*values, key) for key, values in after.items() if values != before[key]]
        self._statements.change_each(queries.UPDATE_LABEL, changed)
        duplicates = len(outcomes) - len(new)
        return Receipt(accepted=len(outcomes), duplicates=duplicates, labelled=labelled, corrections=corrections)

    def erase_claim(self, claim: join.Claim) -> erasure.Erased:
        """Delete what is stored of a claim, and store nothing of it from now on; the totals stay."""
        self._has_erased = True
        model_id = self._id_of("model", namespace=claim.namespace, name=claim.model)
        return erasure.erase(self._statements, self._pseudonyms, claim, model_id, self._received_at_ms)

    def _prediction_row(self, prediction: join.Prediction) -> PredictionRow:
        stratum, hashes = prediction.stratum, self._pseudonyms
        model_id = self._id_of("model", namespace=stratum.namespace, name=stratum.model)
        revision_id = self._id_of("revision", model_id=model_id, name=stratum.revision)
        stratum_id = self._id_of("stratum", revision_id=revision_id, attempt=stratum.attempt, epoch=stratum.epoch)
        return PredictionRow(
            model_id=model_id,
            request_id=hashes.request(prediction.request_id),
            row=prediction.row,
            claim_id=None if prediction.claim_id is None else hashes.claim(prediction.claim_id),
            score=prediction.score,
            candidate=Candidate(
                stratum_id=stratum_id,
                revision_id=revision_id,
                answer=prediction.answer,
                cohort=None if prediction.cohort is None else hashes.token("cohort", prediction.cohort),
                is_tester=prediction.is_tester,
                served_at_ms=_milliseconds(prediction.served_at),
            ),
        )

    def _outcome_row(self, observed: join.ObservedOutcome) -> OutcomeRow:
        model_id = self._id_of("model", namespace=observed.namespace, name=observed.model)
        subject: Subject
        if observed.claim_id is not None:
            subject = (self._pseudonyms.claim(observed.claim_id), model_id)
        elif observed.request_id is not None and observed.row is not None:
            subject = (self._pseudonyms.request(observed.request_id), observed.row, model_id)
        else:
            raise ValueError("An outcome names a claim, or a request and a row.")
        uniform = self._pseudonyms.uniform("thinning", *subject[:-1])
        return OutcomeRow(
            model_id=model_id,
            subject=subject,
            truth=observed.truth,
            is_representative=join.is_representative(observed, uniform=uniform, floor=self._propensity_floor),
            observed_at_ms=_milliseconds(observed.observed_at),
        )

    def _without_erased(self, rows: Sequence[Sent]) -> Sequence[Sent]:
        """Leave out what is of an erased claim."""
        if not self._has_erased:
            return rows
        tokens = [[(row.model_id, erasure.token_of(self._pseudonyms, each)) for each in row.subjects] for row in rows]
        erased = set(select_asked(self._statements, queries.ERASED, [key for keys in tokens for key in keys]))
        return [row for row, keys in zip(rows, tokens, strict=True) if erased.isdisjoint(keys)]

    def _without_stored(self, rows: Sequence[PredictionRow]) -> list[PredictionRow]:
        """Leave out what is stored already, and what comes twice."""
        identities = [row.identity for row in rows]
        seen = set(select_asked(self._statements, queries.STORED_PREDICTIONS, identities))
        return _first_of_each(rows, identities, seen)

    def _without_known(self, rows: Sequence[OutcomeRow]) -> list[OutcomeRow]:
        """Leave out what was said of the same subject before."""
        waiting = self._outcomes_of([row.subject for row in rows])
        seen = {(subject, *said) for subject, found in waiting.items() for _, said, _ in found}
        return _first_of_each(rows, [row.said for row in rows], seen)

    def _firsts_of_claims(self, rows: Sequence[PredictionRow]) -> list[bool]:
        """Return, for each new prediction in order, whether it is its claim's first in its stratum."""
        claims = [row.claim for row in rows if row.claim is not None]
        seen = set(select_asked(self._statements, queries.FIRSTS_OF_CLAIMS, claims))
        firsts = []
        for row in rows:
            firsts.append(row.claim is not None and row.claim not in seen)
            if row.claim is not None:
                seen.add(row.claim)
        return firsts

    def _outcomes_before(self, rows: Sequence[PredictionRow], firsts: Sequence[bool]) -> list[Arrival]:
        """Return the outcomes that came before their prediction, in the order in which they came."""
        subjects = [row.subjects if is_first else [row.row_subject] for row, is_first in zip(rows, firsts, strict=True)]
        waiting = self._outcomes_of([subject for each in subjects for subject in each])
        return [
            (row.candidate, said, received_at_ms)
            for row, each in zip(rows, subjects, strict=True)
            for _, said, received_at_ms in sorted(found for subject in each for found in waiting[subject])
        ]

    def _outcomes_of(self, subjects: Iterable[Subject]) -> Mapping[Subject, list[tuple[int, Said, int]]]:
        """Return (id, what was said, time at which it came) of every outcome of these subjects."""
        found: defaultdict[Subject, list[tuple[int, Said, int]]] = defaultdict(list)
        for sql, keys in _by_kind(subjects, queries.OUTCOMES_OF_CLAIMS, queries.OUTCOMES_OF_ROWS):
            for row in select_asked(self._statements, sql, keys):
                outcome_id, *subject, outcome, value, sampled, received_at_ms = row
                said = (join.Outcome(outcome) if value is None else value), bool(sampled)
                found[tuple(subject)].append((outcome_id, said, received_at_ms))
        return found

    def _predictions_of(self, subjects: Iterable[Subject]) -> Mapping[Subject, list[Candidate]]:
        """Return the predictions that an outcome of each subject labels; one prediction is one object."""
        found: defaultdict[Subject, list[Candidate]] = defaultdict(list)
        candidates: dict[int, Candidate] = {}
        for sql, keys in _by_kind(subjects, queries.PREDICTIONS_OF_CLAIMS, queries.PREDICTIONS_OF_ROWS):
            for row in select_asked(self._statements, sql, keys):
                subject, stored = tuple(row[: -len(queries.CANDIDATE_COLUMNS)]), row[-len(queries.CANDIDATE_COLUMNS) :]
                found[subject].append(candidates.setdefault(stored[0], Candidate.stored(stored)))
        return found

    def _relabel(self, arrivals: Sequence[Arrival]) -> tuple[int, int]:
        """Give outcomes to predictions, in order; return how many were labelled, and how many corrected."""
        cohorts = [
            (candidate.stratum_id, token)
            for candidate, _, _ in arrivals
            if candidate.cohort is not None and not candidate.is_tester
            for token in (candidate.cohort, candidate.cohort + SAMPLE_COHORT)
        ]
        before = set(select_asked(self._statements, queries.COHORTS_WITH_EVIDENCE, cohorts))
        gave_evidence = dict.fromkeys(before)
        labelled = corrected = 0
        for candidate, (outcome, is_representative), received_at_ms in arrivals:
            if not join.is_comparable(candidate.answer, outcome):
                continue
            label, candidate.label = candidate.label, join.relabel(candidate.label, [outcome])
            if label.outcome is None:
                standing = _standing(candidate, candidate.cohort, gave_evidence)
                candidate.is_repeat = standing is join.Standing.COHORT_REPEAT
                self._count_label(candidate, outcome, standing, received_at_ms)
                labelled += 1
            elif candidate.label.corrected and not label.corrected:
                if not candidate.is_repeat and not candidate.is_tester:
                    self._increments.counts[candidate.stratum_id, totals.CORRECTIONS] += 1
                corrected += 1
            if is_representative and not candidate.is_sampled:
                candidate.is_sampled = True
                self._count_representative(candidate, outcome, gave_evidence)
        new_cohorts = [(*cohort, self._received_at_ms) for cohort in gave_evidence if cohort not in before]
        self._statements.change_each(queries.INSERT_COHORT, new_cohorts)
        return labelled, corrected

    def _count_representative(
        self, candidate: Candidate, outcome: join.Truth, gave_evidence: dict[tuple[int, str], None]
    ) -> None:
        """Count a first outcome of the random sample, once per cohort: whatever outcomes beside it the cohort had."""
        token = None if candidate.cohort is None else candidate.cohort + SAMPLE_COHORT
        if _standing(candidate, token, gave_evidence) is join.Standing.EVIDENCE:
            self._increments.count_representative(candidate.stratum_id, candidate.answer, outcome)

    def _count_label(
        self, candidate: Candidate, outcome: join.Truth, standing: join.Standing, received_at_ms: int
    ) -> None:
        self._increments.count_label(candidate.stratum_id, standing, candidate.answer, outcome)
        if not candidate.is_tester:
            self._increments.observe_delay(candidate.revision_id, received_at_ms - candidate.served_at_ms)

    def _count_prediction(self, row: PredictionRow) -> None:
        candidate = row.candidate
        if candidate.is_tester:
            self._increments.counts[candidate.stratum_id, totals.TESTER_PREDICTIONS] += 1
        elif isinstance(candidate.answer, float):
            self._increments.counts[candidate.stratum_id, totals.NUMBERS] += 1
        else:
            self._increments.counts[candidate.stratum_id, candidate.answer.value] += 1
            self._increments.observe_score(candidate.revision_id, row.score or 0.0)

    def _id_of(self, table: str, **key: str | int) -> int:
        """Return the id of a model, a revision or a stratum, which is stored when it is new."""
        found = self._ids.get((table, *key.values()))
        if found is None:
            columns, given = ", ".join(key), ", ".join("?" * len(key))
            matches = " AND ".join(f"{column} = ?" for column in key)
            values = tuple(key.values())
            self._statements.change(
                f"INSERT INTO {table} ({columns}) VALUES ({given}) ON CONFLICT DO NOTHING",  # noqa: S608
                values,
            )
            ((found,),) = self._statements.select(f"SELECT id FROM {table} WHERE {matches}", values)  # noqa: S608
            self._ids[table, *key.values()] = found
        return int(found)


def _standing(candidate: Candidate, token: str | None, gave_evidence: dict[tuple[int, str], None]) -> join.Standing:
    """Return what a first outcome counts as; remember that its cohort, of this token, has given evidence."""
    cohort = None if token is None else (candidate.stratum_id, token)
    standing = join.standing_of(is_tester=candidate.is_tester, cohort_gave_evidence=cohort in gave_evidence)
    if standing is join.Standing.EVIDENCE and cohort is not None:
        gave_evidence[cohort] = None
    return standing


def _first_of_each(rows: Sequence[Sent], identities: Sequence[object], seen: set[Any]) -> list[Sent]:
    """Return the rows whose identity was not seen before them."""
    new = []
    for row, identity in zip(rows, identities, strict=True):
        if identity not in seen:
            seen.add(identity)
            new.append(row)
    return new


def _by_kind(subjects: Iterable[Subject], of_claims: str, of_rows: str) -> Iterator[tuple[str, list[Subject]]]:
    """Return the query for subjects that are claims with them, and the one for those that are rows."""
    claims: list[Subject] = []
    rows: list[Subject] = []
    for subject in subjects:
        (claims if len(subject) == CLAIM_SUBJECT_PARTS else rows).append(subject)
    yield of_claims, claims
    yield of_rows, rows


def _milliseconds(moment: dt.datetime) -> int:
    return round(moment.timestamp() * 1000)
