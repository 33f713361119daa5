"""Rows that are older than the settings allow are deleted, a few at a time between two commits; no total changes.

Age counts from when a row came. A prediction that was served before its age is refused when it comes, so one that was
deleted cannot come again and be counted twice.
"""

import datetime as dt
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from claims_feedback import errors, join
from claims_feedback.database import Database

logger = logging.getLogger(__name__)

BATCH_ROWS: Final = 500
"""Rows of one transaction: it takes some milliseconds, in which nothing else is written."""

INTERVAL_SECONDS: Final = 600.0
"""The wait after everything old was deleted."""

AGES: Final = {
    "prediction": "coalesce(received_at_ms, served_at_ms)",
    "outcome": "coalesce(received_at_ms, observed_at_ms)",
    "cohort": "received_at_ms",
}
"""The tables, and when a row of them came. Ids rise with it, nearly: the oldest are found by id, without an index."""

DELETE_OLD: Final = """
    WITH oldest AS MATERIALIZED (SELECT id FROM {table} ORDER BY id LIMIT ? {skip_locked})
    DELETE FROM {table} WHERE id IN (SELECT id FROM oldest) AND {came} < ?
"""


class Retention:
    """Deletes what is old. `wait_seconds` and `delete_batch` are for the thread that writes."""

    def __init__(
        self,
        database: Database,
        *,
        age: dt.timedelta,
        clock_tolerance: dt.timedelta,
        now: Callable[[], dt.datetime],
    ) -> None:
        """``age`` of zero keeps everything. ``clock_tolerance``: how far a sender's clock may be ahead of ours."""
        self._database = database
        self._age = age
        self._clock_tolerance = clock_tolerance
        self._now = now
        self._next = time.monotonic()

    @property
    def wait_seconds(self) -> float | None:
        """Time until there may be something to delete; None for ever."""
        return max(0.0, self._next - time.monotonic()) if self._age else None

    def delete_batch(self) -> int:
        """Delete some of what is old, if it is time to; return how many rows."""
        if self.wait_seconds != 0:
            return 0
        self._next = time.monotonic() + INTERVAL_SECONDS  # A failure is not tried again at once.
        # A row may have come up to the tolerance before it was served, by the sender's clock.
        limit_ms = round((self._now() - self._age - self._clock_tolerance).timestamp() * 1000)
        try:
            deleted = sum(self._delete(table, came, limit_ms) for table, came in AGES.items())
            self._database.reclaim()
        except errors.DatabaseUnavailable as error:
            logger.warning("Old rows stay for now: %s.", error)
            return 0
        if deleted:
            self._next = time.monotonic()
        return deleted

    def refuse_expired(self, predictions: Sequence[join.Prediction]) -> None:
        """Raise `errors.Unacceptable` that names the predictions which were served too long ago to be kept."""
        if not self._age:
            return
        limit = self._now() - self._age
        problems = tuple(
            errors.Problem(
                index=index,
                where=f"[{index}].time",
                what=f"Expected a moment of the last {self._age.days} days, for which predictions are kept, got"
                f" `{prediction.served_at.isoformat()}`",
            )
            for index, prediction in enumerate(predictions)
            if prediction.served_at < limit
        )
        if problems:
            raise errors.Unacceptable(problems)

    def _delete(self, table: str, came: str, limit_ms: int) -> int:
        sql = DELETE_OLD.format(table=table, came=came, skip_locked=self._database.skip_locked)
        with self._database.writing() as statements:
            return statements.change(sql, (BATCH_ROWS, limit_ms))
