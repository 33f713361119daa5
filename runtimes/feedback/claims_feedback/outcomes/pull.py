"""Asks a database for what is new, again and again, and sends it on.

The query has ``:watermark``: the value of a column up to which rows were sent. It is taken back by the overlap, for
rows that were committed later than others with a larger value; what comes twice changes nothing. It is recorded after
a batch that was acknowledged, so that a row is sent at least once whatever dies.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Final

import sqlalchemy
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from claims_feedback import messages
from claims_feedback.outcomes import durable, sending
from claims_feedback.outcomes.errors import BadRow, CannotLoad, Unreachable
from claims_feedback.outcomes.findings import Findings
from claims_feedback.outcomes.mapping import RowMapping, Unreadable
from claims_feedback.outcomes.sending import Found, Sender

PARAMETER: Final = "watermark"

FETCH_ROWS: Final = 1_000
"""Rows that are fetched from the database at a time."""

Value = dt.datetime | int | str


class WatermarkType(StrEnum):
    """What the watermark's column holds."""

    TIME = "time"
    NUMBER = "number"
    TEXT = "text"


TYPES: Final[dict[WatermarkType, type[Value]]] = {
    WatermarkType.TIME: dt.datetime,
    WatermarkType.NUMBER: int,
    WatermarkType.TEXT: str,
}

DEFAULT_OVERLAP: Final = {WatermarkType.TIME: 600, WatermarkType.NUMBER: 1_000, WatermarkType.TEXT: 0}
"""Seconds, numbers; text cannot be taken back."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """What is asked, and of which column the watermark is."""

    sql: str
    column: str
    kind: WatermarkType
    start: str
    """The watermark before anything was sent."""
    overlap: int


class Watermark:
    """Up to where rows were sent; durable."""

    def __init__(self, path: Path, query: Query) -> None:
        """Read the file; begin at the query's start where there is none."""
        self._path = path
        self._query = query
        try:
            recorded = durable.read(path)
        except (OSError, ValueError) as error:
            raise CannotLoad(f"{path} is no watermark: {error}. Delete it to begin at --start again.") from error
        if recorded is None:
            recorded = {"column": query.column, "watermark": query.start}
        if recorded.get("column") != query.column:
            raise CannotLoad(
                f"{path} is the watermark of the column `{recorded.get('column')}`, the query's is `{query.column}`."
                " Name another --state-file, or delete it to begin at --start."
            )
        if "watermark" not in recorded:
            raise CannotLoad(f"{path} holds no watermark. Delete it to begin at --start again.")
        self.value = parse(str(recorded["watermark"]), query.kind)

    def advance(self, value: Value) -> None:
        """Record that everything up to this value was sent; a lower one than before changes nothing."""
        if not _is_later(value, self.value):
            return
        self.value = value
        try:
            durable.write(self._path, {"column": self._query.column, "watermark": _written(value)})
        except OSError as error:
            raise CannotLoad(f"The watermark {self._path} cannot be written: {error}.") from error

    def check(self, value: Value) -> None:
        """Raise `CannotLoad` where a value of the column cannot be compared with the watermark."""
        _is_later(value, self.value)

    def taken_back(self) -> Value:
        """Return the watermark less the overlap."""
        match self.value:
            case dt.datetime():
                return self.value - dt.timedelta(seconds=self._query.overlap)
            case int():
                return self.value - self._query.overlap
            case str():
                return self.value


def parse(text: str, kind: WatermarkType) -> Value:
    """Return the watermark that a text says; raise `CannotLoad` where it says none."""
    try:
        match kind:
            case WatermarkType.TIME:
                return dt.datetime.fromisoformat(text)
            case WatermarkType.NUMBER:
                return int(text)
            case WatermarkType.TEXT:
                return text
    except ValueError as error:
        wanted = "a moment such as 2025-01-01T00:00:00+00:00" if kind is WatermarkType.TIME else "a whole number"
        raise CannotLoad(f"The watermark `{text}` is no {kind.value}: write {wanted}.") from error


