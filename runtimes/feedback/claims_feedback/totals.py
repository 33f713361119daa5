"""The increments of a transaction, and the histograms' buckets."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from claims_contract import metrics
from claims_feedback import join, queries
from claims_feedback.database import Statements

SCORE: Final = "score"
DELAY: Final = "delay"

SCORE_EDGES: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Upper edges, inclusive. What is stored is the number of a bucket: never change these, but with a migration."""

ERROR_EDGES: Final = tuple(map(float, metrics.RELATIVE_ERROR_EDGES))
"""Upper edges, inclusive; a larger relative error is in the bucket after the last. As with scores."""

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
DELAY_EDGES_SECONDS: Final = (
    *(_MINUTE, 10 * _MINUTE, _HOUR, 6 * _HOUR),
    *(days * _DAY for days in (1, 3, 7, 14, 30, 60, 90)),
)
"""Upper edges, inclusive; a longer delay is in the bucket after the last."""

CORRECTIONS: Final = "corrections"
COHORT_REPEATS: Final = "cohort_repeats"
TESTER_PREDICTIONS: Final = "tester_predictions"
TESTER_OUTCOMES: Final = "tester_outcomes"
NUMBERS: Final = "numbers"
SAMPLE: Final = "sample_"
"""Columns of a stratum, as are the decisions and the results, and the results of the sample with its prefix."""


class Increments:
    """What a transaction adds to the totals."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.counts: Counter[tuple[int, str]] = Counter()
        """By the id of a stratum and a column of it."""
        self._observations: Counter[tuple[int, str, int]] = Counter()
        self._sums: Counter[tuple[int, str, int]] = Counter()
        self._errors: Counter[tuple[int, int, int]] = Counter()

    def clear(self) -> None:
        """Begin again."""
        self.counts.clear()
        self._observations.clear()
        self._sums.clear()
        self._errors.clear()

    def observe_score(self, revision_id: int, score: float) -> None:
        """Count the score of a prediction."""
        self._observe((revision_id, SCORE, _bucket_of(score, SCORE_EDGES)), round(score * 1_000_000))

    def observe_delay(self, revision_id: int, milliseconds: int) -> None:
        """Count the time from when a prediction was served to when its first outcome came."""
        milliseconds = max(0, milliseconds)  # An outcome that came before its prediction was waited for no time.
        self._observe((revision_id, DELAY, _bucket_of(milliseconds / 1000, DELAY_EDGES_SECONDS)), milliseconds)

    def count_label(self, stratum_id: int, standing: join.Standing, answer: join.Answer, truth: join.Truth) -> None:
        """Count a first outcome."""
        match standing:
            case join.Standing.EVIDENCE:
                self._count_evidence(stratum_id, answer, truth, is_sample=False)
            case join.Standing.COHORT_REPEAT:
                self.counts[stratum_id, COHORT_REPEATS] += 1
            case join.Standing.TESTER:
                self.counts[stratum_id, TESTER_OUTCOMES] += 1

    def count_representative(self, stratum_id: int, answer: join.Answer, truth: join.Truth) -> None:
        """Count a first outcome of the random sample."""
        self._count_evidence(stratum_id, answer, truth, is_sample=True)

    def _count_evidence(self, stratum_id: int, answer: join.Answer, truth: join.Truth, *, is_sample: bool) -> None:
        if isinstance(answer, float) and isinstance(truth, float):
            bucket = _bucket_of(join.relative_error(answer, truth), ERROR_EDGES)
            self._errors[stratum_id, int(is_sample), bucket] += 1
        elif not isinstance(answer, float) and not isinstance(truth, float):
            self.counts[stratum_id, (SAMPLE if is_sample else "") + join.RESULT_OF[answer, truth].value] += 1

    def write(self, statements: Statements) -> None:
        """Add them to the totals in the database."""
        for (stratum_id, column), increment in self.counts.items():
            statements.change(
                f"UPDATE stratum SET {column} = {column} + ? WHERE id = ?",  # noqa: S608
                (increment, stratum_id),
            )
        rows = [(*key, observations, self._sums[key]) for key, observations in self._observations.items()]
        statements.change_each(queries.ADD_OBSERVATIONS, rows)
        errors = [(*key, observations) for key, observations in self._errors.items()]
        statements.change_each(queries.ADD_RELATIVE_ERRORS, errors)

    def _observe(self, bucket: tuple[int, str, int], value: int) -> None:
        self._observations[bucket] += 1
        self._sums[bucket] += value


def _bucket_of(value: float, edges: Sequence[float]) -> int:
    return next((number for number, edge in enumerate(edges) if value <= edge), len(edges))
