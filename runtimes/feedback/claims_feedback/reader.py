"""Reads of the database; they may be called from any thread, and wait for no writer."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from claims_feedback import erasure, join, queries, totals
from claims_feedback.database import Database, Row
from claims_feedback.pseudonyms import Pseudonyms


@dataclass(frozen=True, kw_only=True)
class Totals:
    """The totals of one stratum since the database was created. They never fall."""

    stratum: join.Stratum
    decisions: dict[join.Decision, int]
    """Predictions, but for those of testers."""
    numbers: int
    """Predictions that are a number, but for those of testers."""
    results: dict[join.Result, int]
    """First outcomes that are evidence."""
    corrections: int
    """Predictions with evidence of which a later outcome differed from the first."""
    cohort_repeats: int
    """First outcomes that are no evidence, since their cohort had given some."""
    tester_predictions: int
    tester_outcomes: int
    """First outcomes of testers' predictions."""
    representative: dict[join.Result, int]
    """First outcomes of the random sample."""


@dataclass(frozen=True, kw_only=True)
class RelativeErrors:
    """How far numbers were off, of one stratum since the database was created."""

    stratum: join.Stratum
    counts: tuple[int, ...]
    """By bucket of `totals.ERROR_EDGES`, not cumulated; the last is of those beyond the last edge."""


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """What was observed of one revision since the database was created."""

    namespace: str
    model: str
    revision: str
    counts: tuple[int, ...]
    """Observations by bucket, not cumulated; the last is of those beyond the last edge."""
    sum: float
    """Of what was observed."""


class Reader:
    """Answers from the database."""

    def __init__(self, database: Database, pseudonyms: Pseudonyms) -> None:
        """``pseudonyms`` finds a claim whose id is stored as a hash."""
        self._database = database
        self._pseudonyms = pseudonyms

    def totals(self, *, namespace: str | None = None, model: str | None = None) -> list[Totals]:
        """Return the totals of every stratum, or of those of one namespace or model; by ClaimsModel, then by age."""
        with self._database.reading() as statements:
            rows = statements.select(queries.SELECT_TOTALS, (namespace, model))
        return list(map(_totals, rows))

    def scores(self) -> list[Histogram]:
        """Return the scores of every revision, by `totals.SCORE_EDGES`."""
        return list(self._histograms(totals.SCORE, buckets=len(totals.SCORE_EDGES) + 1, unit=1_000_000))

    def delays(self) -> list[Histogram]:
        """Return the seconds from prediction to outcome of every revision, by `totals.DELAY_EDGES_SECONDS`."""
        return list(self._histograms(totals.DELAY, buckets=len(totals.DELAY_EDGES_SECONDS) + 1, unit=1_000))

    def relative_errors(self, *, is_sample: bool) -> list[RelativeErrors]:
        """Return how far numbers were off by all outcomes that are evidence, or by those of the random sample."""
        with self._database.reading() as statements:
            rows = statements.select(queries.SELECT_RELATIVE_ERRORS, (int(is_sample),))
        found: dict[join.Stratum, dict[int, int]] = {}
        for namespace, model, revision, attempt, epoch, bucket, count in rows:
            stratum = join.Stratum(namespace=namespace, model=model, revision=revision, attempt=attempt, epoch=epoch)
            found.setdefault(stratum, {})[bucket] = count
        buckets = range(len(totals.ERROR_EDGES) + 1)
        return [
            RelativeErrors(stratum=stratum, counts=tuple(counts.get(bucket, 0) for bucket in buckets))
            for stratum, counts in found.items()
        ]

    def export_claim(self, claim: join.Claim) -> erasure.ClaimRecords:
        """Return what is stored of a claim."""
        with self._database.reading() as statements:
            return erasure.export(statements, self._pseudonyms, claim)

    def stored_bytes(self) -> int:
        """Return the size of the database on the disk, in bytes."""
        return self._database.stored_bytes()

    def _histograms(self, metric: str, *, buckets: int, unit: int) -> Iterator[Histogram]:
        with self._database.reading() as statements:
            rows = statements.select(queries.SELECT_HISTOGRAMS, (metric,))
        for (namespace, model, revision), of_revision in itertools.groupby(rows, key=lambda row: row[:3]):
            found = {bucket: (count, total) for *_, bucket, count, total in of_revision}
            yield Histogram(
                namespace=namespace,
                model=model,
                revision=revision,
                counts=tuple(found.get(bucket, (0, 0))[0] for bucket in range(buckets)),
                sum=sum(total for _, total in found.values()) / unit,
            )


def _totals(row: Row) -> Totals:
    namespace, model, revision, attempt, epoch, *counts = row
    (
        refer,
        settle,
        numbers,
        tp,
        fp,
        tn,
        fn,
        corrections,
        cohort_repeats,
        tester_predictions,
        tester_outcomes,
        *sample,
    ) = counts
    return Totals(
        stratum=join.Stratum(namespace=namespace, model=model, revision=revision, attempt=attempt, epoch=epoch),
        numbers=numbers,
        decisions={join.Decision.REFER: refer, join.Decision.SETTLE: settle},
        results={join.Result.TP: tp, join.Result.FP: fp, join.Result.TN: tn, join.Result.FN: fn},
        corrections=corrections,
        cohort_repeats=cohort_repeats,
        tester_predictions=tester_predictions,
        tester_outcomes=tester_outcomes,
        representative=dict(zip(join.Result, sample, strict=True)),
    )
