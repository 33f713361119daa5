"""What the rules need of a database, whichever it is; `sqlite` and `postgres` are two.

SQL is written once for both, with ``?`` for a value. Where many rows are asked about at once, ``{asked}`` stands for
their keys as a table, whose columns both databases call column1, column2 and so on: one statement for a batch, not one
a row, since PostgreSQL is a network away. What is looked up is joined to it by LEFT JOIN, which no planner turns round:
it would read a whole index to find a few rows.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

ASKED_MAX_ROWS = 1_000
"""Keys of one statement; SQLite takes 32,766 values, PostgreSQL 65,535."""

Row = tuple[Any, ...]


class Statements(Protocol):
    """A transaction."""

    def select(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """Return all rows."""

    def change(self, sql: str, values: Sequence[object] = ()) -> int:
        """Return how many rows were changed."""

    def change_each(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        """Run a statement for every row of values, in their order."""


class Database(Protocol):
    """A database of this version. `writing`, `reclaim` and `close` are for one thread, the rest for any."""

    name: str
    """What to call it in a log; it holds no password."""

    skip_locked: str
    """What a SELECT ends with that is to pass over rows which another process is changing."""

    @property
    def sessions(self) -> int:
        """Rises with every new connection of `writing`: what was remembered of the database may be wrong after it."""

    def writing(self, models: Iterable[tuple[str, str]] = ()) -> AbstractContextManager[Statements]:
        """Store all of what happens inside, durably, or nothing.

        ``models``: the (namespace, name) of every ClaimsModel of which rows are written. No other process writes
        rows of them meanwhile. Raises `errors.DatabaseUnavailable` when nothing was stored, or when that is unknown.
        """

    def reading(self) -> AbstractContextManager[Statements]:
        """Read at one moment; raise `errors.DatabaseUnavailable` where that cannot be."""

    def stored_bytes(self) -> int:
        """Return the size on the disk, in bytes."""

    def reclaim(self) -> None:
        """Give some of the space of deleted rows back to the disk."""

    def close(self) -> None:
        """Close it; nothing may be asked after this."""


def select_asked(statements: Statements, sql: str, keys: Iterable[Row]) -> list[Row]:
    """Return the rows of a query over ``{asked}``, the keys; each key is asked once, and none of them is NULL.

    The first column of the query is NULL where nothing was found for a key; it is not returned.
    """
    distinct = list(dict.fromkeys(keys))
    found = (row for chunk in _chunks(distinct) for row in statements.select(*_with_asked(sql, chunk)))
    return [row[1:] for row in found if row[0] is not None]


def _chunks(keys: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for start in range(0, len(keys), ASKED_MAX_ROWS):
        yield keys[start : start + ASKED_MAX_ROWS]


def _with_asked(sql: str, keys: Sequence[Row]) -> tuple[str, list[object]]:
    row = f"({', '.join('?' * len(keys[0]))})"
    asked = f"(VALUES {', '.join([row] * len(keys))}) AS asked"
    return sql.replace("{asked}", asked), [value for key in keys for value in key]
