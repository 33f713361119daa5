"""The database of the settings, opened: who writes it and who reads it."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from claims_feedback.reader import Reader
from claims_feedback.settings import Settings
from claims_feedback.store import Store


@dataclass(frozen=True, kw_only=True)
class Storage:
    """A database that was opened."""

    name: str
    """What to call it in a log; it holds no password."""
    store: Store
    """For one thread, which closes it."""
    reader: Reader
    """For any thread."""


def open_storage(configured: Settings, *, now: Callable[[], dt.datetime]) -> Storage:
    """Open or create the database and bring it to this version; raise `errors.CannotStart` where that cannot be."""
    store = Store.open(
        configured.database,
        max_bytes=configured.database_max_bytes,
        busy_timeout_seconds=configured.database_busy_timeout_seconds,
        now=now(),
    )
    return Storage(name=configured.database, store=store, reader=Reader(configured.database))
