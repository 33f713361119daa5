"""Reads of the database; they may be called from any thread, and wait for no writer."""

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from claims_feedback import errors, join

SELECT_TOTALS = """
    SELECT namespace, model.name AS model, revision.name AS revision, attempt, epoch,
        refer, settle, tp, fp, tn, fn, corrections
    FROM stratum JOIN revision ON revision.id = revision_id JOIN model ON model.id = model_id
    WHERE (:namespace IS NULL OR namespace = :namespace) AND (:model IS NULL OR model.name = :model)
    ORDER BY namespace, model, stratum.id
"""


@dataclass(frozen=True, kw_only=True)
class Totals:
    """The totals of one stratum since the database was created. They never fall."""

    stratum: join.Stratum
    decisions: dict[join.Decision, int]
    results: dict[join.Result, int]
    corrections: int
    """Predictions of which a later outcome differed from the first."""


class Reader:
    """Opens the database for every read."""

    def __init__(self, path: str) -> None:
        """``path``: of the SQLite database."""
        self._path = path

    def totals(self, *, namespace: str | None = None, model: str | None = None) -> list[Totals]:
        """Return the totals of every stratum, or of those of one namespace or model; by ClaimsModel, then by age."""
        try:
            with contextlib.closing(sqlite3.connect(f"file:{quote(self._path)}?mode=ro", uri=True)) as connection:
                connection.row_factory = sqlite3.Row
                rows = connection.execute(SELECT_TOTALS, {"namespace": namespace, "model": model}).fetchall()
        except sqlite3.Error as error:
            raise errors.DatabaseUnavailable(str(error)) from error
        return [
            Totals(
                stratum=join.Stratum(
                    namespace=row["namespace"],
                    model=row["model"],
                    revision=row["revision"],
                    attempt=row["attempt"],
                    epoch=row["epoch"],
                ),
                decisions={decision: row[decision.value] for decision in join.Decision},
                results={result: row[result.value] for result in join.Result},
                corrections=row["corrections"],
            )
            for row in rows
        ]

    def stored_bytes(self) -> int:
        """Return the size of the database with its write-ahead log, in bytes."""
        files = (Path(self._path), Path(f"{self._path}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())
