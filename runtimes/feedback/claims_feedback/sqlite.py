"""SQLite, embedded: one process, one writer, and every commit waits for the disk."""

import contextlib
import datetime as dt
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from claims_feedback import errors, schema
from claims_feedback.database import Row

RECLAIMED_PAGES = 500
"""Pages that `Sqlite.reclaim` gives back at once, of 4 kB each: it holds up the writer for some milliseconds."""


FAULTS_OF_OURS = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError, sqlite3.InterfaceError)
"""Errors that asking again cannot mend."""


class SqliteStatements:
    """A transaction of a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use a connection that has begun one."""
        self._connection = connection

    def select(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """Return all rows."""
        return self._connection.execute(sql, values).fetchall()

    def change(self, sql: str, values: Sequence[object] = ()) -> int:
        """Return how many rows were changed."""
        before = self._connection.total_changes  # A cursor's rowcount knows nothing of statements that begin with WITH.
        self._connection.execute(sql, values)
        return self._connection.total_changes - before

    def change_each(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        """Run a statement for every row of values, in their order."""
        self._connection.executemany(sql, rows)


class Sqlite:
    """A database in a file; see `database.Database`."""

    skip_locked = ""
    sessions = 0

    def __init__(self, path: str, connection: sqlite3.Connection) -> None:
        """Use a connection that `open` made."""
        self.name = path
        self._connection = connection

    @classmethod
    def open(cls, path: str, *, max_bytes: int, busy_timeout_seconds: float, now: dt.datetime) -> "Sqlite":
        """Open or create the database and bring it to this version; raise `errors.CannotStart` where that cannot be.

        ``max_bytes``: size at which writes fail; 0 for none. A database that is larger already takes no growth.
        """
        if "://" in path:  # Not repeated: there may be a password in it.
            raise errors.CannotStart(
                "CLAIMS_FEEDBACK_DATABASE is the URL of a database that is not known here. Write"
                " postgresql://user@host:5432/database, or the path of a file for SQLite."
            )
        try:
            with contextlib.ExitStack() as undone:
                connection = sqlite3.connect(
                    path, timeout=busy_timeout_seconds, isolation_level=None, check_same_thread=False
                )
                undone.callback(connection.close)
                _prepare(connection, max_bytes=max_bytes, now=now)
                undone.pop_all()
        except sqlite3.Error as error:
            raise errors.CannotStart(
                f"The database {path} cannot be opened: {error}. It must be a file of this service's, in a folder"
                " that user 65532 may write, on a volume with room."
            ) from error
        return cls(path, connection)

    def close(self) -> None:
        """Close the database; the last connection also folds the write-ahead log into the file."""
        self._connection.close()

    @contextlib.contextmanager
    def writing(self, models: Iterable[tuple[str, str]] = ()) -> Iterator[SqliteStatements]:  # noqa: ARG002
        """Store all of what happens inside, or nothing; there is one writer, whatever it writes."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield SqliteStatements(self._connection)
            self._connection.execute("COMMIT")
        except BaseException as error:
            if self._connection.in_transaction:  # SQLite may have rolled back by itself.
                self._connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error) and not isinstance(error, FAULTS_OF_OURS):
                raise errors.DatabaseUnavailable(str(error)) from error
            raise

    @contextlib.contextmanager
    def reading(self) -> Iterator[SqliteStatements]:
        """Open the file for reading: in WAL mode that waits for no writer."""
        try:
            with contextlib.closing(
                sqlite3.connect(f"file:{quote(self.name)}?mode=ro", uri=True, isolation_level=None)
            ) as connection:
                connection.execute("BEGIN")
                yield SqliteStatements(connection)
        except sqlite3.Error as error:
            raise errors.DatabaseUnavailable(str(error)) from error

    def stored_bytes(self) -> int:
        """Return the size of the file with its write-ahead log."""
        files = (Path(self.name), Path(f"{self.name}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def reclaim(self) -> None:
        """Shorten the file by some of its free pages."""
        try:
            # It gives back a page a step, and `execute` makes one step of a statement that returns nothing.
            self._connection.executescript(f"PRAGMA incremental_vacuum({RECLAIMED_PAGES})")
        except sqlite3.Error as error:
            raise errors.DatabaseUnavailable(str(error)) from error


def _prepare(connection: sqlite3.Connection, *, max_bytes: int, now: dt.datetime) -> None:
    # Of effect before the first table only: a database of an earlier version reuses its space, but keeps it.
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # A commit returns when its pages are on the disk.
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")  # What was erased is overwritten.
    connection.execute("BEGIN IMMEDIATE")  # Two processes that start at once migrate one after the other.
    schema.migrate(SqliteStatements(connection), schema.SQLITE, now)
    connection.execute("COMMIT")
    if max_bytes:
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
        connection.execute(f"PRAGMA max_page_count = {max(1, max_bytes // page_bytes)}")