def connectable(url: str, query: Query) -> Engine:
    """Return the database of a URL; raise `CannotLoad` where URL or query cannot work."""
    found = set(sqlalchemy.text(query.sql).compile().params)
    if found != {PARAMETER}:
        named = ", ".join(f":{name}" for name in sorted(found)) or "none"
        raise CannotLoad(
            f"The query's parameters are {named}; it must have :{PARAMETER}, and no other. For example: SELECT ..."
            f" WHERE {query.column} > :{PARAMETER} ORDER BY {query.column}"
        )
    if query.kind is WatermarkType.TEXT and query.overlap:
        raise CannotLoad("A watermark of text cannot be taken back: leave --overlap, and subtract it in the query.")
    try:
        address = make_url(url)
        if address.drivername in ("postgresql", "postgres"):
            address = address.set(drivername="postgresql+psycopg")
        return sqlalchemy.create_engine(address, poolclass=NullPool)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise CannotLoad(f"The database's URL cannot be used: {error}.") from error


def pull_once(
    engine: Engine,
    query: Query,
    watermark: Watermark,
    mapping: RowMapping,
    sender: Sender,
    *,
    clock: messages.Clock,
    batch_rows: int,
) -> Findings:
    """Send what is new; return what was found. Bad rows, and rows that the service refuses, are passed over."""
    pulled = Findings()
    batch: list[Found] = []
    is_sent = False
    latest: Value | None = None
    with _rows(engine, query, watermark.taken_back()) as rows:
        for values in rows:
            pulled.rows += 1
            reached = _reached(values, query, latest)
            # Only between two values: rows of one value that were not sent yet would be left out the next time.
            if is_sent and not batch and latest is not None and reached != latest:
                watermark.advance(latest)
                is_sent = False
            if latest is None:
                watermark.check(reached)
            latest = reached
            place = f"row {pulled.rows}"
            try:
                item = mapping.read(values, clock)
            except Unreadable as error:
                pulled.add_bad([BadRow(place=place, what=str(error))])
                continue
            if item is None:
                pulled.without_outcome += 1
            else:
                pulled.outcomes += 1
                batch.append(Found(number=pulled.rows, place=place, item=item))
            if len(batch) == batch_rows:
                pulled.add_bad(sending.send_batch(batch, sender, skip_bad_rows=True))
                batch, is_sent = [], True
    pulled.add_bad(sending.send_batch(batch, sender, skip_bad_rows=True))
    if latest is not None:
        watermark.advance(latest)
    return pulled


@contextmanager
def _rows(engine: Engine, query: Query, since: Value) -> Iterator[Iterator[Mapping[str, object]]]:
    """Ask, in a transaction that is never committed; what the database says against it becomes one of our errors."""
    try:
        with engine.connect() as connection:
            connection.execution_options(stream_results=True, max_row_buffer=FETCH_ROWS)
            if connection.dialect.name == "postgresql":
                connection.execution_options(postgresql_readonly=True)
            with connection.execute(sqlalchemy.text(query.sql), {PARAMETER: since}) as result:
                columns = tuple(result.keys())
                if query.column not in columns:
                    raise CannotLoad(
                        f"The query returns no column `{query.column}`, which is the watermark's. It returns"
                        f" {', '.join(columns)}."
                    )
                yield (dict(row) for row in result.mappings())
    except DBAPIError as error:
        words = " ".join(str(error.orig).split())
        # SQLite calls a table that there is not operational, too.
        if isinstance(error, OperationalError) and (engine.dialect.name != "sqlite" or "locked" in words):
            raise Unreachable(f"The database does not answer the query: {words}.") from error
        raise CannotLoad(f"The database refuses the query: {words}.") from error
    except SQLAlchemyError as error:
        raise CannotLoad(f"The query cannot be asked: {error}.") from error


def _reached(values: Mapping[str, object], query: Query, latest: Value | None) -> Value:
    """Return the watermark of a row; raise `CannotLoad` where it is of another type, or lower than the last."""
    value = values[query.column]
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        value = dt.datetime.combine(value, dt.time())
    if isinstance(value, Decimal) and value == int(value):
        value = int(value)
    if not isinstance(value, TYPES[query.kind]):
        raise CannotLoad(
            f"The column `{query.column}` has a value of type {type(value).__name__}, which is no {query.kind.value}."
            " Say what it holds with --watermark-type."
        )
    reached: Value = value
    if latest is not None and _is_later(latest, reached):
        raise CannotLoad(
            f"The rows are not in the order of `{query.column}`. End the query with ORDER BY {query.column}."
        )
    return reached


def _is_later(value: Value, other: Value) -> bool:
    try:
        return value > other  # type: ignore[operator]
    except TypeError as error:
        raise CannotLoad(
            f"The watermarks {_written(value)} and {_written(other)} cannot be compared: both must say their time zone,"
            " or none. The first is what --start says."
        ) from error


def _written(value: Value) -> str:
    return value.isoformat() if isinstance(value, dt.datetime) else str(value)
