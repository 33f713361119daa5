"""The rules of `join` over a SQLite database.

Everything that one transaction stores is counted in the same transaction, so the totals always equal what the tables
say. `Store` is used by one thread at a time.
"""

import contextlib
import datetime as dt
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from claims_feedback import errors, join, schema

INSERT_PREDICTION = """
    INSERT INTO prediction
        (revision_id, stratum_id, request_id, row, claim_id, is_first_of_claim, decision, score, served_at_ms)
    VALUES (
        :revision_id, :stratum_id, :request_id, :row, :claim_id,
        :claim_id IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM prediction
            WHERE claim_id = :claim_id AND stratum_id = :stratum_id AND is_first_of_claim = 1
        ),
        :decision, :score, :served_at_ms
    )
    ON CONFLICT (request_id, row, revision_id) DO NOTHING
    RETURNING id, is_first_of_claim
"""

OUTCOMES_OF_PREDICTION = """
    SELECT id, outcome FROM outcome WHERE model_id = :model_id AND request_id = :request_id AND row = :row
    UNION ALL
    SELECT id, outcome FROM outcome WHERE model_id = :model_id AND claim_id = :claim_id
    ORDER BY id
"""

INSERT_OUTCOME = """
    INSERT INTO outcome (model_id, claim_id, request_id, row, outcome, observed_at_ms)
    VALUES (:model_id, :claim_id, :request_id, :row, :outcome, :observed_at_ms)
    ON CONFLICT DO NOTHING
"""

PREDICTIONS_OF_OUTCOME = """
    SELECT prediction.id, stratum_id, decision, outcome, corrected
    FROM prediction JOIN revision ON revision.id = prediction.revision_id
    WHERE model_id = :model_id AND {subject}
"""
PREDICTIONS_OF_CLAIM = PREDICTIONS_OF_OUTCOME.format(subject="claim_id = :claim_id AND is_first_of_claim = 1")
PREDICTIONS_OF_ROW = PREDICTIONS_OF_OUTCOME.format(subject="request_id = :request_id AND row = :row")


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What became of the rows of one request."""

    accepted: int
    """Rows that are stored now, the duplicates included."""
    duplicates: int
    """Rows that had been stored before, and changed nothing."""
    labelled: int
    """Predictions that got their first outcome."""
    corrections: int
    """Predictions of which an outcome differs from the first, for the first time."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A prediction as an outcome finds it."""

    id: int
    stratum_id: int
    decision: join.Decision
    label: join.Label


