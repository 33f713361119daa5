"""The database of the settings, opened: who writes it, who reads it, and who deletes what is old."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from claims_feedback import errors, pseudonyms
from claims_feedback.database import Database
from claims_feedback.postgres import Postgres
from claims_feedback.reader import Reader
from claims_feedback.retention import Retention
from claims_feedback.settings import Settings
from claims_feedback.sqlite import Sqlite
from claims_feedback.store import Store

POSTGRES_SCHEMES: Final = ("postgresql://", "postgres://")

NO_MODEL: Final = ("", "settings")
"""Whose lock keeps replicas that start at once from settling on two keys; no ClaimsModel has this name."""


@dataclass(frozen=True, kw_only=True)
class Storage:
    """A database that was opened."""

    name: str
    """What to call it in a log; it holds no password."""
    store: Store
    """For one thread, which closes it."""
    reader: Reader
    """For any thread."""
    retention: Retention
    """For the thread of the store."""


def open_storage(configured: Settings, *, now: Callable[[], dt.datetime]) -> Storage:
    """Open or create the database and bring it to this version; raise `errors.CannotStart` where that cannot be."""
    database = _open_database(configured, now())
    try:
        with database.writing([NO_MODEL]) as statements:
            hashes = pseudonyms.settle(statements, configured)
    except errors.DatabaseUnavailable as error:
        database.close()
        raise errors.CannotStart(f"{database.name} cannot be written: {error}.") from error
    except errors.CannotStart:
        database.close()
        raise
    return Storage(
        name=database.name,
        store=Store(database, hashes, now=now, propensity_floor=configured.propensity_floor),
        reader=Reader(database, hashes),
        retention=Retention(
            database,
            age=dt.timedelta(days=configured.retention_days),
            clock_tolerance=dt.timedelta(seconds=configured.clock_tolerance_seconds),
            now=now,
        ),
    )


def _open_database(configured: Settings, now: dt.datetime) -> Database:
    timeout_seconds = configured.database_busy_timeout_seconds
    if configured.database.startswith(POSTGRES_SCHEMES):
        if configured.database_max_bytes:
            raise errors.CannotStart(
                "CLAIMS_FEEDBACK_DATABASE_MAX_BYTES is of SQLite only. Leave it unset, and limit the server's disk."
            )
        password_file = configured.database_password_file
        return Postgres.open(
            configured.database, password_file=password_file, busy_timeout_seconds=timeout_seconds, now=now
        )
    if configured.database_password_file:
        raise errors.CannotStart(
            "CLAIMS_FEEDBACK_DATABASE_PASSWORD_FILE is of PostgreSQL only, and CLAIMS_FEEDBACK_DATABASE names a file."
        )
    return Sqlite.open(
        configured.database,
        max_bytes=configured.database_max_bytes,
        busy_timeout_seconds=timeout_seconds,
        now=now,
    )
