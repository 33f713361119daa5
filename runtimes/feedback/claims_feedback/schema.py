"""The tables, and how a database of an earlier version becomes one of this version."""

import datetime as dt
import sqlite3
from dataclasses import dataclass

from claims_feedback import errors


@dataclass(frozen=True, kw_only=True)
class Migration:
    """One step to the next version of the schema; versions count from 1. Never changed once released."""

    description: str
    statements: tuple[str, ...]


MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        description="predictions, outcomes and totals",
        statements=(
            """
            CREATE TABLE model (
                id INTEGER PRIMARY KEY,
                namespace TEXT NOT NULL,
                name TEXT NOT NULL,
                UNIQUE (namespace, name)
            ) STRICT
            """,
            """
            CREATE TABLE revision (
                id INTEGER PRIMARY KEY,
                model_id INTEGER NOT NULL REFERENCES model,
                name TEXT NOT NULL,
                UNIQUE (model_id, name)
            ) STRICT
            """,
            # The totals are what Prometheus sees. They only grow, and no deletion of predictions lowers them.
            """
            CREATE TABLE stratum (
                id INTEGER PRIMARY KEY,
                revision_id INTEGER NOT NULL REFERENCES revision,
                attempt INTEGER NOT NULL,
                epoch INTEGER NOT NULL,
                refer INTEGER NOT NULL DEFAULT 0,
                settle INTEGER NOT NULL DEFAULT 0,
                tp INTEGER NOT NULL DEFAULT 0,
                fp INTEGER NOT NULL DEFAULT 0,
                tn INTEGER NOT NULL DEFAULT 0,
                fn INTEGER NOT NULL DEFAULT 0,
                corrections INTEGER NOT NULL DEFAULT 0,
                UNIQUE (revision_id, attempt, epoch)
            ) STRICT
            """,
            # Ids rise in the order of arrival. The first outcome is in `outcome`, NULL until it is known.
            """
            CREATE TABLE prediction (
                id INTEGER PRIMARY KEY,
                revision_id INTEGER NOT NULL REFERENCES revision,
                stratum_id INTEGER NOT NULL REFERENCES stratum,
                request_id TEXT NOT NULL,
                row INTEGER NOT NULL,
                claim_id TEXT,
                is_first_of_claim INTEGER NOT NULL,
                decision TEXT NOT NULL CHECK (decision IN ('refer', 'settle')),
                score REAL NOT NULL,
                served_at_ms INTEGER NOT NULL,
                outcome TEXT CHECK (outcome IN ('positive', 'negative')),
                corrected INTEGER NOT NULL DEFAULT 0,
                UNIQUE (request_id, row, revision_id)
            ) STRICT
            """,
            """
            CREATE UNIQUE INDEX prediction_first_of_claim ON prediction (claim_id, stratum_id)
                WHERE is_first_of_claim = 1
            """,
            # One row per thing said: the same outcome said again is the same row, a different one is another.
            """
            CREATE TABLE outcome (
                id INTEGER PRIMARY KEY,
                model_id INTEGER NOT NULL REFERENCES model,
                claim_id TEXT,
                request_id TEXT,
                row INTEGER,
                outcome TEXT NOT NULL CHECK (outcome IN ('positive', 'negative')),
                observed_at_ms INTEGER NOT NULL,
                CHECK ((claim_id IS NULL) = (request_id IS NOT NULL AND row IS NOT NULL))
            ) STRICT
            """,
            """
            CREATE UNIQUE INDEX outcome_of_claim ON outcome (claim_id, model_id, outcome)
                WHERE claim_id IS NOT NULL
            """,
            """
            CREATE UNIQUE INDEX outcome_of_row ON outcome (request_id, row, model_id, outcome)
                WHERE request_id IS NOT NULL
            """,
        ),
    ),
)


def migrate(connection: sqlite3.Connection, now: dt.datetime) -> None:
    """Bring the database to this version in one transaction; refuse one of a later version."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")  # Two processes that start at once migrate one after the other.
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migration"
            " (version INTEGER PRIMARY KEY, description TEXT NOT NULL, applied_at TEXT NOT NULL) STRICT"
        )
        (version,) = connection.execute("SELECT coalesce(max(version), 0) FROM migration").fetchone()
        if version > len(MIGRATIONS):
            raise errors.CannotStart(
                f"The database has schema version {version}, and this release knows {len(MIGRATIONS)}."
                " Use the release that wrote it, or a later one."
            )
        for number, migration in enumerate(MIGRATIONS[version:], start=version + 1):
            for statement in migration.statements:
                connection.execute(statement)
            applied = (number, migration.description, now.isoformat(timespec="seconds"))
            connection.execute("INSERT INTO migration VALUES (?, ?, ?)", applied)