class Store:
    """Writes predictions and outcomes; every method but `open` and `close` runs inside `transaction`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use a connection that `open` made."""
        self._connection = connection
        self._ids: dict[tuple[object, ...], int] = {}
        self._increments: Counter[tuple[int, str]] = Counter()

    @classmethod
    def open(cls, path: str, *, max_bytes: int, busy_timeout_seconds: float, now: dt.datetime) -> "Store":
        """Open or create the database and bring it to this version.

        ``max_bytes``: size at which writes fail; 0 for none. A database that is larger already takes no growth.
        """
        try:
            connection = sqlite3.connect(
                path, timeout=busy_timeout_seconds, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # A commit returns when its pages are on the disk.
            connection.execute("PRAGMA foreign_keys = ON")
            schema.migrate(connection, now)
            if max_bytes:
                (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
                connection.execute(f"PRAGMA max_page_count = {max(1, max_bytes // page_bytes)}")
        except sqlite3.Error as error:
            raise errors.CannotStart(
                f"The database {path} cannot be opened: {error}. It must be a file of this service's, in a folder"
                " that user 65532 may write, on a volume with room."
            ) from error
        return cls(connection)

    def close(self) -> None:
        """Close the database; the last connection also folds the write-ahead log into the file."""
        self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Store all of what happens inside, durably, or nothing; raise `errors.DatabaseUnavailable` for nothing."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._add_increments()
            self._connection.execute("COMMIT")
        except BaseException as error:
            self._ids.clear()  # Some may have been given in this transaction.
            if self._connection.in_transaction:  # SQLite may have rolled back by itself.
                self._connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise errors.DatabaseUnavailable(str(error)) from error
            raise
        finally:
            self._increments.clear()

    def add_predictions(self, predictions: Sequence[join.Prediction]) -> Receipt:
        """Store predictions, and label those whose outcome came before them."""
        before = self._increments.copy()
        new = sum(map(self._add_prediction, predictions))
        return self._receipt(before, accepted=len(predictions), new=new)

    def add_outcomes(self, outcomes: Sequence[join.ObservedOutcome]) -> Receipt:
        """Store outcomes, and label the predictions they are about; one without a prediction waits for it."""
        before = self._increments.copy()
        new = sum(map(self._add_outcome, outcomes))
        return self._receipt(before, accepted=len(outcomes), new=new)

    def _add_prediction(self, prediction: join.Prediction) -> bool:
        """Return whether it was new."""
        stratum = prediction.stratum
        model_id = self._id_of("model", namespace=stratum.namespace, name=stratum.model)
        revision_id = self._id_of("revision", model_id=model_id, name=stratum.revision)
        stratum_id = self._id_of("stratum", revision_id=revision_id, attempt=stratum.attempt, epoch=stratum.epoch)
        values = {
            "revision_id": revision_id,
            "stratum_id": stratum_id,
            "request_id": prediction.request_id,
            "row": prediction.row,
            "claim_id": prediction.claim_id,
            "decision": prediction.decision.value,
            "score": prediction.score,
            "served_at_ms": _milliseconds(prediction.served_at),
        }
        inserted = self._connection.execute(INSERT_PREDICTION, values).fetchall()
        if not inserted:
            return False
        self._increments[stratum_id, prediction.decision.value] += 1
        ((prediction_id, is_first_of_claim),) = inserted
        subject = {
            "model_id": model_id,
            "request_id": prediction.request_id,
            "row": prediction.row,
            "claim_id": prediction.claim_id if is_first_of_claim else None,  # NULL equals nothing.
        }
        arrived = self._connection.execute(OUTCOMES_OF_PREDICTION, subject).fetchall()
        stored = Stored(id=prediction_id, stratum_id=stratum_id, decision=prediction.decision, label=join.Label())
        self._relabel(stored, (join.Outcome(outcome) for _, outcome in arrived))
        return True

    def _add_outcome(self, observed: join.ObservedOutcome) -> bool:
        """Return whether it was new."""
        values = {
            "model_id": self._id_of("model", namespace=observed.namespace, name=observed.model),
            "claim_id": observed.claim_id,
            "request_id": observed.request_id,
            "row": observed.row,
            "outcome": observed.outcome.value,
            "observed_at_ms": _milliseconds(observed.observed_at),
        }
        if self._connection.execute(INSERT_OUTCOME, values).rowcount == 0:
            return False
        select = PREDICTIONS_OF_ROW if observed.claim_id is None else PREDICTIONS_OF_CLAIM
        for prediction_id, stratum_id, decision, outcome, corrected in self._connection.execute(
            select, values
        ).fetchall():
            label = join.Label(outcome=join.Outcome(outcome) if outcome else None, corrected=bool(corrected))
            stored = Stored(id=prediction_id, stratum_id=stratum_id, decision=join.Decision(decision), label=label)
            self._relabel(stored, (observed.outcome,))
        return True

    def _relabel(self, stored: Stored, arriving: Iterable[join.Outcome]) -> None:
        label = join.relabel(stored.label, arriving)
        if label == stored.label:
            return
        self._connection.execute(
            "UPDATE prediction SET outcome = ?, corrected = ? WHERE id = ?",
            (label.outcome and label.outcome.value, int(label.corrected), stored.id),
        )
        if stored.label.outcome is None and label.outcome is not None:
            self._increments[stored.stratum_id, join.RESULT_OF[stored.decision, label.outcome].value] += 1
        if label.corrected and not stored.label.corrected:
            self._increments[stored.stratum_id, "corrections"] += 1

    def _id_of(self, table: str, **key: str | int) -> int:
        """Return the id of a model, a revision or a stratum, which is stored when it is new."""
        found = self._ids.get((table, *key.values()))
        if found is None:
            columns, matches = ", ".join(key), " AND ".join(f"{column} = :{column}" for column in key)
            given = ", ".join(f":{column}" for column in key)
            self._connection.execute(
                f"INSERT INTO {table} ({columns}) VALUES ({given}) ON CONFLICT DO NOTHING",  # noqa: S608
                key,
            )
            (found,) = self._connection.execute(
                f"SELECT id FROM {table} WHERE {matches}",  # noqa: S608
                key,
            ).fetchone()
            self._ids[table, *key.values()] = found
        return int(found)

    def _add_increments(self) -> None:
        for (stratum_id, column), increment in self._increments.items():
            self._connection.execute(
                f"UPDATE stratum SET {column} = {column} + ? WHERE id = ?",  # noqa: S608
                (increment, stratum_id),
            )

    def _receipt(self, before: Counter[tuple[int, str]], *, accepted: int, new: int) -> Receipt:
        added: Counter[str] = Counter()
        for (_, column), increment in (self._increments - before).items():
            added[column] += increment
        return Receipt(
            accepted=accepted,
            duplicates=accepted - new,
            labelled=sum(added[result] for result in join.Result),
            corrections=added["corrections"],
        )


def _milliseconds(moment: dt.datetime) -> int:
    return round(moment.timestamp() * 1000)
