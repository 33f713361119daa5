"""PostgreSQL, for more than one replica of this service.

Replicas write at the same time. What one transaction reads to decide what it writes (is this claim's first prediction
stored, did its outcome come already) must not change before it commits, so a transaction first takes a lock for each
ClaimsModel it writes rows of, in the order of the locks' numbers: no two transactions can wait for each other. While
one replica waits for its commit, the others gather the next.
"""

import contextlib
import datetime as dt
import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import conninfo

from claims_feedback import errors, schema
from claims_feedback.database import Row

CONNECT_SECONDS = 5
SILENCE_MILLISECONDS = 10_000
"""How long a server that acknowledges nothing may keep us waiting: a host that vanished sends no farewell."""

MIGRATION_LOCK = 0x636C61696D73
"""The advisory lock of whoever migrates; those of ClaimsModels are hashes."""

SESSION = (
    "SET synchronous_commit = on",  # Whatever the server's default: a 200 means durable.
    "SET jit = off",
    # Every statement finds a few rows by an index, key by key. Before the first ANALYZE the planner believes otherwise:
    # it reads the whole index once for a batch.
    "SET enable_seqscan = off",
    "SET enable_hashjoin = off",
    "SET enable_mergejoin = off",
    "SET enable_material = off",
)


class PostgresStatements:
    """A transaction of a connection."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        """Use a connection that has begun one."""
        self._connection = connection

    def select(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """Return all rows."""
        return self._connection.execute(_translated(sql), values).fetchall()

    def change(self, sql: str, values: Sequence[object] = ()) -> int:
        """Return how many rows were changed."""
        return self._connection.execute(_translated(sql), values).rowcount

    def change_each(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        """Run a statement for every row of values, in their order."""
        if rows:
            self._connection.cursor().executemany(_translated(sql), rows)


class Link:
    """A connection that is made again when it broke."""

    def __init__(self, connect: "Callable[[], psycopg.Connection[Any]]") -> None:
        """``connect`` makes one, in autocommit mode."""
        self._connect = connect
        self._connection: psycopg.Connection[Any] | None = None
        self.sessions = 0

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextlib.contextmanager
    def transaction(self, begin: str) -> Iterator[PostgresStatements]:
        """Commit what happens inside, or nothing."""
        try:
            connection = self._begun(begin)
            yield PostgresStatements(connection)
            connection.execute("COMMIT")
        except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError) as error:
            self.close()  # A new connection may find the server that took over.
            raise errors.DatabaseUnavailable(_first_line(error)) from error
        except BaseException:
            self._roll_back()
            raise

    def _begun(self, begin: str) -> "psycopg.Connection[Any]":
        if self._connection is not None:
            try:
                self._connection.execute(begin)
            except psycopg.OperationalError:
                self.close()  # The server was restarted since the last transaction; nothing of this one was done yet.
            else:
                return self._connection
        self._connection = self._connect()
        self.sessions += 1
        self._connection.execute(begin)
        return self._connection

    def _roll_back(self) -> None:
        if self._connection is None:
            return
        try:
            self._connection.execute("ROLLBACK")
        except psycopg.Error:
            self.close()


class Postgres:
    """A database of a server; see `database.Database`."""

    skip_locked = "FOR UPDATE SKIP LOCKED"

    def __init__(self, url: str, *, password_file: str, busy_timeout_seconds: float) -> None:
        """Connect at the first use; `open` is what to call."""
        try:
            self._parameters = conninfo.conninfo_to_dict(url)
        except psycopg.ProgrammingError as error:
            # Without libpq's own words: they may quote the password.
            raise errors.CannotStart(
                "CLAIMS_FEEDBACK_DATABASE is no URL of PostgreSQL. Write postgresql://user@host:5432/database."
            ) from error
        self._password_file = password_file
        self._busy_timeout_seconds = busy_timeout_seconds
        host, dbname = (self._parameters.get(key) or "(default)" for key in ("host", "dbname"))
        self.name = f"the PostgreSQL database {dbname} on {host}"
        self._writer = Link(self._connect)
        self._reader = Link(self._connect)
        self._reader_lock = threading.Lock()

    @classmethod
    def open(cls, url: str, *, password_file: str, busy_timeout_seconds: float, now: dt.datetime) -> "Postgres":
        """Connect, and bring the database to this version; raise `errors.CannotStart` where that cannot be."""
        opened = cls(url, password_file=password_file, busy_timeout_seconds=busy_timeout_seconds)
        try:
            with opened._writer.transaction("BEGIN") as statements:
                ((fsync,),) = statements.select("SELECT current_setting('fsync')")
                if fsync != "on":
                    raise errors.CannotStart(f"{opened.name} has fsync off: what is acknowledged could be lost.")
                statements.change("SET LOCAL lock_timeout = 0")
                statements.select("SELECT pg_advisory_xact_lock(?)", [MIGRATION_LOCK])
                schema.migrate(statements, schema.POSTGRES, now)
        except errors.CannotStart:
            opened.close()
            raise
        except (errors.DatabaseUnavailable, psycopg.Error) as error:
            opened.close()
            raise errors.CannotStart(
                f"{opened.name} cannot be opened: {_first_line(error)}. The user must be able to create tables in it,"
                " once; its password belongs in the file that is named in CLAIMS_FEEDBACK_DATABASE_PASSWORD_FILE."
            ) from error
        return opened

    @property
    def sessions(self) -> int:
        """How many connections `writing` has made."""
        return self._writer.sessions

    def close(self) -> None:
        """Close the connections."""
        self._writer.close()
        self._reader.close()

    @contextlib.contextmanager
    def writing(self, models: Iterable[tuple[str, str]] = ()) -> Iterator[PostgresStatements]:
        """Store all of what happens inside, or nothing, while no other replica writes rows of these models."""
        with self._writer.transaction("BEGIN ISOLATION LEVEL READ COMMITTED") as statements:
            # A transaction that waits here sees, from its next statement on, all that was committed meanwhile.
            for number in sorted({_lock_number(*model) for model in models}):
                statements.select("SELECT pg_advisory_xact_lock(?)", [number])
            yield statements

    @contextlib.contextmanager
    def reading(self) -> Iterator[PostgresStatements]:
        """Read at one moment, one reader after the other: there are few, and each takes milliseconds."""
        if not self._reader_lock.acquire(timeout=self._busy_timeout_seconds):
            raise errors.DatabaseUnavailable("earlier reads still wait for an answer")
        try:
            with self._reader.transaction("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") as statements:
                yield statements
        finally:
            self._reader_lock.release()

    def stored_bytes(self) -> int:
        """Return the size of the database."""
        with self.reading() as statements:
            ((size,),) = statements.select("SELECT pg_database_size(current_database())")
        return int(size)

    def reclaim(self) -> None:
        """Leave it to the server, whose autovacuum does it."""

    def _connect(self) -> "psycopg.Connection[Any]":
        given: dict[str, Any] = {
            "application_name": "claims-feedback",
            "connect_timeout": CONNECT_SECONDS,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": SILENCE_MILLISECONDS,
            "target_session_attrs": "read-write",
        } | self._parameters
        if self._password_file:
            given["password"] = self._read_password()
        connection: psycopg.Connection[Any] = psycopg.connect(**given, autocommit=True)
        try:
            for statement in (*SESSION, f"SET lock_timeout = {round(self._busy_timeout_seconds * 1000)}"):
                connection.execute(statement)
        except BaseException:
            connection.close()
            raise
        return connection

    def _read_password(self) -> str:
        try:
            return Path(self._password_file).read_text(encoding="utf-8").strip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise errors.DatabaseUnavailable(
                f"the password file {self._password_file} cannot be read ({error})"
            ) from error


def _lock_number(namespace: str, model: str) -> int:
    """Return the number of a ClaimsModel's lock, 64 bits, signed. Models that share one only wait for each other."""
    digest = hashlib.blake2b(f"{namespace}/{model}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _translated(sql: str) -> str:
    return sql.replace("?", "%s")


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
