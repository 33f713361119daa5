"""Databases of other releases: those of earlier ones become ours, those of later ones are refused."""

import contextlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from unit.claims_feedback.stores import (
    MODELS,
    NEGATIVE,
    POSITIVE,
    Databases,
    counts,
    opened,
    outcome,
    prediction,
    store,
    stratum,
)

from claims_feedback import errors, schema
from claims_feedback.join import Decision

VERSION_1 = Path(__file__).parent / "data" / "version-1.sql"
"""What a database of version 1 holds after 11 predictions and 8 outcomes, as SQL."""

TOTALS_OF_VERSION_1 = {
    (stratum(revision="b2"), "refer"): 2,
    (stratum(revision="b2"), "settle"): 1,
    (stratum(revision="b2"), "fp"): 1,
    (stratum(), "refer"): 3,
    (stratum(), "settle"): 2,
    (stratum(), "tp"): 1,
    (stratum(), "tn"): 1,
    (stratum(), "fn"): 1,
    (stratum(), "corrections"): 1,
    (stratum(revision="b2", epoch=2), "settle"): 1,
    (stratum(epoch=2), "refer"): 1,
    (stratum(namespace="other"), "settle"): 1,
    (stratum(namespace="other"), "fn"): 1,
}


def write_version_1(folder: Path) -> str:
    path = str(folder / "feedback.db")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(VERSION_1.read_text(encoding="utf-8"))
    return path


def test_a_database_of_version_1_keeps_its_totals_and_goes_on(tmp_path: Path) -> None:
    storage = opened(write_version_1(tmp_path))
    assert counts(storage) == TOTALS_OF_VERSION_1
    with storage.store.transaction(MODELS):
        again = storage.store.add_predictions([prediction("r1", claim_id="C1"), prediction("r9", claim_id="C1")])
        later = storage.store.add_predictions([prediction("r11", claim_id="C99", decision=Decision.SETTLE)])
        told = storage.store.add_outcomes([outcome(POSITIVE, claim_id="C5"), outcome(NEGATIVE, claim_id="C3")])
    storage.store.close()
    assert (again.duplicates, later.labelled, told.labelled, told.corrections) == (2, 1, 1, 1)
    changed = {"settle": 1, "tp": 1, "fn": 1, "corrections": 1}
    expected = TOTALS_OF_VERSION_1 | {
        (stratum(), name): TOTALS_OF_VERSION_1[stratum(), name] + more for name, more in changed.items()
    }
    storage = opened(str(tmp_path / "feedback.db"))
    assert counts(storage) == expected
    storage.store.close()


def test_the_scores_of_version_1_are_in_the_histogram_as_if_they_came_today(tmp_path: Path) -> None:
    scores = (0.18, 0.44, 0.7, 0.96, 0.5, 0.0)  # Of revision a1 in the namespace `claims`.
    storage, fresh = opened(write_version_1(tmp_path)), opened(str(tmp_path / "fresh.db"))
    store(fresh, [[prediction(f"r{number}", score=score) for number, score in enumerate(scores)]])
    found = [each for each in storage.reader.scores() if (each.namespace, each.revision) == ("claims", "a1")]
    assert found == fresh.reader.scores()
    assert storage.reader.delays() == []
    storage.store.close()
    fresh.store.close()


def test_both_kinds_of_database_have_the_same_tables(tmp_path: Path, databases: Databases) -> None:
    sqlite = opened(str(tmp_path / "feedback.db"))
    with sqlite.store.database.reading() as statements:
        tables = [name for (name,) in statements.select("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        columns = {(table, *row[1:2]) for table in tables for row in statements.select(f"PRAGMA table_info({table})")}
    sqlite.store.close()
    with databases.storage() as storage, storage.store.database.reading() as statements:
        for table, column in columns:
            assert statements.select(f"SELECT {column} FROM {table} WHERE 1 = 0") == []  # noqa: S608
    assert {table for table, _ in columns} >= {"prediction", "outcome", "stratum", "erased", "cohort", "histogram"}


def test_a_database_of_a_later_release_is_refused(databases: Databases) -> None:
    named = databases.create()
    storage = opened(**named)
    with storage.store.database.writing() as statements:
        statements.change("INSERT INTO migration (version, description, applied_at) VALUES (99, 'of the future', '')")
    storage.store.close()
    with pytest.raises(errors.CannotStart, match="schema version 99"):
        opened(**named)


def test_of_several_that_start_at_once_one_migrates(databases: Databases) -> None:
    named = databases.create() | {"database_busy_timeout_seconds": 60.0}
    with ThreadPoolExecutor(4) as threads:
        storages = list(threads.map(lambda _: opened(**named), range(4)))
    for number, storage in enumerate(storages):
        store(storage, [[prediction(f"r{number}", cohort="K1", claim_id=f"C{number}")]])
        store(storage, [[outcome(POSITIVE, claim_id=f"C{number}")]])
    with storages[0].store.database.reading() as statements:
        assert statements.select("SELECT version FROM migration") == [
            (number,) for number in range(1, len(schema.MIGRATIONS) + 1)
        ]
    # All of them hash with the same key: the cohort gave evidence once.
    assert counts(storages[-1]) == {(stratum(), "refer"): 4, (stratum(), "tp"): 1, (stratum(), "cohort_repeats"): 3}
    for storage in storages:
        storage.store.close()


def test_a_commit_of_sqlite_waits_for_the_disk(tmp_path: Path) -> None:
    storage = opened(str(tmp_path / "feedback.db"))
    with storage.store.database.writing() as statements:
        pragmas = [statements.select(f"PRAGMA {name}")[0][0] for name in ("journal_mode", "synchronous")]
    storage.store.close()
    assert pragmas == ["wal", 2]
