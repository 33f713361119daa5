"""Databases to store into without a process around them, and what is stored."""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unit.claims_feedback.postgres_server import PostgresServer

from claims_feedback.join import (
    Decision,
    ObservedOutcome,
    Outcome,
    Prediction,
    Stratum,
)
from claims_feedback.settings import Settings
from claims_feedback.storage import Storage, open_storage

NOW = dt.datetime(2025, 11, 20, tzinfo=dt.UTC)
POSITIVE, NEGATIVE = Outcome.POSITIVE, Outcome.NEGATIVE
MODELS = [(namespace, "claim-risk") for namespace in ("claims", "other")]
Arrival = Prediction | ObservedOutcome
Counts = dict[tuple[Stratum, str], int]

TABLES = (
    "setting",
    "erased",
    "relative_error",
    "histogram",
    "cohort",
    "outcome",
    "prediction",
    "stratum",
    "revision",
    "model",
)
"""Those that refer to others first."""


def stratum(**changes: Any) -> Stratum:
    given: dict[str, Any] = {"namespace": "claims", "model": "claim-risk", "revision": "a1", "attempt": 1, "epoch": 1}
    return Stratum(**given | changes)


def prediction(request_id: str, **changes: Any) -> Prediction:
    """Return a prediction that refers its claim; ``stratum`` may be changed too."""
    given: dict[str, Any] = {
        "stratum": stratum(),
        "row": 0,
        "claim_id": None,
        "decision": Decision.REFER,
        "score": 0.9,
        "served_at": NOW,
    }
    return Prediction(request_id=request_id, **given | changes)


def outcome(value: Outcome, **changes: Any) -> ObservedOutcome:
    """Return an outcome of whom the changes name."""
    given: dict[str, Any] = {"namespace": "claims", "model": "claim-risk", "observed_at": NOW}
    return ObservedOutcome(outcome=value, **given | changes)


def opened(database: str, *, now: Callable[[], dt.datetime] = lambda: NOW, **changes: Any) -> Storage:
    """Open a database of a path or a URL, with other settings changed."""
    return open_storage(Settings(**{"database": database, "database_busy_timeout_seconds": 1.0} | changes), now=now)


class Databases:
    """Makes databases of one kind."""

    def __init__(self, folder: Path, server: PostgresServer | None) -> None:
        """SQLite's in a folder, or a server's."""
        self._folder = folder
        self._server = server
        self._made = 0
        self._unused: list[dict[str, Any]] = []

    def create(self) -> dict[str, Any]:
        """Make an empty database; return the settings that name it."""
        self._made += 1
        if self._server is None:
            return {"database": str(self._folder / f"{self._made}.db")}
        return {
            "database": self._server.create_database(),
            "database_password_file": str(self._server.password_file),
        }

    @contextmanager
    def storage(self, **changes: Any) -> Iterator[Storage]:
        """Open a database that is empty, and is emptied at the end."""
        named = self._unused.pop() if self._unused else self.create()
        storage = opened(**named | changes)
        try:
            yield storage
        finally:
            with storage.store.database.writing() as statements:
                for table in TABLES:
                    statements.change(f"DELETE FROM {table}")  # noqa: S608
            storage.store.close()
            self._unused.append(named)


def store(storage: Storage, groups: Sequence[Sequence[Arrival]]) -> None:
    """Store the groups, each in a transaction."""
    for group in groups:
        with storage.store.transaction(MODELS):
            for arrival in group:
                if isinstance(arrival, Prediction):
                    storage.store.add_predictions([arrival])
                else:
                    storage.store.add_outcomes([arrival])


def counts(storage: Storage) -> Counts:
    """Return the totals that are not zero, by stratum and name."""
    flat: Counts = {}
    for totals in storage.reader.totals():
        named: dict[str, int] = {str(name): count for name, count in (totals.decisions | totals.results).items()}
        named |= {
            name: getattr(totals, name)
            for name in ("corrections", "cohort_repeats", "tester_predictions", "tester_outcomes")
        }
        flat |= {(totals.stratum, name): count for name, count in named.items() if count}
    return flat
